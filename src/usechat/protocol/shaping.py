"""Shaping: parts to legal parts with settled ids, and to the chunks that one dialect shows for them.

An answer has one shaper. What is sent and what is saved are both made from what it gives, so that they cannot differ.
What differs between the majors beyond a missing field is here, one function a part, in `ADAPTERS`: error texts,
sources, usage. Upstream: ``ai/src/ui-message-stream/to-ui-message-chunk.ts`` (7.0.173) and what the servers of majors
5 and 6 were seen to send.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from usechat.parts import (
    Finish,
    MessageMetadata,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningFile,
    ReasoningStart,
    SourceDocument,
    SourceUrl,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)
from usechat.protocol.chunks import encode_chunk
from usechat.protocol.dialects import AUTO, NEWEST, Dialect, Version
from usechat.protocol.lifecycle import Lifecycle
from usechat.protocol.options import DENIED, MASKED_ERROR, EncoderOptions
from usechat.protocol.usage import show_usage

__all__ = ["Chunk", "ChunkShaper", "Delta", "Shaped", "ShapedPart", "chunk_dialect"]

Chunk: TypeAlias = dict[str, Any]

BLOCK_KINDS: Final[dict[type, str]] = {
    TextStart: "text",
    TextDelta: "text",
    TextEnd: "text",
    ReasoningStart: "reasoning",
    ReasoningDelta: "reasoning",
    ReasoningEnd: "reasoning",
}
REASONING = (ReasoningStart, ReasoningDelta, ReasoningEnd, ReasoningFile)


LOOKS_UP_CALLS: Version = (6, 0, 230)
"""From here on a client takes a failed call for what it began as, dynamic or not, whatever the chunk says."""


Delta: TypeAlias = TextDelta | ReasoningDelta | ToolInputDelta


class ShapedPart(NamedTuple):
    """A part that is legal in its place, and the chunks that the client gets for it; none where it is not shown."""

    part: Part
    chunks: list[Chunk]


Shaped: TypeAlias = Delta | ShapedPart
"""What a shaper gives. A delta of an open block stays a part: its chunk is the delta itself."""

NEWEST_CLIENT: Final = Dialect(NEWEST[7], exact=True)


def chunk_dialect(dialect: Dialect, wire_format: str | None = None) -> Dialect:
    """Return the dialect of an answer's chunks.

    AI SDK 4 has no chunks: its messages are kept in the newest form, unless it asked for the UI message stream.
    """
    if dialect.major >= 5:
        return dialect
    return AUTO if wire_format == "ui-message-stream" else NEWEST_CLIENT


class ChunkShaper:
    """Shape one answer's parts for one client: legal in their order, with unique block ids, as chunks it accepts.

    Args:
        dialect: The client.
        options: What the application chose about the frames.
    """

    __slots__ = (
        "dialect",
        "dynamic_calls",
        "hidden",
        "lifecycle",
        "masked_errors",
        "options",
        "shown_ids",
        "used_ids",
    )

    def __init__(self, dialect: Dialect, options: EncoderOptions) -> None:
        self.dialect = dialect
        self.options = options
        self.lifecycle = Lifecycle(
            strict=options.strict,
            closes_blocks=not dialect.exact,
            resets_steps=dialect.accepts("reset-step"),
            known_tool_calls=options.known_tool_calls,
            known_approvals=options.known_approvals,
        )
        self.used_ids: set[tuple[str, str]] = set()
        self.shown_ids: dict[tuple[str, str], str] = {}
        self.dynamic_calls: dict[str, bool] = {}
        """The tool calls of this answer, and whether the client holds them as dynamic tools."""
        self.masked_errors: dict[str, str] = {}
        """What the model is told of failed calls, where the client is shown another text."""
        self.hidden: tuple[type, ...] = () if options.send_reasoning else REASONING
        self.hidden += () if options.send_start else (Start,)
        self.hidden += () if options.send_finish else (Finish,)

    def feed_all(self, parts: Iterable[Part]) -> list[Shaped]:
        """Return what to show for some parts, in order.

        Raises:
            StreamProtocolError: In strict mode, when a part is illegal in its place.
        """
        shaped: list[Shaped] = []
        for part in parts:
            delta = self.open_delta(part)
            if delta is None:
                shaped.extend([self.show(admitted) for admitted in self.lifecycle.admit(part)])
            else:
                shaped.append(delta)
        return shaped

    def open_delta(self, part: Part) -> Delta | None:
        """Return a delta whose block is open and shown, with the block's id as shown; None for any other part."""
        kind = type(part)
        if kind is TextDelta:
            if part.provider_metadata is not None or not part.delta:  # type: ignore[union-attr]
                return None
            return self.in_open_block("text", part)
        if kind is ReasoningDelta:
            # The AI SDK shows empty reasoning, though no empty text.
            return self.in_open_block("reasoning", part) if part.provider_metadata is None else None  # type: ignore[union-attr]
        if kind is ToolInputDelta:
            is_open = part.delta and part.tool_call_id in self.lifecycle.open_inputs  # type: ignore[union-attr]
            return part if is_open else None  # type: ignore[return-value]
        return None

    def in_open_block(self, kind: str, delta: Any) -> Any:
        """Return a delta with its block's id as shown; None where the block is not open or not shown."""
        key = (kind, delta.id)
        if key not in self.lifecycle.open_blocks or (kind == "reasoning" and not self.options.send_reasoning):
            return None
        shown = self.shown_ids.get(key)
        return delta if shown is None else msgspec.structs.replace(delta, id=shown)

    def finish(self) -> list[Shaped]:
        """Return what is still due at the end: open blocks closed, the step and the message ended."""
        return [self.show(due) for due in self.lifecycle.finish()]

    def show(self, part: Part) -> ShapedPart:
        """Return a part that is legal in its place with its chunks."""
        part = self.settle_id(part)
        chunks: list[Chunk] = []
        if type(part) not in self.hidden:
            adapter = ADAPTERS.get(type(part))
            for each in adapter(self, part) if adapter else (part,):
                chunk = encode_chunk(each, self.dialect)
                if chunk is not None:
                    chunks.append(chunk)
        return ShapedPart(part, chunks)

    def settle_id(self, part: Part) -> Part:
        """Return a block's part with an id that no other block of this answer has, where the client needs that."""
        kind = BLOCK_KINDS.get(type(part))
        if kind is None:
            return part
        key: tuple[str, str] = (kind, part.id)  # type: ignore[union-attr,assignment]
        if isinstance(part, TextStart | ReasoningStart):
            if key in self.used_ids and self.dialect.unique_block_ids:
                self.shown_ids[key] = shown = self.options.new_id()
                self.used_ids.add((kind, shown))
            self.used_ids.add(key)
        shown = self.shown_ids.get(key)
        return part if shown is None else msgspec.structs.replace(part, id=shown)

    def tool_error_text(self, part: ToolInputError | ToolOutputError) -> str:
        """Return what the browser is told of a failed tool: the application decides, and no client."""
        shown = self.shown_error_text(part)
        if shown != part.error_text:
            self.masked_errors[part.tool_call_id] = part.error_text
        return shown

    def shown_error_text(self, part: ToolInputError | ToolOutputError) -> str:
        """Return the same, without taking note of it."""
        if part.client_text is not None:
            return part.client_text
        if isinstance(part, ToolOutputError) and part.provider_executed and not part.invalid_input:
            # The provider's own error codes go through: clients send them back, and the model reads them again.
            # AI SDK 5's server masks them.
            shown = not self.dialect.exact or self.dialect.major >= 6
        else:
            # AI SDK 7 masks an invalid call of a provider's tool always: the provider answers it with its own error.
            shown = self.options.tool_errors == "shown" and not part.provider_executed
        return part.error_text if shown else MASKED_ERROR


