"""The data stream v1 of AI SDK 4: lines ``CODE:JSON`` (PROTOCOL.md section 1).

What it cannot say, it leaves out: documents as sources, approvals, preliminary outputs, custom parts. A failed tool
is an error line, as from the AI SDK's own server; its client ends there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from usechat import parts as p
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.encoders.base import PROXY_HEADERS, provider_value
from usechat.protocol.json import encode_frames, encode_json, encode_safe_json
from usechat.protocol.lifecycle import Lifecycle
from usechat.protocol.options import DENIED, MASKED_ERROR, EncoderOptions
from usechat.protocol.usage import show_usage, usage_for_major

__all__ = ["DataStreamEncoder"]

V4 = Dialect(NEWEST[4], exact=True)


def line(code: str, value: Any) -> bytes:
    """One frame. Always whole: the client parses only when a network chunk ends in LF."""
    return code.encode() + b":" + encode_safe_json(value) + b"\n"


class DataStreamEncoder:
    """Parts to the lines of AI SDK 4."""

    headers: Mapping[str, str] = {
        "content-type": "text/plain; charset=utf-8",
        **PROXY_HEADERS,
        "x-vercel-ai-data-stream": "v1",
    }
    opening = b""
    # Unknown codes throw; an empty line is the only thing its parser passes over.
    heartbeat = b"\n"

    def __init__(self, options: EncoderOptions | None = None) -> None:
        self.options = options or EncoderOptions()
        self.lifecycle = Lifecycle(
            strict=self.options.strict,
            closes_blocks=False,
            resets_steps=False,
            known_tool_calls=self.options.known_tool_calls,
            known_approvals=self.options.known_approvals,
        )
        self.prefixes: dict[str, bytes] = {}
        self.begun_calls: dict[str, str] = {}
        self.shown_calls: set[str] = set(self.options.known_tool_calls)
        self.summaries: set[str] = set()
        """Text blocks that sum the conversation up for the model: without metadata they would pass for the answer."""

    def feed(self, part: p.Part) -> bytes:
        """The lines for one part.

        Raises:
            StreamProtocolError: In strict mode, when ``part`` is illegal here.
            TypeError: It holds something JSON cannot.
        """
        return self.feed_all((part,))

    def feed_all(self, parts: Iterable[p.Part | p.DeltaRun]) -> bytes:
        """The lines for several parts, in one piece."""
        frames: list[bytes] = []
        open_blocks = self.lifecycle.open_blocks
        for part in parts:
            if type(part) is p.TextDelta and ("text", part.id) in open_blocks:
                if part.delta and part.id not in self.summaries:
                    frames += (b"0:", encode_json(part.delta), b"\n")
            elif type(part) is p.ReasoningDelta and part.provider_metadata is None and self._shows_reasoning(part.id):
                # The SDK shows empty reasoning, though no empty text.
                frames += (b"g:", encode_json(part.delta), b"\n")
            elif type(part) is p.ToolInputDelta and part.tool_call_id in self.prefixes:
                # Empty deltas are sent here, as by the SDK.
                frames += (self.prefixes[part.tool_call_id], encode_json(part.delta), b"}\n")
            elif isinstance(part, p.DeltaRun):
                frames.append(self._encode_run(part))
            else:
                frames += [self.encode(admitted) for admitted in self.lifecycle.admit(part)]
                self.drop_closed()
        return b"".join(frames)

    def _encode_run(self, run: p.DeltaRun) -> bytes:
        is_text = run.kind is p.TextDelta
        if is_text and ("text", run.id) in self.lifecycle.open_blocks and run.id not in self.summaries:
            return encode_frames(b"0:", run.texts, b"\n")
        if run.kind is p.ToolInputDelta and run.id in self.prefixes:
            return encode_frames(self.prefixes[run.id], run.texts, b"}\n")
        if run.kind is p.ReasoningDelta and self._shows_reasoning(run.id):
            return encode_frames(b"g:", run.texts, b"\n")
        return self.feed_all(run.parts())

    def finish(self) -> bytes:
        """What is still due; the format has no terminator."""
        return b"".join(self.encode(part) for part in self.lifecycle.finish())

    def _shows_reasoning(self, block: str) -> bool:
        return ("reasoning", block) in self.lifecycle.open_blocks and self.options.send_reasoning

    def drop_closed(self) -> None:
        """Forget the prefixes of tool inputs that are not open any more."""
        for call in self.prefixes.keys() - self.lifecycle.open_inputs.keys():
            del self.prefixes[call]

    def encode(self, part: p.Part) -> bytes:
        """The lines for a part that is legal in its place."""
        handler = HANDLERS.get(type(part))
        return handler(self, part) if handler else b""

    def usage(self, usage: p.Usage) -> dict[str, Any]:
        """The key for usage, unless it is not to be sent."""
        return {"usage": usage_for_major(usage, 4)} if self.options.send_usage else {}


Self = DataStreamEncoder


def encode_start(self: Self, part: p.Start) -> bytes:
    return b"" if part.message_metadata is None else encode_metadata(self, part)


def encode_metadata(self: Self, part: p.Start | p.Finish | p.MessageMetadata) -> bytes:
    return line("8", [show_usage(part.message_metadata, V4)])


def encode_start_step(self: Self, part: p.StartStep) -> bytes:
    return line("f", {"messageId": part.message_id or self.options.new_id()})


def encode_text_start(self: Self, part: p.TextStart) -> bytes:
    is_summary = provider_value(part.provider_metadata, "type") == "compaction"
    (self.summaries.add if is_summary else self.summaries.discard)(part.id)
    return b""


def encode_text(self: Self, part: p.TextDelta) -> bytes:
    return line("0", part.delta) if part.delta else b""


def encode_reasoning_start(self: Self, part: p.ReasoningStart) -> bytes:
    redacted = provider_value(part.provider_metadata, "redactedData")
    return b"" if redacted is None or not self.options.send_reasoning else line("i", {"data": redacted})


def encode_reasoning(self: Self, part: p.ReasoningDelta) -> bytes:
    if not self.options.send_reasoning:
        return b""
    signature = provider_value(part.provider_metadata, "signature")
    if signature is None:
        return line("g", part.delta)
    return (line("g", part.delta) if part.delta else b"") + line("j", {"signature": signature})


def encode_source(self: Self, part: p.SourceUrl) -> bytes:
    if not self.options.send_sources or not part.since_major <= V4.major <= part.until_major:
        return b""
    value: dict[str, Any] = {"sourceType": "url", "id": part.source_id, "url": part.url}
    if part.title is not None:
        value["title"] = part.title
    if part.provider_metadata is not None:
        value["providerMetadata"] = part.provider_metadata
    return line("h", value)


def encode_file(self: Self, part: p.File) -> bytes:
    # The format holds base64 only: a file elsewhere has no frame.
    head, comma, data = part.url.partition(",")
    whole = comma and head.startswith("data:") and head.endswith(";base64")
    return line("k", {"data": data, "mimeType": part.media_type}) if whole else b""


def encode_data(self: Self, part: p.Data) -> bytes:
    value: dict[str, Any] = {"type": f"data-{part.name}"}
    if part.id is not None:
        value["id"] = part.id
    return line("2", [{**value, "data": part.data}])


def encode_input_start(self: Self, part: p.ToolInputStart) -> bytes:
    # The SDK begins a call with its first delta: one without any input is shown whole, or not at all.
    if self.options.tool_call_streaming:
        self.begun_calls[part.tool_call_id] = part.tool_name
    return b""


def encode_input_delta(self: Self, part: p.ToolInputDelta) -> bytes:
    tool_name = self.begun_calls.pop(part.tool_call_id, None)
    if tool_name is None:
        return b""
    prefix = b'c:{"toolCallId":%s,"argsTextDelta":' % encode_json(part.tool_call_id)
    self.prefixes[part.tool_call_id] = prefix
    start = line("b", {"toolCallId": part.tool_call_id, "toolName": tool_name})
    return start + prefix + encode_json(part.delta) + b"}\n"


def encode_input(self: Self, part: p.ToolInputAvailable) -> bytes:
    self.shown_calls.add(part.tool_call_id)
    # A string or a number as `args` throws in the client; tools take objects.
    args: Any = part.input
    if args is not None and not isinstance(args, Mapping | list | tuple):
        args = {"value": args}
    return line("9", {"toolCallId": part.tool_call_id, "toolName": part.tool_name, "args": args})


def encode_input_error(self: Self, part: p.ToolInputError) -> bytes:
    if part.provider_executed:
        # The provider answers it and the model goes on, so the answer goes on too; the raw text is no object of args.
        return encode_input(
            self, p.ToolInputAvailable(tool_call_id=part.tool_call_id, tool_name=part.tool_name, input={})
        )
    return line("3", MASKED_ERROR if part.client_text is None else part.client_text)


def encode_output(self: Self, part: p.ToolOutputAvailable) -> bytes:
    if part.preliminary or part.tool_call_id not in self.shown_calls:
        return b""
    return line("a", {"toolCallId": part.tool_call_id, "result": part.output})


def encode_output_error(self: Self, part: p.ToolOutputError) -> bytes:
    if part.invalid_input:
        return b""
    if part.provider_executed and part.tool_call_id in self.shown_calls:
        # The model reads it and goes on, so the answer goes on too.
        return line("a", {"toolCallId": part.tool_call_id, "result": {"error": MASKED_ERROR}})
    return line("3", MASKED_ERROR if part.client_text is None else part.client_text)


def encode_denied(self: Self, part: p.ToolOutputDenied) -> bytes:
    if part.tool_call_id not in self.shown_calls:
        return b""
    return line("a", {"toolCallId": part.tool_call_id, "result": DENIED})


def encode_finish_step(self: Self, part: p.FinishStep) -> bytes:
    reason = V4.finish_reason(part.finish_reason)
    return line("e", {"finishReason": reason, **self.usage(part.usage), "isContinued": part.is_continued})


def encode_finish(self: Self, part: p.Finish) -> bytes:
    metadata = b"" if part.message_metadata is None else encode_metadata(self, part)
    if not self.options.send_finish:
        return metadata
    return metadata + line("d", {"finishReason": V4.finish_reason(part.finish_reason), **self.usage(part.total_usage)})


def encode_error(self: Self, part: p.Error) -> bytes:
    return line("3", part.error_text)


HANDLERS: dict[type, Any] = {
    p.Start: encode_start,
    p.StartStep: encode_start_step,
    p.TextStart: encode_text_start,
    p.TextDelta: encode_text,
    p.ReasoningStart: encode_reasoning_start,
    p.ReasoningDelta: encode_reasoning,
    p.SourceUrl: encode_source,
    p.File: encode_file,
    p.Data: encode_data,
    p.MessageMetadata: encode_metadata,
    p.ToolInputStart: encode_input_start,
    p.ToolInputDelta: encode_input_delta,
    p.ToolInputAvailable: encode_input,
    p.ToolInputError: encode_input_error,
    p.ToolOutputAvailable: encode_output,
    p.ToolOutputError: encode_output_error,
    p.ToolOutputDenied: encode_denied,
    p.FinishStep: encode_finish_step,
    p.Finish: encode_finish,
    p.Error: encode_error,
}
"""Parts without a row have no frame in this format."""
