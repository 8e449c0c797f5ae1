from __future__ import annotations

from typing import Any

import pytest

from usechat.json import encode_json
from usechat.protocol.dialects import Version
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals

CALL = {"toolCallId": "t1", "toolName": "x"}
INPUT: dict[str, Any] = {"type": "tool-input-available", **CALL, "input": {}}
DYNAMIC: dict[str, Any] = {**INPUT, "dynamic": True}
INPUT_START: dict[str, Any] = {"type": "tool-input-start", **CALL}
INPUT_DELTA: dict[str, Any] = {"type": "tool-input-delta", "toolCallId": "t1", "inputTextDelta": ""}
OUTPUT: dict[str, Any] = {"type": "tool-output-available", "toolCallId": "t1", "output": 1}
ASK: dict[str, Any] = {"type": "tool-approval-request", "approvalId": "a", "toolCallId": "t1"}
ANSWER: dict[str, Any] = {"type": "tool-approval-response", "approvalId": "a", "approved": True}
TEXT: list[dict[str, Any]] = [{"type": "text-start", "id": "0"}, {"type": "text-delta", "id": "0", "delta": "a"}]
OLD_5, NEW_5, NEW_6, OLD_7, NEW_7 = (5, 0, 0), (5, 0, 277), (6, 0, 324), (7, 0, 78), (7, 0, 173)


def body(chunks: list[Any], end: bytes = b"data: [DONE]\n\n") -> bytes:
    return b"".join(b"data: %s\n\n" % encode_json(chunk) for chunk in chunks) + end


TAKEN: list[tuple[Version, list[Any]]] = [
    (OLD_5, [{"type": "start"}, *TEXT, {"type": "text-end", "id": "0"}, {"type": "finish"}]),
    (NEW_5, [DYNAMIC, {**OUTPUT, "dynamic": True}]),
    (NEW_5, [{"type": "finish", "finishReason": "unknown"}]),
    (NEW_6, [DYNAMIC, OUTPUT, ASK, {"type": "tool-output-denied", "toolCallId": "t1"}]),
    (NEW_7, [*TEXT, {"type": "finish-step"}, {"type": "text-end", "id": "0"}]),
    (NEW_7, [{"type": "finish", "finishReason": "interrupted"}]),
    (NEW_7, [{"type": "error", "errorText": "e"}, {"type": "text-end", "id": "0"}]),
    (NEW_7, [INPUT, ASK, ANSWER]),
    (NEW_7, [INPUT, {"type": "start-step"}, {"type": "reset-step"}, OUTPUT]),
    (NEW_6, [{"type": "tool-input-error", **CALL, "input": 1, "errorText": "e"}, OUTPUT]),
    (NEW_7, [{"type": "data-x", "data": None}]),
    (NEW_7, [INPUT_START, INPUT_DELTA, {"type": "tool-input-error", **CALL, "input": 1, "errorText": "e"}, OUTPUT]),
]


@pytest.mark.parametrize(("version", "chunks"), TAKEN)
def test_what_the_client_takes_is_no_refusal(version: Version, chunks: list[Any]):
    assert find_refusals(body(chunks), version) == []


REFUSED: list[tuple[Version, list[Any], str]] = [
    (OLD_5, [{"type": "finish", "finishReason": "stop"}], "finish.finishReason is unknown"),
    (NEW_7, [{"type": "finish", "finishReason": "unknown"}], "finish.finishReason has a wrong value"),
    (OLD_7, [{"type": "finish", "finishReason": "interrupted"}], "finish.finishReason has a wrong value"),
    (NEW_5, [ASK], "tool-approval-request is unknown"),
    (NEW_7, [{"type": "unheard-of"}], "unheard-of is unknown"),
    (NEW_7, [{"type": "start", "messageId": None}], "start.messageId has a wrong value"),
    (NEW_7, [{"type": "start", "extra": 1}], "start.extra is unknown"),
    (NEW_7, [{"type": "text-start"}], "text-start lacks id"),
    (NEW_7, [{"type": "text-start", "id": "0", "providerMetadata": {"a": 1}}], "providerMetadata has a wrong value"),
    (NEW_7, [[]], "is no object with a type"),
    (NEW_7, TEXT[1:], "no open block has this id"),
    (OLD_7, [*TEXT, {"type": "finish-step"}, TEXT[1]], "no open block has this id"),
    (NEW_7, [*TEXT, {"type": "text-end", "id": "0"}, TEXT[1]], "no open block has this id"),
    (NEW_7, [INPUT, INPUT_DELTA], "no tool input was started"),
    (NEW_7, [OUTPUT], "no such tool call"),
    (NEW_5, [DYNAMIC, OUTPUT], "of the other kind"),
    (NEW_7, [ASK], "no such tool call"),
    (NEW_7, [INPUT, ASK, {**ASK, "approvalId": "b"}, ANSWER], "no such approval request"),
    (NEW_7, [{"type": "start-step"}, INPUT, {"type": "reset-step"}, OUTPUT], "no such tool call"),
]  # fmt: skip


@pytest.mark.parametrize(("version", "chunks", "why"), REFUSED)
def test_what_the_client_refuses_is_named(version: Version, chunks: list[Any], why: str):
    assert any(why in refusal for refusal in find_refusals(body(chunks), version))