Adapter: TypeAlias = Callable[[ChunkShaper, Any], tuple[Part, ...]]


def adapt_text_delta(self: ChunkShaper, part: TextDelta) -> tuple[Part, ...]:
    return (part,) if part.delta or part.provider_metadata is not None else ()


def adapt_text_end(self: ChunkShaper, part: TextEnd) -> tuple[Part, ...]:
    # A guessed client gets all of them: it sends them back, and the model then sees its citations again.
    if part.citations and self.dialect.exact and self.dialect.major < 7:
        part = msgspec.structs.replace(part, provider_metadata=part.provider_metadata_before_7)
    return (part,)


def adapt_input_delta(self: ChunkShaper, part: ToolInputDelta) -> tuple[Part, ...]:
    return (part,) if part.delta else ()


def adapt_source(self: ChunkShaper, part: Any) -> tuple[Part, ...]:
    # Each major's server has its own places for sources; every client takes them. A guessed one gets AI SDK 7's.
    major = self.dialect.major if self.dialect.exact else NEWEST_CLIENT.major
    shown = self.options.send_sources and part.since_major <= major <= part.until_major
    return (part,) if shown else ()


def adapt_metadata(self: ChunkShaper, part: Any) -> tuple[Part, ...]:
    if part.message_metadata is None:
        return () if isinstance(part, MessageMetadata) else (part,)
    metadata = show_usage(part.message_metadata, self.dialect)
    return (msgspec.structs.replace(part, message_metadata=metadata),)


