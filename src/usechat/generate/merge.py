"""Other people's streams as parts: of text, of parts, or of the ``anthropic`` package's events.

Several of them may run in one answer at once, so that their blocks and steps are kept apart here.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

import msgspec

from usechat import parts as p
from usechat.errors import ConfigurationError, InvalidPartError
from usechat.generate.calls import read_input
from usechat.generate.valid_parts import is_nothing
from usechat.guard import Contained
from usechat.ids import generate_id
from usechat.models.anthropic_events import AnthropicStream

__all__ = ["OpenSteps", "read_parts", "rename_blocks"]

logger = logging.getLogger(__name__)

END = object()
PART_CLASSES = p.Part.__args__
BLOCK_PARTS = (p.TextStart, p.TextDelta, p.TextEnd, p.ReasoningStart, p.ReasoningDelta, p.ReasoningEnd)


async def read_parts(stream: Any) -> AsyncGenerator[p.Part]:
    """The parts of ``stream``, whatever it is made of; the first item tells. It is closed at the end.

    Raises:
        ConfigurationError: It is made of something else.
    """
    iterator = aiter(stream)
    try:
        while is_nothing(first := await anext(iterator, END)):
            pass
        if first is not END:
            async with aclosing(choose(first)(chain(first, iterator))) as parts:
                async for part in parts:
                    yield part
    finally:
        await close(iterator, "aclose")
        # An event stream of the `anthropic` package has a connection, which its iterator does not close.
        await close(stream, "close")


def choose(first: Any) -> Any:
    """The reader of a stream that begins with ``first``."""
    if isinstance(first, str):
        return from_text
    if isinstance(first, PART_CLASSES):
        return from_parts
    if is_event(first):
        return from_events
    raise ConfigurationError(f"a stream of {type(first).__name__} is none that can be sent")


def is_event(item: Any) -> bool:
    return isinstance(item, dict) or getattr(item, "type", None) is not None


async def chain(first: Any, rest: AsyncIterator[Any]) -> AsyncGenerator[Any]:
    yield first
    async for item in rest:
        if not is_nothing(item):
            yield item


async def close(stream: Any, method: str) -> None:
    try:
        with Contained():
            function = getattr(stream, method, None)
            result = function() if callable(function) else None
            if inspect.isawaitable(result):
                await result
    except Exception:
        # What it brought is there; and an error here would take the place of the cancellation that closes it.
        logger.exception("closing a stream failed")


async def from_parts(parts: AsyncIterator[p.Part]) -> AsyncGenerator[p.Part]:
    async for part in parts:
        yield part


async def from_text(texts: AsyncIterator[str]) -> AsyncGenerator[p.Part]:
    """One step with one text block."""
    id_ = generate_id("txt")
    yield p.StartStep(message_id=generate_id("msg"))
    yield p.TextStart(id_)
    async for text in texts:
        yield p.TextDelta(id_, text)
    yield p.TextEnd(id_)
    yield p.FinishStep(finish_reason=p.FinishReason("stop"), usage=p.Usage())


async def from_events(events: AsyncIterator[Any]) -> AsyncGenerator[p.Part]:
    """One step, of the one message that such a stream holds; a tool call is shown as made and is not carried out."""
    reader = AnthropicStream()
    yield p.StartStep(message_id=generate_id("msg"))
    async for event in events:
        if not is_event(event):
            name = type(event).__name__
            raise InvalidPartError(f"{name} is no event of the anthropic package, in a stream of these", part=name)
        for part in reader.feed_event(event):
            yield show_part(part)
    for part in reader.finish():
        yield show_part(part)


def show_part(part: Any) -> p.Part:
    match part:
        case p.ToolCall():
            return p.ToolInputAvailable(
                tool_call_id=part.tool_call_id,
                tool_name=part.tool_name,
                input=read_input(part),
                provider_executed=part.provider_executed,
                dynamic=part.dynamic,
                provider_metadata=part.provider_metadata,
            )
        case p.ModelFinish():
            return p.FinishStep(
                finish_reason=part.finish_reason,
                usage=part.usage,
                provider_metadata=part.provider_metadata,
                response_id=part.response_id,
                model_id=part.model_id,
            )
        case p.ToolInputStart():
            return msgspec.structs.replace(part, dynamic=part.dynamic or None)
        case _:
            return part


def rename_blocks(part: p.Part, prefix: str) -> p.Part:
    """``part`` with its block's id made different from another stream's: both may call their first block ``0``."""
    return msgspec.structs.replace(part, id=f"{prefix}{part.id}") if isinstance(part, BLOCK_PARTS) else part


class OpenSteps:
    """One step where the steps of several streams overlap: an answer has one open at a time."""

    def __init__(self) -> None:
        self.count = 0

    def admits(self, part: p.Part) -> bool:
        """Whether the part is to be sent: the first start and the last end of overlapping steps are."""
        if isinstance(part, p.StartStep):
            self.count += 1
            return self.count == 1
        if isinstance(part, p.FinishStep):
            self.count = max(self.count - 1, 0)
            return self.count == 0
        return True