def test_known_calls_and_approvals_count():
    chunks = body([OUTPUT, ANSWER])
    assert find_refusals(chunks, NEW_7, known_tool_calls=["t1"], known_approvals=["a"]) == []


def test_calls_and_approvals_of_the_continued_message_count():
    call = {"type": "tool-x", "toolCallId": "t1", "state": "approval-responded", "approval": {"id": "a"}}
    message = {"id": "m", "role": "assistant", "parts": [{"type": "text", "text": "?"}, call]}
    assert find_refusals(body([OUTPUT, ANSWER]), NEW_7, continues=message) == []
    of_4 = {"role": "assistant", "parts": [{"type": "tool-invocation", "toolInvocation": {"toolCallId": "known"}}]}
    assert find_data_stream_refusals(b'a:{"toolCallId":"known","result":1}\n', continues=of_4) == []


@pytest.mark.parametrize(
    "end", [b"", b"data: [DONE]\n\ndata: [DONE]\n\n", b'data: [DONE]\n\ndata: {"type":"abort"}\n\n']
)
def test_the_terminator_has_to_stand_once_at_the_end(end: bytes):
    assert "the terminator does not stand once, at the end" in find_refusals(body([], end), NEW_7)


def test_what_is_no_json_is_refused():
    assert find_refusals(body([], b"data: {\n\ndata: [DONE]\n\n"), NEW_7) == ["chunk 0: is not JSON"]


STARTED = b'b:{"toolCallId":"t1","toolName":"x"}\n'
TAKEN_LINES: list[bytes] = [
    b"",
    b"\n",
    b'f:{"messageId":"m"}\n0:"a"\ne:{"finishReason":"stop","isContinued":false}\nd:{"finishReason":"stop"}\n',
    STARTED + b'c:{"toolCallId":"t1","argsTextDelta":""}\na:{"toolCallId":"t1","result":null}\n',
    b'9:{"toolCallId":"t1","toolName":"x","args":null}\na:{"toolCallId":"t1","result":1}\n',
    b'a:{"toolCallId":"known","result":1}\n',
    b'3:"e"\nz:1\n',
]


@pytest.mark.parametrize("lines", TAKEN_LINES)
def test_lines_that_the_client_of_major_4_takes_are_no_refusal(lines: bytes):
    assert find_data_stream_refusals(lines, known_tool_calls=["known"]) == []


REFUSED_LINES: list[tuple[bytes, str]] = [
    (b'0:"a"', "the last line is not whole"),
    (b"z:1\n", "z has no known code"),
    (b"0\n", "has no known code"),
    (b"0:{\n", "is not JSON"),
    (b"0:1\n", "0 has a value of another shape"),
    (b'f:{"messageId":1}\n', "f has a value of another shape"),
    (b'c:{"toolCallId":"t1","argsTextDelta":""}\n', "c without its b"),
    (b'9:{"toolCallId":"t1","toolName":"x","args":"{}"}\n', "9 with args of another type"),
    (b'a:{"toolCallId":"t1","result":1}\n', "a without its 9"),
]


@pytest.mark.parametrize(("lines", "why"), REFUSED_LINES)
def test_lines_that_the_client_of_major_4_refuses_are_named(lines: bytes, why: str):
    assert any(why in refusal for refusal in find_data_stream_refusals(lines))


LINES_OF_VERSIONS: list[tuple[bytes, tuple[int, int, int], tuple[int, int, int]]] = [
    # a line, the last release that refuses it and the first that takes it
    (b'9:{"toolCallId":"t1","toolName":"x","args":{}}\n', (3, 1, 6), (3, 1, 7)),
    (b'b:{"toolCallId":"t1","toolName":"x"}\n', (3, 2, 27), (3, 2, 28)),
    (b'd:{"finishReason":"stop","usage":{"promptTokens":1,"completionTokens":1}}\n', (3, 2, 37), (3, 2, 38)),
    (b'd:{"finishReason":"stop"}\n', (3, 3, 33), (3, 3, 35)),
    (b'f:{"messageId":"m"}\n', (4, 0, 38), (4, 0, 39)),
    (b'g:"a"\n', (4, 1, 0), (4, 1, 1)),
    (b'k:{"data":"","mimeType":"a/b"}\n', (4, 1, 62), (4, 1, 63)),
]


@pytest.mark.parametrize(("line", "last", "first"), LINES_OF_VERSIONS)
def test_an_older_client_refuses_a_line_that_it_does_not_know(line: bytes, last: Any, first: Any):
    assert find_data_stream_refusals(line, last) != []
    assert find_data_stream_refusals(line, first) == []


def test_an_old_client_wants_a_call_repeated_with_its_output():
    call = b'9:{"toolCallId":"t1","toolName":"x","args":{}}\n'
    assert find_data_stream_refusals(call + b'a:{"toolCallId":"t1","result":1}\n', (3, 2, 41)) != []
    assert (
        find_data_stream_refusals(call + b'a:{"toolCallId":"t1","toolName":"x","args":{},"result":1}\n', (3, 1, 7))
        == []
    )
