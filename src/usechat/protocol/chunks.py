"""Chunks: the objects of the UI message stream (AI SDK 5, 6, 7). One table encodes and decodes them, one row a type.

Upstream: ``ai/src/ui-message-stream/ui-message-chunks.ts`` and ``to-ui-message-chunk.ts`` (7.0.173). The
fields are in the SDK's order. An optional field that is None is left out: every client refuses an explicit ``null``
there. Knows no bytes and no order of chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, get_args

from usechat.errors import DecodeError
from usechat.parts import (
    Abort,
    Custom,
    Data,
    Error,
    File,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningFile,
    ReasoningStart,
    ResetStep,
    SourceDocument,
    SourceUrl,
    Start,
    StartStep,
    SteeringMessage,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    UnifiedFinishReason,
    Usage,
)
from usechat.protocol.dialects import Dialect
from usechat.unsafe_keys import make_safe

__all__ = ["CHUNKS", "ChunkRow", "decode_chunk", "encode_chunk", "is_chunk_type"]


class Field(NamedTuple):
    """One key of a chunk."""

    key: str
    attribute: str
    required: bool


class ChunkRow(NamedTuple):
    """One chunk type and its part."""

    type: str
    part: type
    fields: tuple[Field, ...]


def snake(key: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in key)


def read_row(type_: str, part: type, keys: str) -> ChunkRow:
    """Parse a row such as ``id delta providerMetadata?``. ``key=attribute`` names a part's attribute that differs."""

    def fields() -> Iterator[Field]:
        for word in keys.split():
            key, _, attribute = word.rstrip("?").partition("=")
            yield Field(key, attribute or snake(key), not word.endswith("?"))

    return ChunkRow(type_, part, tuple(fields()))


META = "providerMetadata?"
TOOL = f"providerExecuted? {META} toolMetadata? dynamic?"

CHUNKS: tuple[ChunkRow, ...] = (
    read_row("start", Start, "messageMetadata? messageId?"),
    read_row("start-step", StartStep, ""),
    read_row("text-start", TextStart, f"id {META}"),
    read_row("text-delta", TextDelta, f"id delta {META}"),
    read_row("text-end", TextEnd, f"id citations? {META}"),
    read_row("reasoning-start", ReasoningStart, f"id {META}"),
    read_row("reasoning-delta", ReasoningDelta, f"id delta {META}"),
    read_row("reasoning-end", ReasoningEnd, f"id {META}"),
    read_row("source-url", SourceUrl, f"sourceId url title? {META}"),
    read_row("source-document", SourceDocument, f"sourceId mediaType title filename? {META}"),
    read_row("file", File, f"mediaType url {META}"),
    read_row("reasoning-file", ReasoningFile, f"mediaType url {META}"),
    read_row("custom", Custom, f"kind {META}"),
    read_row("message-metadata", MessageMetadata, "messageMetadata"),
    read_row(
        "tool-input-start",
        ToolInputStart,
        f"toolCallId toolName inputEncoding? providerExecuted? {META} toolMetadata? dynamic? title?",
    ),
    read_row("tool-input-delta", ToolInputDelta, "toolCallId inputTextDelta=delta"),
    read_row("tool-input-available", ToolInputAvailable, f"toolCallId toolName input {TOOL} title?"),
    read_row("tool-input-error", ToolInputError, f"toolCallId toolName input {TOOL} errorText title?"),
    read_row(
        "tool-output-available",
        ToolOutputAvailable,
        f"toolCallId output providerExecuted? {META} toolMetadata? preliminary? dynamic?",
    ),
    read_row("tool-output-error", ToolOutputError, f"toolCallId errorText {TOOL}"),
    read_row("tool-output-denied", ToolOutputDenied, "toolCallId"),
    read_row(
        "tool-approval-request",
        ToolApprovalRequest,
        "approvalId toolCallId approvalDescriptor? inputSchemaInput? reason? isAutomatic? signature?",
    ),
    read_row("tool-approval-response", ToolApprovalResponse, f"approvalId approved reason? providerExecuted? {META}"),
    read_row("finish-step", FinishStep, ""),
    read_row("finish", Finish, "finishReason? messageMetadata?"),
    read_row("abort", Abort, "reason?"),
    read_row("error", Error, "errorText"),
    read_row("reset-step", ResetStep, ""),
    read_row("steering-message", SteeringMessage, "id parts"),
)

