"""Other people's streams as parts: of text, of parts, or of the ``anthropic`` package's events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec

from usechat import parts as p
from usechat.errors import ConfigurationError
from usechat.generate.calls import parse_call
from usechat.ids import generate_id
from usechat.models.anthropic_events import AnthropicStream

__all__ = ["read_parts"]

PART_CLASSES = p.Part.__args__


async def read_parts(stream: Any) -> AsyncIterator[p.Part]:
    """The parts of ``stream``, whatever it is made of; the first item tells.

    Raises:
        ConfigurationError: It is made of something else.
    """
    iterator = aiter(stream)
    try:
        first = await anext(iterator, None)
        if first is None:
            return
        if isinstance(first, str):
            parts = from_text(first, iterator)
        elif isinstance(first, PART_CLASSES):
            parts = from_parts(first, iterator)
        elif getattr(first, "type", None) is not None or isinstance(first, dict):
            parts = from_events(first, iterator)
        else:
            raise ConfigurationError(f"a stream of {type(first).__name__} is none that can be sent")
        async for part in parts:
            yield part
    finally:
        aclose = getattr(iterator, "aclose", None)
        if aclose is not None:
            await aclose()


async def from_parts(first: p.Part, rest: AsyncIterator[p.Part]) -> AsyncIterator[p.Part]:
    yield first
    async for part in rest:
        yield part


async def from_text(first: str, rest: AsyncIterator[str]) -> AsyncIterator[p.Part]:
    """One step with one text block."""
    id_ = generate_id("txt")
    yield p.StartStep(message_id=generate_id("msg"))
    yield p.TextStart(id_)
    yield p.TextDelta(id_, first)
    async for text in rest:
        yield p.TextDelta(id_, text)
    yield p.TextEnd(id_)
    yield p.FinishStep(finish_reason=p.FinishReason("stop"), usage=p.Usage())


async def from_events(first: Any, rest: AsyncIterator[Any]) -> AsyncIterator[p.Part]:
    """One step a message; a tool call is shown as made and is not carried out."""
    reader = AnthropicStream()
    is_open = False
    for parts in [reader.feed_event(first)]:
        async for part in show(parts, is_open):
            is_open = is_open or isinstance(part, p.StartStep)
            yield part
    async for event in rest:
        async for part in show(reader.feed_event(event), is_open):
            is_open = (is_open or isinstance(part, p.StartStep)) and not isinstance(part, p.FinishStep)
            yield part
    async for part in show(reader.finish(), is_open):
        yield part


async def show(parts: Sequence[p.ModelPart], is_open: bool) -> AsyncIterator[p.Part]:
    for part in parts:
        if not is_open:
            is_open = True
            yield p.StartStep(message_id=generate_id("msg"))
        match part:
            case p.ModelFinish():
                is_open = False
                yield p.FinishStep(
                    finish_reason=part.finish_reason, usage=part.usage, provider_metadata=part.provider_metadata
                )
            case p.ToolCall():
                parsed = await parse_call(part, {}, reads_start_input=True, repair=None)
                yield p.ToolInputAvailable(
                    input=parsed.input,
                    **{
                        name: getattr(part, name)
                        for name in ("tool_call_id", "tool_name", "provider_executed", "dynamic", "provider_metadata")
                    },
                )
            case p.ToolInputStart():
                yield msgspec.structs.replace(part, dynamic=part.dynamic or None)
            case _:
                yield part
