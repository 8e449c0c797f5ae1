from __future__ import annotations

import inspect
from typing import Any, get_args

import pytest

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
    Usage,
)
from usechat.protocol.chunks import CHUNKS, decode_chunk, encode_chunk
from usechat.protocol.dialects import NEWEST, SINCE, Dialect, parse_dialect

NEWEST_7 = Dialect(NEWEST[7], exact=True)
META = {"anthropic": {"x": 1}}
STOP = FinishReason("stop")
CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "x"}
CALL_CHUNK = {"toolCallId": "t1", "toolName": "x"}
OF_TOOL: dict[str, Any] = {"provider_executed": True, "provider_metadata": META, "tool_metadata": {"a": 1}}
OF_TOOL_CHUNK = {"providerExecuted": True, "providerMetadata": META, "toolMetadata": {"a": 1}}

# A part with everything that can be said of it, and its chunk; every optional key is marked by its place in the part.
FULL: list[tuple[Part, dict[str, Any]]] = [
    (
        Start(message_id="m", message_metadata={"a": 1}),
        {"type": "start", "messageMetadata": {"a": 1}, "messageId": "m"},
    ),
    (StartStep(), {"type": "start-step"}),
    (TextStart("0", META), {"type": "text-start", "id": "0", "providerMetadata": META}),
    (TextDelta("0", "a", META), {"type": "text-delta", "id": "0", "delta": "a", "providerMetadata": META}),
    (
        TextEnd("0", META, ({"source": {}},)),
        {"type": "text-end", "id": "0", "citations": ({"source": {}},), "providerMetadata": META},
    ),
    (ReasoningStart("0", META), {"type": "reasoning-start", "id": "0", "providerMetadata": META}),
    (ReasoningDelta("0", "a", META), {"type": "reasoning-delta", "id": "0", "delta": "a", "providerMetadata": META}),
    (ReasoningEnd("0", META), {"type": "reasoning-end", "id": "0", "providerMetadata": META}),
    (
        SourceUrl(source_id="s", url="u", title="t", provider_metadata=META),
        {"type": "source-url", "sourceId": "s", "url": "u", "title": "t", "providerMetadata": META},
    ),
    (
        SourceDocument(source_id="s", media_type="m", title="t", filename="f", provider_metadata=META),
        {
            "type": "source-document",
            "sourceId": "s",
            "mediaType": "m",
            "title": "t",
            "filename": "f",
            "providerMetadata": META,
        },
    ),
    (
        File(media_type="m", url="u", provider_metadata=META),
        {"type": "file", "mediaType": "m", "url": "u", "providerMetadata": META},
    ),
    (
        ReasoningFile(media_type="m", url="u", provider_metadata=META),
        {"type": "reasoning-file", "mediaType": "m", "url": "u", "providerMetadata": META},
    ),
    (Custom("a.b", META), {"type": "custom", "kind": "a.b", "providerMetadata": META}),
    (
        Data(name="x", data=None, id="d", transient=False),
        {"type": "data-x", "id": "d", "data": None, "transient": False},
    ),
    (MessageMetadata({"a": None}), {"type": "message-metadata", "messageMetadata": {"a": None}}),
    (
        ToolInputStart(**CALL, **OF_TOOL, dynamic=False, title="T", input_encoding="text"),
        {"type": "tool-input-start", **CALL_CHUNK, "inputEncoding": "text"}
        | {**OF_TOOL_CHUNK, "dynamic": False, "title": "T"},
    ),
    (
        ToolInputDelta(tool_call_id="t1", delta="{"),
        {"type": "tool-input-delta", "toolCallId": "t1", "inputTextDelta": "{"},
    ),
    (
        ToolInputAvailable(**CALL, input=None, **OF_TOOL, dynamic=True, title="T"),
        {"type": "tool-input-available", **CALL_CHUNK, "input": None, **OF_TOOL_CHUNK, "dynamic": True, "title": "T"},
    ),
    (
        ToolInputError(**CALL, input="{", error_text="e", **OF_TOOL, dynamic=True, title="T"),
        {"type": "tool-input-error", **CALL_CHUNK, "input": "{", **OF_TOOL_CHUNK}
        | {"dynamic": True, "errorText": "e", "title": "T"},
    ),
    (
        ToolOutputAvailable(**CALL, output=None, **OF_TOOL, preliminary=True, dynamic=True),
        {"type": "tool-output-available", "toolCallId": "t1", "output": None, **OF_TOOL_CHUNK}
        | {"preliminary": True, "dynamic": True},
    ),
    (
        ToolOutputError(**CALL, error_text="e", **OF_TOOL, dynamic=True),
        {"type": "tool-output-error", "toolCallId": "t1", "errorText": "e", **OF_TOOL_CHUNK, "dynamic": True},
    ),
    (ToolOutputDenied(**CALL), {"type": "tool-output-denied", "toolCallId": "t1"}),
    (
        ToolApprovalRequest(
            approval_id="a",
            tool_call_id="t1",
            signature="s",
            is_automatic=True,
            reason="r",
            input_schema_input={},
            approval_descriptor=[],
        ),
        {
            "type": "tool-approval-request",
            "approvalId": "a",
            "toolCallId": "t1",
            "approvalDescriptor": [],
            "inputSchemaInput": {},
            "reason": "r",
            "isAutomatic": True,
            "signature": "s",
        },
    ),
    (
        ToolApprovalResponse(
            approval_id="a", approved=False, reason="r", provider_executed=True, provider_metadata=META
        ),
        {
            "type": "tool-approval-response",
            "approvalId": "a",
            "approved": False,
            "reason": "r",
            "providerExecuted": True,
            "providerMetadata": META,
        },
    ),
    (FinishStep(finish_reason=FinishReason("other"), usage=Usage()), {"type": "finish-step"}),
    (
        Finish(finish_reason=STOP, total_usage=Usage(), message_metadata={"a": 1}),
        {"type": "finish", "finishReason": "stop", "messageMetadata": {"a": 1}},
    ),
    (Abort("r"), {"type": "abort", "reason": "r"}),
    (Error("e"), {"type": "error", "errorText": "e"}),
    (ResetStep(), {"type": "reset-step"}),
    (SteeringMessage(id="s", parts=({},)), {"type": "steering-message", "id": "s", "parts": ({},)}),
]


