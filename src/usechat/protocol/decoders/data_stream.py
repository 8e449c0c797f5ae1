"""Decodes the data stream v1 of AI SDK 4, as strictly as its client (docs/protocol.md, Data stream v1).

The format has no block ids and no ends: text and reasoning last until something else comes.
"""

from __future__ import annotations

from typing import Any, ClassVar

from usechat.errors import DecodeError
from usechat.json import decode_json
from usechat.parts import (
    Data,
    Error,
    File,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ProviderMetadata,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceUrl,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputAvailable,
    Usage,
)

__all__ = ["DataStreamDecoder"]


class DataStreamDecoder:
    """Decode lines to parts. The bytes may be cut anywhere."""

    def __init__(self) -> None:
        self.pending = b""
        self.blocks = 0
        self.open: type | None = None
        self.calls: dict[str, str] = {}
        self.is_started = False

    def feed(self, data: bytes) -> list[Part]:
        """Return the parts that ``data`` completes.

        Raises:
            DecodeError: A line has an unknown code, no colon, or a wrong value for its code.
        """
        *lines, self.pending = (self.pending + data).split(b"\n")
        return [part for line in lines for part in self.read(line)]

    def finish(self) -> list[Part]:
        """Return the parts of a last line without LF, and the ends of open blocks."""
        line, self.pending = self.pending, b""
        return [*self.read(line), *self.close()]

    def read(self, line: bytes) -> list[Part]:
        """Return the parts of one line."""
        if not line.strip():
            return []
        code, colon, text = line.partition(b":")
        handler = self.HANDLERS.get(code.decode("ascii", "replace"))
        if not colon or handler is None:
            raise DecodeError("a line has no known code")
        try:
            return handler(self, decode_json(text.decode("utf-8", "replace")))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DecodeError(f"the value of a line {code.decode()} is not what that code demands") from error

    @property
    def block(self) -> str:
        """The id of the newest block."""
        return str(self.blocks)

    def close(self) -> list[Part]:
        """Close the open block and return its end, if there is one."""
        ended, self.open = self.open, None
        return [] if ended is None else [ended(self.block)]

    def begin(self, start: type, end: type, metadata: ProviderMetadata | None = None) -> list[Part]:
        """Start a block unless one of its kind is open. Return the parts for it."""
        if self.open is end and metadata is None:
            return []
        closed = self.close()
        self.blocks += 1
        self.open = end
        return [*closed, start(self.block, metadata)]

    def _read_start_step(self, value: Any) -> list[Part]:
        start: list[Part] = [] if self.is_started else [Start(message_id=value["messageId"])]
        self.is_started = True
        return [*self.close(), *start, StartStep(message_id=value["messageId"])]

    def _read_text(self, value: Any) -> list[Part]:
        return [*self.begin(TextStart, TextEnd), TextDelta(self.block, demand(value, str))]

    def _read_reasoning(self, value: Any) -> list[Part]:
        return [*self.begin(ReasoningStart, ReasoningEnd), ReasoningDelta(self.block, demand(value, str))]

    def _read_signature(self, value: Any) -> list[Part]:
        begun = self.begin(ReasoningStart, ReasoningEnd)
        signed = ReasoningDelta(self.block, "", anthropic("signature", value["signature"]))
        # A signature ends its block: later reasoning text is a new block.
        return [*begun, signed, *self.close()]

    def _read_redacted(self, value: Any) -> list[Part]:
        begun = self.begin(ReasoningStart, ReasoningEnd, anthropic("redactedData", value["data"]))
        return [*begun, *self.close()]

    def _read_source(self, value: Any) -> list[Part]:
        source = SourceUrl(
            source_id=value["id"],
            url=value["url"],
            title=value.get("title"),
            provider_metadata=value.get("providerMetadata"),
        )
        return [*self.close(), source]

    def _read_file(self, value: Any) -> list[Part]:
        url = f"data:{value['mimeType']};base64,{value['data']}"
        return [*self.close(), File(media_type=value["mimeType"], url=url)]

    def _read_data(self, value: Any) -> list[Part]:
        return [read_data_item(item) for item in demand(value, list)]

    def _read_annotations(self, value: Any) -> list[Part]:
        return [MessageMetadata(item) for item in demand(value, list)]

    def _read_error(self, value: Any) -> list[Part]:
        return [Error(demand(value, str))]

    def _read_input_start(self, value: Any) -> list[Part]:
        self.calls[value["toolCallId"]] = value["toolName"]
        return [*self.close(), ToolInputStart(tool_call_id=value["toolCallId"], tool_name=value["toolName"])]

    def _read_input_delta(self, value: Any) -> list[Part]:
        if value["toolCallId"] not in self.calls:
            raise KeyError(value["toolCallId"])
        return [ToolInputDelta(tool_call_id=value["toolCallId"], delta=value["argsTextDelta"])]

    def _read_input(self, value: Any) -> list[Part]:
        if isinstance(value["args"], str):
            raise TypeError
        self.calls[value["toolCallId"]] = value["toolName"]
        call = ToolInputAvailable(tool_call_id=value["toolCallId"], tool_name=value["toolName"], input=value["args"])
        return [*self.close(), call]

    def _read_output(self, value: Any) -> list[Part]:
        name = self.calls[value["toolCallId"]]
        return [ToolOutputAvailable(tool_call_id=value["toolCallId"], tool_name=name, output=value["result"])]

    def _read_finish_step(self, value: Any) -> list[Part]:
        closed = [] if value.get("isContinued") else self.close()
        step = FinishStep(
            finish_reason=read_reason(value), usage=read_usage(value), is_continued=bool(value.get("isContinued"))
        )
        return [*closed, step]

    def _read_finish(self, value: Any) -> list[Part]:
        return [*self.close(), Finish(finish_reason=read_reason(value), total_usage=read_usage(value))]

    HANDLERS: ClassVar[dict[str, Any]] = {
        "f": _read_start_step,
        "0": _read_text,
        "g": _read_reasoning,
        "j": _read_signature,
        "i": _read_redacted,
        "h": _read_source,
        "k": _read_file,
        "2": _read_data,
        "8": _read_annotations,
        "3": _read_error,
        "b": _read_input_start,
        "c": _read_input_delta,
        "9": _read_input,
        "a": _read_output,
        "e": _read_finish_step,
        "d": _read_finish,
    }


def anthropic(key: str, value: Any) -> ProviderMetadata:
    # The format names no provider. Anthropic is the only provider of this package.
    return {"anthropic": {key: value}}


def demand(value: Any, type_: type) -> Any:
    if not isinstance(value, type_):
        raise TypeError
    return value


def read_data_item(item: Any) -> Part:
    match item:
        case {"type": str(type_), "data": data} if type_.startswith("data-"):
            return Data(name=type_.removeprefix("data-"), data=data, id=item.get("id"))
        case _:
            return Data(name="data", data=item)


def read_usage(value: Any) -> Usage:
    usage: Any = value.get("usage") or {}
    prompt = usage.get("promptTokens")
    return Usage(input_no_cache=prompt, input_first=prompt, output=usage.get("completionTokens"))


def read_reason(value: Any) -> FinishReason:
    known = ("stop", "length", "content-filter", "tool-calls", "error", "other")
    word = value["finishReason"]
    return FinishReason(word) if word in known else FinishReason("other", word)