BY_PART: dict[type, ChunkRow] = {row.part: row for row in CHUNKS}
BY_TYPE: dict[str, ChunkRow] = {row.type: row for row in CHUNKS}

NEEDS: dict[type, Mapping[str, Any]] = {
    # Fields that a part requires and its chunk does not have: values for a decoded part.
    FinishStep: {"finish_reason": FinishReason("other"), "usage": Usage()},
    Finish: {"total_usage": Usage()},
    ToolOutputAvailable: {"tool_name": ""},
    ToolOutputError: {"tool_name": ""},
}

VALUE_TYPES: Mapping[str, type | tuple[type, ...]] = {
    # The schemas allow input and output to be absent: JavaScript has `undefined` there, Python None.
    **dict.fromkeys(("input", "output", "messageMetadata"), object),
    "approved": bool,
    "parts": (list, tuple),
}
"""The types of required keys that are not text."""

FINISH_REASONS: Mapping[str, UnifiedFinishReason] = {word: word for word in get_args(UnifiedFinishReason)}


def encode_chunk(part: Part, dialect: Dialect) -> dict[str, Any] | None:
    """Return the chunk for ``part`` with the fields that ``dialect`` accepts; None when it has no such chunk.

    Unsafe keys such as ``__proto__`` are left out of it: clients refuse them, and one breaks the whole answer.
    """
    if isinstance(part, Data):
        return encode_data(part)
    row = BY_PART[type(part)]
    if row.type in dialect.refused:
        return None
    chunk: dict[str, Any] = {"type": row.type}
    for field in row.fields:
        value = getattr(part, field.attribute)
        if field.required or (value is not None and f"{row.type}.{field.key}" not in dialect.refused):
            chunk[field.key] = make_safe(value)
    if isinstance(part, Finish) and "finishReason" in chunk:
        chunk["finishReason"] = dialect.finish_reason(part.finish_reason)
    return chunk


def encode_data(part: Data) -> dict[str, Any]:
    chunk: dict[str, Any] = {"type": f"data-{part.name}"}
    if part.id is not None:
        chunk["id"] = part.id
    chunk["data"] = make_safe(part.data)
    if part.transient is not None:
        chunk["transient"] = part.transient
    return chunk


def is_chunk_type(type_: str) -> bool:
    """Return whether a chunk type exists."""
    return type_ in BY_TYPE or type_.startswith("data-")


def decode_chunk(chunk: Any) -> Part:
    """Return the part of a chunk. Keys that are not in the table are ignored.

    Raises:
        DecodeError: The value is no chunk of the UI message stream.
    """
    match chunk:
        case {"type": str(type_)} if type_.startswith("data-"):
            return decode_data(type_, chunk)
        case {"type": str(type_)} if type_ in BY_TYPE:
            return decode_row(BY_TYPE[type_], chunk)
        case {"type": str()}:
            raise DecodeError("unknown chunk type")
        case _:
            raise DecodeError("a chunk must be an object with a type")


def decode_data(type_: str, chunk: Mapping[str, Any]) -> Part:
    return Data(
        name=type_.removeprefix("data-"),
        data=chunk.get("data"),
        id=chunk.get("id"),
        transient=chunk.get("transient"),
    )


def decode_row(row: ChunkRow, chunk: Mapping[str, Any]) -> Part:
    values = dict(NEEDS.get(row.part, {}))
    for field in row.fields:
        value = chunk.get(field.key)
        if field.required and not isinstance(value, VALUE_TYPES.get(field.key, str)):
            raise DecodeError(f"{row.type} lacks {field.key}, or it has a wrong value")
        if field.required or value is not None:
            values[field.attribute] = value
    if "error_text" in values and row.part is not Error:
        # The chunk has the browser's text only, not the model's.
        values["client_text"] = values["error_text"]
    if row.part is Finish:
        values["finish_reason"] = read_finish_reason(values.get("finish_reason"))
    return row.part(**values)


def read_finish_reason(word: str | None) -> FinishReason:
    unified = FINISH_REASONS.get(word or "")
    return FinishReason("other", word) if unified is None else FinishReason(unified)
