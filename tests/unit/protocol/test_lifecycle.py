from __future__ import annotations

import logging
from typing import Any

import pytest

from usechat.errors import StreamProtocolError
from usechat.parts import (
    Abort,
    Data,
    Error,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    ResetStep,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)
from usechat.protocol.lifecycle import CLOSED_STEP, UNKNOWN_FINISH, Lifecycle

STOP = FinishReason("stop")
STEP_END = FinishStep(finish_reason=STOP, usage=Usage())
END = Finish(finish_reason=STOP, total_usage=Usage())
UNKNOWN_END = Finish(finish_reason=UNKNOWN_FINISH, total_usage=Usage())
CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "x"}
INPUT_START = ToolInputStart(**CALL)
INPUT_DELTA = ToolInputDelta(tool_call_id="t1", delta="{")
INPUT = ToolInputAvailable(**CALL, input={})
OUTPUT = ToolOutputAvailable(**CALL, output=1)
ASK = ToolApprovalRequest(approval_id="a1", tool_call_id="t1")
ASK_AGAIN = ToolApprovalRequest(approval_id="a2", tool_call_id="t1")
ANSWER = ToolApprovalResponse(approval_id="a1", approved=True)
DATA = Data(name="x", data=1)


def admit_all(lifecycle: Lifecycle, parts: list[Part]) -> list[Part]:
    return [admitted for part in parts for admitted in lifecycle.admit(part)]


LEGAL: dict[str, list[Part]] = {
    "a step": [Start(), StartStep(), TextStart("0"), TextDelta("0", "a"), TextEnd("0"), STEP_END, END],
    "nothing but text": [TextStart("0"), TextDelta("0", "a"), TextEnd("0")],
    "a second start": [Start(message_id="a"), StartStep(), Start(message_id="b"), STEP_END, END],
    "a step that never began": [Start(), STEP_END, END],
    "text and reasoning of one id": [TextStart("0"), ReasoningStart("0"), TextEnd("0"), ReasoningEnd("0")],
    "a tool with and without streamed input": [INPUT_START, INPUT_DELTA, INPUT, OUTPUT, INPUT, OUTPUT],
    "an approval": [INPUT, ASK, ANSWER, ToolOutputDenied(**CALL)],
    "an error in a block": [StartStep(), TextStart("0"), Error("e"), STEP_END, END],
    "an abort in a block": [StartStep(), TextStart("0"), Abort()],
    "an abort at once": [Abort()],
    "data at any time": [DATA, Start(), DATA, StartStep(), DATA, STEP_END, END, DATA, MessageMetadata({})],
    "a step tried again": [StartStep(), TextStart("0"), ResetStep(), TextStart("0"), TextEnd("0"), STEP_END],
    "a finish alone": [END],
}


@pytest.mark.parametrize("parts", LEGAL.values(), ids=LEGAL)
def test_legal_parts_pass_as_they_are(parts: list[Part]):
    lifecycle = Lifecycle(strict=True, closes_blocks=False)
    assert admit_all(lifecycle, parts) == parts


MENDED: dict[str, tuple[list[Part], list[Part]]] = {
    "a delta without its start": (
        [TextDelta("0", "a"), TextDelta("0", "b")],
        [TextStart("0"), TextDelta("0", "a"), TextDelta("0", "b")],
    ),
    "a reasoning delta after its end": (
        [ReasoningStart("0"), ReasoningEnd("0"), ReasoningDelta("0", "a")],
        [ReasoningStart("0"), ReasoningEnd("0"), ReasoningStart("0"), ReasoningDelta("0", "a")],
    ),
    "a block started twice": (
        [TextStart("0"), TextStart("0")],
        [TextStart("0"), TextEnd("0"), TextStart("0")],
    ),
    "an end without its start": ([TextEnd("0"), ReasoningEnd("0")], []),
    "a step within a step": ([StartStep(), StartStep()], [StartStep(), CLOSED_STEP, StartStep()]),
    "a finish within a step": ([StartStep(), END], [StartStep(), CLOSED_STEP, END]),
    "a step's end before everything": ([STEP_END], []),
    "a reset outside a step": ([ResetStep(), Start(), ResetStep()], [Start()]),
    "parts after the end": (
        [END, Start(), StartStep(), TextStart("0"), ResetStep(), STEP_END, END, Abort()],
        [END],
    ),
    "an input delta without its start": ([INPUT_DELTA, INPUT_START, INPUT, INPUT_DELTA], [INPUT_START, INPUT]),
    "an input delta after the output": ([INPUT_START, OUTPUT, INPUT_DELTA], [INPUT_START, OUTPUT]),
    "results of unknown calls": ([OUTPUT, ToolOutputError(**CALL, error_text="e"), ToolOutputDenied(**CALL)], []),
    "approvals of unknown calls": ([ASK, ANSWER], []),
    "an answer to the approval before": ([INPUT, ASK, ASK_AGAIN, ANSWER], [INPUT, ASK, ASK_AGAIN]),
    "a call that was forgotten": (
        [StartStep(), INPUT, ASK, ResetStep(), OUTPUT, ANSWER],
        [StartStep(), INPUT, ASK, ResetStep()],
    ),
}