def test_every_part_has_a_chunk_and_a_row_here():
    assert {type(part) for part, _ in FULL} == set(get_args(Part))
    assert {row.part for row in CHUNKS} | {Data} == set(get_args(Part))


@pytest.mark.parametrize(("part", "chunk"), FULL, ids=lambda value: type(value).__name__)
def test_the_newest_client_gets_every_field_in_the_sdks_order(part: Part, chunk: dict[str, Any]):
    encoded = encode_chunk(part, NEWEST_7)
    assert encoded == chunk
    assert list(encoded or ()) == list(chunk)


@pytest.mark.parametrize("chunk", [chunk for _, chunk in FULL], ids=lambda chunk: chunk["type"])
def test_a_chunk_is_decoded_to_its_part(chunk: dict[str, Any]):
    assert encode_chunk(decode_chunk(chunk), NEWEST_7) == chunk


@pytest.mark.parametrize(("part", "chunk"), FULL, ids=lambda value: type(value).__name__)
def test_an_absent_field_is_left_out_and_never_null(part: Part, chunk: dict[str, Any]):
    required = [name for name, parameter in inspect.signature(type(part)).parameters.items() if is_required(parameter)]
    bare = type(part)(**{name: getattr(part, name) for name in required})
    encoded = encode_chunk(bare, NEWEST_7)
    assert encoded is not None
    assert None not in [value for key, value in encoded.items() if key not in ("input", "output", "data")]
    assert encoded.items() <= chunk.items()


def is_required(parameter: inspect.Parameter) -> bool:
    return parameter.default is inspect.Parameter.empty


@pytest.mark.parametrize(
    "version", ["5.0.0", "5.0.91", "5.0.92", "5", "6.0.0", "6.0.100", "6", "7.0.0", "7.0.149", "7"]
)
def test_a_client_gets_no_chunk_and_no_field_before_its_time(version: str):
    dialect = parse_dialect(version)
    assert dialect is not None
    shown = {name for part, _ in FULL for name in names(encode_chunk(part, dialect))}
    everything = {name for _, chunk in FULL for name in names(chunk)}
    assert shown == {name for name in everything if not refused(name, dialect)}


def names(chunk: dict[str, Any] | None) -> set[str]:
    return set() if chunk is None else {chunk["type"], *(f"{chunk['type']}.{key}" for key in chunk if key != "type")}


def refused(name: str, dialect: Dialect) -> bool:
    return name in dialect.refused or name.partition(".")[0] in dialect.refused


def test_the_table_of_versions_names_only_chunks_and_fields_that_exist():
    known = {row.type for row in CHUNKS} | {f"{row.type}.{field.key}" for row in CHUNKS for field in row.fields}
    assert set(SINCE) <= known


def test_every_major_that_has_a_finish_reason_gets_its_own_word():
    unsure = Finish(finish_reason=FinishReason("other", "new"), total_usage=Usage())
    for major, word in ((5, "unknown"), (6, "other"), (7, "other")):
        assert encode_chunk(unsure, Dialect(NEWEST[major], exact=True)) == {"type": "finish", "finishReason": word}


def test_a_finish_reason_of_another_major_is_kept_as_raw():
    finish = decode_chunk({"type": "finish", "finishReason": "unknown"})
    assert isinstance(finish, Finish)
    assert finish.finish_reason == FinishReason("other", "unknown")


def test_what_the_schema_lets_be_absent_is_null():
    assert decode_chunk({"type": "tool-output-available", "toolCallId": "t"}) == ToolOutputAvailable(
        tool_call_id="t", tool_name="", output=None
    )
    assert decode_chunk({"type": "data-x"}) == Data(name="x", data=None)
    assert decode_chunk({"type": "finish"}) == Finish(finish_reason=FinishReason("other"), total_usage=Usage())


def test_unknown_keys_are_ignored():
    assert decode_chunk({"type": "start-step", "request": {}}) == StartStep()


NO_CHUNKS: list[Any] = [
    None,
    "start",
    [],
    {},
    {"type": 1},
    {"type": "unheard-of"},
    {"type": "text-delta", "id": "0"},
    {"type": "text-delta", "id": "0", "delta": 1},
    {"type": "tool-approval-response", "approvalId": "a"},
    {"type": "error", "errorText": None},
]


@pytest.mark.parametrize("chunk", NO_CHUNKS)
def test_what_is_no_chunk_is_refused(chunk: Any):
    with pytest.raises(DecodeError):
        decode_chunk(chunk)