def adapt_input_start(self: ChunkShaper, part: ToolInputStart) -> tuple[Part, ...]:
    self.dynamic_calls[part.tool_call_id] = bool(part.dynamic)
    # `dynamic: false` is how AI SDK 6 and 7 begin a call of a tool they do not know.
    drop = part.dynamic is False and self.dialect.major < 6
    return (msgspec.structs.replace(part, dynamic=None) if drop else part,)


def adapt_input(self: ChunkShaper, part: ToolInputAvailable) -> tuple[Part, ...]:
    self.dynamic_calls[part.tool_call_id] = bool(part.dynamic)
    return (part,)


def adapt_input_error(self: ChunkShaper, part: ToolInputError) -> tuple[Part, ...]:
    if self.dialect.version < LOOKS_UP_CALLS:
        # This client believes the chunk, and shows a call that began otherwise a second time.
        dynamic = self.dynamic_calls.setdefault(part.tool_call_id, False)
        part = msgspec.structs.replace(part, dynamic=dynamic or None)
    text = self.tool_error_text(part)
    if self.dialect.accepts("tool-input-error"):
        return (msgspec.structs.replace(part, error_text=text),)
    # 5.0.0 knows no `tool-input-error`: the call is shown as made, and then as failed.
    available = ToolInputAvailable(
        tool_call_id=part.tool_call_id,
        tool_name=part.tool_name,
        input=part.input,
        provider_executed=part.provider_executed,
        dynamic=part.dynamic,
        provider_metadata=part.provider_metadata,
    )
    failed = ToolOutputError(
        tool_call_id=part.tool_call_id,
        tool_name=part.tool_name,
        error_text=text,
        provider_executed=part.provider_executed,
        dynamic=part.dynamic,
    )
    return (available, failed)


def adapt_output(self: ChunkShaper, part: ToolOutputAvailable) -> tuple[Part, ...]:
    # A client that cannot tell a preliminary output from the last one gets the last one only.
    hidden = part.preliminary and not self.dialect.accepts("tool-output-available", "preliminary")
    return () if hidden else (match_dynamic(self, part),)


def adapt_output_error(self: ChunkShaper, part: ToolOutputError) -> tuple[Part, ...]:
    if part.invalid_input and (self.dialect.major >= 7 or not self.dialect.exact):
        return ()
    return (match_dynamic(self, msgspec.structs.replace(part, error_text=self.tool_error_text(part))),)


def match_dynamic(self: ChunkShaper, part: Any) -> Part:
    """Return ``part`` with its call's ``dynamic``: AI SDK 5 looks for the call among that kind only, and throws."""
    dynamic = self.dynamic_calls.get(part.tool_call_id)
    if self.dialect.major >= 6 or dynamic is None:
        return part
    return msgspec.structs.replace(part, dynamic=dynamic or None)


def adapt_denied(self: ChunkShaper, part: ToolOutputDenied) -> tuple[Part, ...]:
    if self.dialect.accepts("tool-output-denied"):
        return (part,)
    failed = ToolOutputError(tool_call_id=part.tool_call_id, tool_name=part.tool_name, error_text=DENIED)
    return (match_dynamic(self, failed),)


ADAPTERS: dict[type, Adapter] = {
    Start: adapt_metadata,
    Finish: adapt_metadata,
    MessageMetadata: adapt_metadata,
    TextDelta: adapt_text_delta,
    TextEnd: adapt_text_end,
    SourceUrl: adapt_source,
    SourceDocument: adapt_source,
    ToolInputStart: adapt_input_start,
    ToolInputDelta: adapt_input_delta,
    ToolInputAvailable: adapt_input,
    ToolInputError: adapt_input_error,
    ToolOutputAvailable: adapt_output,
    ToolOutputError: adapt_output_error,
    ToolOutputDenied: adapt_denied,
}
"""How a dialect shows a part that is not simply its chunk."""