@pytest.mark.parametrize(("parts", "mended"), MENDED.values(), ids=MENDED)
def test_illegal_parts_are_mended_and_logged(parts: list[Part], mended: list[Part], caplog: pytest.LogCaptureFixture):
    lifecycle = Lifecycle(closes_blocks=False)
    assert admit_all(lifecycle, parts) == mended
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@pytest.mark.parametrize("parts", [parts for parts, _ in MENDED.values()], ids=MENDED)
def test_strict_raises_for_illegal_parts(parts: list[Part]):
    lifecycle = Lifecycle(strict=True, closes_blocks=False)
    with pytest.raises(StreamProtocolError):
        admit_all(lifecycle, parts)


def test_a_call_of_an_earlier_step_survives_a_reset():
    lifecycle = Lifecycle(strict=True)
    parts: list[Part] = [StartStep(), INPUT, ASK, STEP_END, StartStep(), INPUT, ResetStep(), ANSWER, OUTPUT]
    assert admit_all(lifecycle, parts) == parts


def test_a_client_that_knows_no_reset_keeps_what_it_has():
    lifecycle = Lifecycle(strict=True, resets_steps=False)
    parts: list[Part] = [StartStep(), TextStart("0"), INPUT, ResetStep(), OUTPUT]
    shown = admit_all(lifecycle, parts)
    assert shown == [StartStep(), TextStart("0"), INPUT, TextEnd("0"), ResetStep(), OUTPUT]


@pytest.mark.parametrize("last", [Error("e"), STEP_END, Abort()])
def test_open_blocks_are_closed_before_an_end(last: Part):
    lifecycle = Lifecycle(strict=True)
    for part in (StartStep(), TextStart("0"), ReasoningStart("1")):
        lifecycle.admit(part)
    assert lifecycle.admit(last) == (TextEnd("0"), ReasoningEnd("1"), last)


def test_block_that_an_error_closed_may_end_once_more():
    lifecycle = Lifecycle(strict=True)
    parts: list[Part] = [StartStep(), TextStart("0"), Error("e"), TextEnd("0"), STEP_END]
    assert admit_all(lifecycle, parts) == [StartStep(), TextStart("0"), TextEnd("0"), Error("e"), STEP_END]


def test_known_calls_and_approvals_of_a_continued_message_are_legal():
    lifecycle = Lifecycle(strict=True, known_tool_calls=["t1"], known_approvals=["a1"])
    assert lifecycle.admit(OUTPUT) == (OUTPUT,)
    assert lifecycle.admit(ANSWER) == (ANSWER,)


DUE: list[tuple[list[Part], tuple[Part, ...]]] = [
    ([], ()),
    ([Start(), Error("e")], ()),
    ([StartStep(), STEP_END], ()),
    ([StartStep()], (CLOSED_STEP, UNKNOWN_END)),
    ([StartStep(), TextStart("0")], (TextEnd("0"), CLOSED_STEP, UNKNOWN_END)),
    ([TextStart("0")], (TextEnd("0"), UNKNOWN_END)),
    ([END], ()),
    ([Abort()], ()),
]


@pytest.mark.parametrize(("parts", "due"), DUE)
def test_what_is_due_at_the_end(parts: list[Part], due: tuple[Part, ...]):
    lifecycle = Lifecycle(strict=True, closes_blocks=False)
    for part in parts:
        lifecycle.admit(part)
    assert lifecycle.finish() == due
    assert lifecycle.finish() == ()
