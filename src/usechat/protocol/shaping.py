"""Shaping: makes parts legal, gives blocks unique ids, and makes the chunks for one dialect.

An answer has one shaper. The frames and the saved message are both made from its result, so that they cannot differ.
The differences between majors beyond a missing field are here, one method a part (`ChunkShaper.ADAPTERS`): error texts,
sources, usage. Knows no bytes.

Upstream: ``ai/src/ui-message-stream/to-ui-message-chunk.ts`` (7.0.173) and the observed output of the servers of majors
5 and 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Final, NamedTuple, TypeAlias

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

__all__ = ["Chunk", "ChunkShaper", "Deltas", "Shaped", "ShapedPart", "chunk_dialect"]

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
"""The first client that keeps a failed call as it began, dynamic or not, and ignores the chunk's ``dynamic``."""


class Deltas(msgspec.Struct, frozen=True, gc=False):
    """Deltas of one open block that follow one another. Encoders write them directly."""

    kind: type[TextDelta | ReasoningDelta | ToolInputDelta]
    id: str
    """The id of the block that the client has, or of the tool call."""
    texts: list[str]


class ShapedPart(NamedTuple):
    """A legal part and the chunks that the client gets for it; no chunks when the part is hidden."""

    part: Part
    chunks: list[Chunk]


Shaped: TypeAlias = Deltas | ShapedPart
"""The result of a shaper. In a burst nearly all parts are deltas of one block: to do something with all of them at once
costs a fraction of doing it for each."""

NEWEST_CLIENT: Final = Dialect(NEWEST[7], exact=True)


def chunk_dialect(dialect: Dialect, wire_format: str | None = None) -> Dialect:
    """Return the dialect of an answer's chunks.

    AI SDK 4 has no chunks: its messages are kept in the newest form, unless it asked for the UI message stream.
    """
    if dialect.major >= 5:
        return dialect
    return AUTO if wire_format == "ui-message-stream" else NEWEST_CLIENT


