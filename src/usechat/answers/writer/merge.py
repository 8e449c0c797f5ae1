"""Reads foreign streams as parts: of text, parts, AI SDK chunks, or the ``anthropic`` package's events.

Several streams may run in one answer at once. Their blocks and steps are kept apart here.
"""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

import msgspec

from usechat.answers.calls.read import read_input
from usechat.answers.writer.valid_parts import is_nothing
from usechat.errors import ConfigurationError, DecodeError, InvalidPartError
from usechat.guard import Contained
from usechat.ids import generate_id
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import (
    Finish,
    FinishReason,
    FinishStep,
    ModelFinish,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputAvailable,
    ToolInputStart,
    Usage,
)
from usechat.protocol.chunks import decode_chunk, is_chunk_type

__all__ = ["OpenSteps", "read_parts", "rename_blocks", "with_reason"]

logger = logging.getLogger(__name__)

END = object()
PART_CLASSES = Part.__args__
BLOCK_PARTS = (TextStart, TextDelta, TextEnd, ReasoningStart, ReasoningDelta, ReasoningEnd)


async def read_parts(stream: Any) -> AsyncGenerator[Part]:
    """Yield the parts of ``stream``, whose first item tells its kind. Close it at the end.

    Raises:
        ConfigurationError: The stream is of another kind. The text names what came and what is taken.
        InvalidPartError: A later item is of another kind than the first.
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
    """Return the reader of a stream that begins with ``first``."""
    if isinstance(first, str):
        if FRAME.match(first):
            raise ConfigurationError("a stream of server-sent events cannot be sent: give the chunks in it, as dicts")
        return from_text
    if isinstance(first, PART_CLASSES):
        return from_parts
    if is_chunk(first):
        return from_chunks
    if is_event(first):
        return from_events
    raise ConfigurationError(f"a stream of {describe_item(first)} cannot be sent: {TAKEN}")


FRAME = re.compile(r'data: ?\{\s*"type"')
TAKEN = (
    "ui_message_stream takes streams of text, of usechat's parts, of the AI SDK's chunks as dicts "
    "(their type is text-delta, data-… and so on) and of the anthropic package's events; usechat.adapters reads the "
    "streams of LangGraph, pydantic-ai, openai-agents and OpenAI"
)
EVENT_TYPES = frozenset(
    {
        *("message_start", "message_delta", "message_stop", "ping", "error"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        # Events of the package's helper, which adds them to the API's.
        *("text", "thinking", "signature", "citation", "input_json", "compaction"),
    }
)


def is_chunk(item: Any) -> bool:
    """Return whether an item is a chunk of the AI SDK's UI message stream."""
    if not isinstance(item, dict):
        return False
    chunk = cast("dict[str, Any]", item)
    type_ = chunk.get("type")
    # Anthropic's own error event has an object where the SDK's chunk has its text.
    return isinstance(type_, str) and is_chunk_type(type_) and (type_ != "error" or "error" not in chunk)


def is_event(item: Any) -> bool:
    """Return whether an item is an event of the Messages API, as an object of the package or as a dict."""
    if type(item).__module__.partition(".")[0] == "anthropic":
        return True
    type_: Any = cast("dict[str, Any]", item).get("type") if isinstance(item, dict) else getattr(item, "type", None)
    return isinstance(type_, str) and type_ in EVENT_TYPES


def describe_item(item: Any) -> str:
    """Describe an item: its class, with its type or keys."""
    class_: type[Any] = item.__class__
    package = class_.__module__.partition(".")[0]
    name = class_.__name__ if package in ("builtins", "__main__") else f"{package}'s {class_.__name__}"
    if not isinstance(item, dict):
        type_: Any = getattr(item, "type", None)
        return f"{name} ({type_[:40]})" if isinstance(type_, str) and type_ != class_.__name__ else name
    given = cast("dict[Any, Any]", item)
    if isinstance(given.get("type"), str):
        return f"dicts of the type {given['type'][:40]}"
    return f"dicts with the keys {', '.join(str(key)[:40] for key in [*given][:3]) or 'of nothing'}"


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
        # Its parts are sent. An error here would replace the cancellation that closes it.
        logger.exception("closing a stream failed")


async def from_parts(parts: AsyncIterator[Part]) -> AsyncGenerator[Part]:
    async for part in parts:
        yield part


async def from_chunks(chunks: AsyncIterator[Any]) -> AsyncGenerator[Part]:
    """Yield AI SDK chunks as parts of this answer."""
    async for chunk in chunks:
        if not is_chunk(chunk):
            name = describe_item(chunk)
            raise InvalidPartError(f"{name} in a stream of the AI SDK's chunks", part=name)
        try:
            part = decode_chunk(chunk)
        except DecodeError as error:
            raise InvalidPartError(str(error), part=str(chunk["type"])) from error
        yield with_reason(part)


NO_REASON = FinishReason("other")


def with_reason(part: Part) -> Part:
    """Return a chunk's part; one that is an end with a reason, which the chunk of a step never has."""
    if isinstance(part, FinishStep) or (isinstance(part, Finish) and part.finish_reason == NO_REASON):
        return msgspec.structs.replace(part, finish_reason=FinishReason("stop"))
    return part


async def from_text(texts: AsyncIterator[str]) -> AsyncGenerator[Part]:
    """Yield one step with one text block."""
    id_ = generate_id("txt")
    yield StartStep(message_id=generate_id("msg"))
    yield TextStart(id_)
    async for text in texts:
        yield TextDelta(id_, text)
    yield TextEnd(id_)
    yield FinishStep(finish_reason=FinishReason("stop"), usage=Usage())


async def from_events(events: AsyncIterator[Any]) -> AsyncGenerator[Part]:
    """Yield the one step of the stream's one message. Tool calls are shown as made and are not executed."""
    reader = AnthropicStream()
    yield StartStep(message_id=generate_id("msg"))
    async for event in events:
        if not is_event(event):
            name = describe_item(event)
            raise InvalidPartError(f"{name} is no event of the anthropic package, in a stream of these", part=name)
        for part in reader.feed_event(event):
            yield show_part(part)
    for part in reader.finish():
        yield show_part(part)


def show_part(part: Any) -> Part:
    match part:
        case ToolCall():
            return ToolInputAvailable(
                tool_call_id=part.tool_call_id,
                tool_name=part.tool_name,
                input=read_input(part),
                provider_executed=part.provider_executed,
                dynamic=part.dynamic,
                provider_metadata=part.provider_metadata,
            )
        case ModelFinish():
            return FinishStep(
                finish_reason=part.finish_reason,
                usage=part.usage,
                provider_metadata=part.provider_metadata,
                response_id=part.response_id,
                model_id=part.model_id,
            )
        case ToolInputStart():
            return msgspec.structs.replace(part, dynamic=part.dynamic or None)
        case _:
            return part


def rename_blocks(part: Part, prefix: str) -> Part:
    """Return ``part`` with a prefix in its block's id: two streams may both call their first block ``0``."""
    return msgspec.structs.replace(part, id=f"{prefix}{part.id}") if isinstance(part, BLOCK_PARTS) else part


class OpenSteps:
    """One open step for overlapping steps of several streams: an answer has one open step at a time."""

    def __init__(self) -> None:
        self.count = 0

    def admits(self, part: Part) -> bool:
        """Return whether to send the part: of overlapping steps only the first start and the last end."""
        if isinstance(part, StartStep):
            self.count += 1
            return self.count == 1
        if isinstance(part, FinishStep):
            self.count = max(self.count - 1, 0)
            return self.count == 0
        return True
