"""The data stream v1 of AI SDK 3 and 4: lines ``CODE:JSON`` (docs/protocol.md, Data stream v1).

The format has no frames for documents as sources, approvals, preliminary outputs and custom parts, so these are left
out. Lines that the client's version does not know are left out too, because its parser throws ("Invalid code f"). A
failed tool is an error line, as the AI SDK's own server sends it; the client ends there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from usechat.json import encode_json, encode_texts
from usechat.parts import (
    Data,
    Error,
    File,
    Finish,
    FinishStep,
    MessageMetadata,
    ReasoningDelta,
    ReasoningStart,
    SourceUrl,
    Start,
    StartStep,
    TextDelta,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.encoders.base import PROXY_HEADERS, Encoder, provider_value
from usechat.protocol.options import DENIED, MASKED_ERROR
from usechat.protocol.shaping import ChunkShaper, Deltas, Shaped
from usechat.protocol.usage import show_usage, usage_for_major
from usechat.unsafe_keys import encode_safe_json

__all__ = ["DataStreamEncoder"]

V4 = Dialect(NEWEST[4], exact=True)
STREAM_DATA = "x-experimental-stream-data"
"""The header by which clients before 3.0.20 recognize lines."""


def line(code: str, value: Any) -> bytes:
    """Return one whole line. The client parses only when a network chunk ends in LF."""
    return code.encode() + b":" + encode_safe_json(value) + b"\n"


USUAL_HEADERS: Mapping[str, str] = {
    "content-type": "text/plain; charset=utf-8",
    **PROXY_HEADERS,
    "x-vercel-ai-data-stream": "v1",
}


class DataStreamEncoder(Encoder):
    """Encode parts as the lines that one client of AI SDK 3 or 4 reads.

    Args:
        shaper: Shapes the parts first.
        dialect: The client.
    """

    # The parser throws at unknown codes and ignores only empty lines.
    heartbeat = b"\n"

    __slots__ = (
        "begun_calls",
        "dialect",
        "headers",
        "options",
        "prefixes",
        "refused",
        "sends_reasoning",
        "shown_calls",
        "shows_calls",
        "streams_calls",
        "summaries",
    )

    def __init__(self, shaper: ChunkShaper, dialect: Dialect = V4) -> None:
        super().__init__(shaper)
        self.options = shaper.options
        self.dialect = dialect
        more = {STREAM_DATA: "true"} if dialect.needs_stream_data_header else {}
        self.headers = {**USUAL_HEADERS, **more}
        self.refused = dialect.refused
        self.shows_calls = dialect.accepts("9")
        self.streams_calls = self.options.tool_call_streaming and dialect.accepts("b")
        self.sends_reasoning = self.options.send_reasoning and dialect.accepts("g")
        self.prefixes: dict[str, bytes] = {}
        """The beginning of each delta line, by open tool call."""
        self.begun_calls: dict[str, str] = {}
        known = self.options.known_tool_calls if dialect.accepts("a", "of_message") else ()
        self.shown_calls: dict[str, Mapping[str, Any]] = {call: {} for call in known}
        """Calls that the client knows, and the fields that their output must repeat."""
        self.summaries: set[str] = set()
        """Text blocks with a summary for the model. The format has no metadata, so they would look like the answer."""

    def again(self, shaper: ChunkShaper) -> Encoder:
        """Return an encoder of this kind for another shaper."""
        return DataStreamEncoder(shaper, self.dialect)

    def encode(self, shaped: Iterable[Shaped]) -> bytes:
        """Return the lines as one byte string."""
        frames: list[bytes] = []
        for each in shaped:
            if isinstance(each, Deltas):
                frames.append(self.encode_deltas(each))
            elif (handler := self.HANDLERS.get(type(each.part))) is not None:
                frames.append(handler(self, each.part))
        return b"".join(frames)

    def encode_deltas(self, deltas: Deltas) -> bytes:
        """Return the lines of deltas; empty when they have none."""
        if deltas.kind is ToolInputDelta:
            return self._encode_pieces(deltas.id, deltas.texts)
        if deltas.kind is ReasoningDelta:
            return encode_texts(deltas.texts, b"g:", b"\n") if self.sends_reasoning else b""
        return encode_texts(deltas.texts, b"0:", b"\n") if deltas.id not in self.summaries else b""

    def terminator(self) -> bytes:
        """Return nothing: the format has no terminator."""
        return b""

    def usage(self, usage: Usage, code: str) -> dict[str, Any]:
        """Return ``{"usage": …}``, or an empty dict when usage is off and the client accepts the line without it."""
        if self.options.send_usage or not self.dialect.accepts(code, "short"):
            return {"usage": usage_for_major(usage, 4)}
        return {}

    def _encode_start(self, part: Start) -> bytes:
        return b"" if part.message_metadata is None else self._encode_metadata(part)

    def _encode_metadata(self, part: Start | Finish | MessageMetadata) -> bytes:
        return line("8", [show_usage(part.message_metadata, self.dialect)])

    def _encode_start_step(self, part: StartStep) -> bytes:
        return b"" if "f" in self.refused else line("f", {"messageId": part.message_id or self.options.new_id()})

    def _encode_text_start(self, part: TextStart) -> bytes:
        is_summary = provider_value(part.provider_metadata, "type") == "compaction"
        (self.summaries.add if is_summary else self.summaries.discard)(part.id)
        return b""

    def _encode_text(self, part: TextDelta) -> bytes:
        return line("0", part.delta) if part.delta and part.id not in self.summaries else b""

    def _encode_reasoning_start(self, part: ReasoningStart) -> bytes:
        redacted = provider_value(part.provider_metadata, "redactedData")
        return (
            b""
            if redacted is None or not self.sends_reasoning or "i" in self.refused
            else line("i", {"data": redacted})
        )

    def _encode_reasoning(self, part: ReasoningDelta) -> bytes:
        if not self.sends_reasoning:
            return b""
        signature = provider_value(part.provider_metadata, "signature")
        if signature is None:
            return line("g", part.delta)
        signed = b"" if "j" in self.refused else line("j", {"signature": signature})
        return (line("g", part.delta) if part.delta else b"") + signed

    def _encode_source(self, part: SourceUrl) -> bytes:
        is_shown = self.options.send_sources and part.since_major <= V4.major <= part.until_major
        if not is_shown or "h" in self.refused:
            return b""
        value: dict[str, Any] = {"sourceType": "url", "id": part.source_id, "url": part.url}
        if part.title is not None:
            value["title"] = part.title
        if part.provider_metadata is not None:
            value["providerMetadata"] = part.provider_metadata
        return line("h", value)

    def _encode_file(self, part: File) -> bytes:
        # The format has only base64: a file with another URL has no frame.
        head, comma, data = part.url.partition(",")
        whole = comma and head.startswith("data:") and head.endswith(";base64")
        return line("k", {"data": data, "mimeType": part.media_type}) if whole and "k" not in self.refused else b""

    def _encode_data(self, part: Data) -> bytes:
        value: dict[str, Any] = {"type": f"data-{part.name}"}
        if part.id is not None:
            value["id"] = part.id
        return line("2", [{**value, "data": part.data}])

    def _encode_input_start(self, part: ToolInputStart) -> bytes:
        # The SDK begins a call with its first delta. A call without deltas is shown whole, or not at all.
        if self.streams_calls:
            self.begun_calls[part.tool_call_id] = part.tool_name
        return b""

    def _encode_input_delta(self, part: ToolInputDelta) -> bytes:
        # The SDK sends empty deltas too.
        return self._encode_pieces(part.tool_call_id, [part.delta])

    def _encode_pieces(self, call: str, pieces: list[str]) -> bytes:
        start = b""
        if call not in self.prefixes:
            tool_name = self.begun_calls.pop(call, None)
            if tool_name is None:
                return b""
            self.prefixes[call] = b'c:{"toolCallId":%s,"argsTextDelta":' % encode_json(call)
            start = line("b", {"toolCallId": call, "toolName": tool_name})
        return start + encode_texts(pieces, self.prefixes[call], b"}\n")

    def _encode_input(self, part: ToolInputAvailable) -> bytes:
        self.prefixes.pop(part.tool_call_id, None)
        if not self.shows_calls:
            return b""
        # The client throws if `args` is a text or a number; tools get objects.
        args: Any = part.input
        if args is not None and not isinstance(args, Mapping | list | tuple):
            args = {"value": args}
        call: dict[str, Any] = {"toolName": part.tool_name, "args": args}
        self.shown_calls[part.tool_call_id] = {} if self.dialect.accepts("a", "short") else call
        return line("9", {"toolCallId": part.tool_call_id, **call})

    def _encode_input_error(self, part: ToolInputError) -> bytes:
        if not self.shows_calls:
            return b""
        if part.provider_executed:
            # The provider returns an error to the model, which continues, so the answer must not end here. `args` must
            # be an object, so the raw text is left out.
            return self._encode_input(
                ToolInputAvailable(tool_call_id=part.tool_call_id, tool_name=part.tool_name, input={})
            )
        return line("3", self.shaper.tool_error_text(part))

    def _encode_output(self, part: ToolOutputAvailable) -> bytes:
        if part.preliminary or part.tool_call_id not in self.shown_calls:
            return b""
        return self._encode_result(part.tool_call_id, part.output)

    def _encode_result(self, call: str, result: Any) -> bytes:
        return line("a", {"toolCallId": call, **self.shown_calls[call], "result": result})

    def _encode_output_error(self, part: ToolOutputError) -> bytes:
        if part.invalid_input or not self.shows_calls:
            return b""
        if part.provider_executed and part.tool_call_id in self.shown_calls:
            # The model reads the error and continues, so the answer must not end here.
            return self._encode_result(part.tool_call_id, {"error": MASKED_ERROR})
        return line("3", self.shaper.tool_error_text(part))

    def _encode_denied(self, part: ToolOutputDenied) -> bytes:
        if part.tool_call_id not in self.shown_calls:
            return b""
        return self._encode_result(part.tool_call_id, DENIED)

    def _encode_finish_step(self, part: FinishStep) -> bytes:
        if "e" in self.refused:
            return b""
        reason = self.dialect.finish_reason(part.finish_reason)
        return line("e", {"finishReason": reason, **self.usage(part.usage, "e"), "isContinued": part.is_continued})

    def _encode_finish(self, part: Finish) -> bytes:
        metadata = b"" if part.message_metadata is None else self._encode_metadata(part)
        if not self.options.send_finish or "d" in self.refused:
            return metadata
        reason = self.dialect.finish_reason(part.finish_reason)
        return metadata + line("d", {"finishReason": reason, **self.usage(part.total_usage, "d")})

    def _encode_error(self, part: Error) -> bytes:
        return line("3", part.error_text)

    HANDLERS: ClassVar[dict[type, Any]] = {
        Start: _encode_start,
        StartStep: _encode_start_step,
        TextStart: _encode_text_start,
        TextDelta: _encode_text,
        ReasoningStart: _encode_reasoning_start,
        ReasoningDelta: _encode_reasoning,
        SourceUrl: _encode_source,
        File: _encode_file,
        Data: _encode_data,
        MessageMetadata: _encode_metadata,
        ToolInputStart: _encode_input_start,
        ToolInputDelta: _encode_input_delta,
        ToolInputAvailable: _encode_input,
        ToolInputError: _encode_input_error,
        ToolOutputAvailable: _encode_output,
        ToolOutputError: _encode_output_error,
        ToolOutputDenied: _encode_denied,
        FinishStep: _encode_finish_step,
        Finish: _encode_finish,
        Error: _encode_error,
    }
    """Encoders by type of part. A part without a row has no frame in this format."""