class ChunkShaper:
    """Shape one answer's parts for one client: in a legal order, with unique block ids, as chunks that it accepts.

    Args:
        dialect: The client.
        options: The application's options for the frames.
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
        """Whether the client has each tool call of this answer as a dynamic tool, by tool call id."""
        self.masked_errors: dict[str, str] = {}
        """The model's error text by tool call id, for failed calls whose error text differs in the client."""
        self.hidden: tuple[type, ...] = () if options.send_reasoning else REASONING
        self.hidden += () if options.send_start else (Start,)
        self.hidden += () if options.send_finish else (Finish,)

    def feed_all(self, parts: Iterable[Part]) -> list[Shaped]:
        """Shape several parts and return the results in order.

        Raises:
            StreamProtocolError: In strict mode, when a part is illegal in its place.
        """
        shaped: list[Shaped] = []
        deltas: Deltas | None = None
        last: Any = None
        part: Any
        for part in parts:
            # A delta changes nothing of what is open, so the next one of its block needs no second look.
            if (
                deltas is not None
                and part.__class__ is deltas.kind
                and part.delta
                and (
                    part.tool_call_id == last.tool_call_id
                    if deltas.kind is ToolInputDelta
                    else part.id == last.id and part.provider_metadata is None
                )
            ):
                deltas.texts.append(part.delta)
                continue
            deltas, last = self.open_deltas(part), part
            if deltas is None:
                shaped.extend([self.show(admitted) for admitted in self.lifecycle.admit(part)])
            else:
                shaped.append(deltas)
        return shaped

    def open_deltas(self, part: Any) -> Deltas | None:
        """Return a delta of an open, visible block, with the block's shown id; None for any other part."""
        kind = part.__class__
        # The AI SDK sends empty reasoning deltas, but no empty text deltas.
        if kind is TextDelta and part.delta:
            key: tuple[str, str] = ("text", part.id)
        elif kind is ReasoningDelta and self.options.send_reasoning:
            key = ("reasoning", part.id)
        elif kind is ToolInputDelta and part.delta and part.tool_call_id in self.lifecycle.open_inputs:
            return Deltas(kind, part.tool_call_id, [part.delta])
        else:
            return None
        if key not in self.lifecycle.open_blocks or part.provider_metadata is not None:
            return None
        block: str = part.id
        return Deltas(kind, self.shown_ids.get(key, block), [part.delta])

    def finish(self) -> list[Shaped]:
        """Return the last shaped parts: ends of open blocks, of the step and of the message."""
        return [self.show(due) for due in self.lifecycle.finish()]

    def show(self, part: Part) -> ShapedPart:
        """Return a legal part with its chunks."""
        part = self.settle_id(part)
        chunks: list[Chunk] = []
        if type(part) not in self.hidden:
            adapter = self.ADAPTERS.get(type(part))
            for each in adapter(self, part) if adapter else (part,):
                chunk = encode_chunk(each, self.dialect)
                if chunk is not None:
                    chunks.append(chunk)
        return ShapedPart(part, chunks)

    def settle_id(self, part: Part) -> Part:
        """Return a block's part with the block's shown id, which is unique if the client needs unique ids."""
        kind = BLOCK_KINDS.get(type(part))
        if kind is None:
            return part
        key: tuple[str, str] = (kind, part.id)  # type: ignore[union-attr,assignment]
        if isinstance(part, TextStart | ReasoningStart):
            if key in self.used_ids and self.dialect.needs_unique_block_ids:
                self.shown_ids[key] = shown = self.options.new_id()
                self.used_ids.add((kind, shown))
            self.used_ids.add(key)
        shown = self.shown_ids.get(key)
        return part if shown is None else msgspec.structs.replace(part, id=shown)

    def tool_error_text(self, part: ToolInputError | ToolOutputError) -> str:
        """Return the browser's text for a failed tool. Remember the model's text if it differs."""
        shown = self.shown_error_text(part)
        if shown != part.error_text:
            self.masked_errors[part.tool_call_id] = part.error_text
        return shown

    def shown_error_text(self, part: ToolInputError | ToolOutputError) -> str:
        """Return the browser's text for a failed tool, without remembering the model's."""
        if part.client_text is not None:
            return part.client_text
        if isinstance(part, ToolOutputError) and part.provider_executed and not part.invalid_input:
            # The provider's error codes are shown: clients send them back, and the model reads them again. AI SDK 5's
            # server masks them.
            shown = not self.dialect.exact or self.dialect.major >= 6
        else:
            # AI SDK 7 always masks an invalid call of a provider's tool: the provider returns its own error.
            shown = self.options.tool_errors == "shown" and not part.provider_executed
        return part.error_text if shown else MASKED_ERROR

    def _adapt_text_delta(self, part: TextDelta) -> tuple[Part, ...]:
        return (part,) if part.delta or part.provider_metadata is not None else ()

    def _adapt_text_end(self, part: TextEnd) -> tuple[Part, ...]:
        # A client of guessed version gets all metadata: it sends them back, and the model sees its citations again.
        if part.citations and self.dialect.exact and self.dialect.major < 7:
            part = msgspec.structs.replace(part, provider_metadata=part.provider_metadata_before_7)
        return (part,)

    def _adapt_input_delta(self, part: ToolInputDelta) -> tuple[Part, ...]:
        return (part,) if part.delta else ()

    def _adapt_source(self, part: Any) -> tuple[Part, ...]:
        # Each major's server has its own places for sources; all clients accept all. A guessed client gets AI SDK 7's.
        major = self.dialect.major if self.dialect.exact else NEWEST_CLIENT.major
        shown = self.options.send_sources and part.since_major <= major <= part.until_major
        return (part,) if shown else ()

    def _adapt_metadata(self, part: Any) -> tuple[Part, ...]:
        if part.message_metadata is None:
            return () if isinstance(part, MessageMetadata) else (part,)
        metadata = show_usage(part.message_metadata, self.dialect)
        return (msgspec.structs.replace(part, message_metadata=metadata),)

    def _adapt_input_start(self, part: ToolInputStart) -> tuple[Part, ...]:
        self.dynamic_calls[part.tool_call_id] = bool(part.dynamic)
        # Only AI SDK 6 and 7 send `dynamic: false`: for the start of a call of an unknown tool.
        drop = part.dynamic is False and self.dialect.major < 6
        return (msgspec.structs.replace(part, dynamic=None) if drop else part,)

    def _adapt_input(self, part: ToolInputAvailable) -> tuple[Part, ...]:
        self.dynamic_calls[part.tool_call_id] = bool(part.dynamic)
        return (part,)

    def _adapt_input_error(self, part: ToolInputError) -> tuple[Part, ...]:
        if self.dialect.version < LOOKS_UP_CALLS:
            # This client believes the chunk's `dynamic`. If the call began with another, it is shown twice.
            dynamic = self.dynamic_calls.setdefault(part.tool_call_id, False)
            part = msgspec.structs.replace(part, dynamic=dynamic or None)
        text = self.tool_error_text(part)
        if self.dialect.accepts("tool-input-error"):
            return (msgspec.structs.replace(part, error_text=text),)
        # Clients before 5.0.7 know no `tool-input-error`: they get the call and then its failure.
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

    def _adapt_output(self, part: ToolOutputAvailable) -> tuple[Part, ...]:
        # Clients before 5.0.11 know no `preliminary`: they get only the final output.
        hidden = part.preliminary and not self.dialect.accepts("tool-output-available", "preliminary")
        return () if hidden else (self._match_dynamic(part),)

    def _adapt_output_error(self, part: ToolOutputError) -> tuple[Part, ...]:
        if part.invalid_input and (self.dialect.major >= 7 or not self.dialect.exact):
            return ()
        return (self._match_dynamic(msgspec.structs.replace(part, error_text=self.tool_error_text(part))),)

    def _match_dynamic(self, part: Any) -> Part:
        """Give an output the ``dynamic`` of its call: AI SDK 5 finds the call only then, and otherwise throws."""
        dynamic = self.dynamic_calls.get(part.tool_call_id)
        if self.dialect.major >= 6 or dynamic is None:
            return part
        return msgspec.structs.replace(part, dynamic=dynamic or None)

    def _adapt_denied(self, part: ToolOutputDenied) -> tuple[Part, ...]:
        if self.dialect.accepts("tool-output-denied"):
            return (part,)
        failed = ToolOutputError(tool_call_id=part.tool_call_id, tool_name=part.tool_name, error_text=DENIED)
        return (self._match_dynamic(failed),)

    ADAPTERS: ClassVar[dict[type, Any]] = {
        Start: _adapt_metadata,
        Finish: _adapt_metadata,
        MessageMetadata: _adapt_metadata,
        TextDelta: _adapt_text_delta,
        TextEnd: _adapt_text_end,
        SourceUrl: _adapt_source,
        SourceDocument: _adapt_source,
        ToolInputStart: _adapt_input_start,
        ToolInputDelta: _adapt_input_delta,
        ToolInputAvailable: _adapt_input,
        ToolInputError: _adapt_input_error,
        ToolOutputAvailable: _adapt_output,
        ToolOutputError: _adapt_output_error,
        ToolOutputDenied: _adapt_denied,
    }
    """Adapters by type of part: they return the parts to encode. A part without a row is encoded unchanged."""
