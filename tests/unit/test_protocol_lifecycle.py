from __future__ import annotations

import logging
from typing import Any

import pytest

from usechat import parts as p
from usechat.errors import StreamProtocolError
from usechat.protocol.lifecycle import CLOSED_STEP, UNKNOWN_FINISH, Lifecycle

STOP = p.FinishReason("stop")
STEP_END = p.FinishStep(finish_reason=STOP, usage=p.Usage())
END = p.Finish(finish_reason=STOP, total_usage=p.Usage())
UNKNOWN_END = p.Finish(finish_reason=UNKNOWN_FINISH, total_usage=p.Usage())
CALL: dict[str, Any] = {"tool_call_id": "t1", "tool_name": "x"}
INPUT_START = p.ToolInputStart(**CALL)
INPUT_DELTA = p.ToolInputDelta(tool_call_id="t1", delta="{")
INPUT = p.ToolInputAvailable(**CALL, input={})
OUTPUT = p.ToolOutputAvailable(**CALL, output=1)
ASK = p.ToolApprovalRequest(approval_id="a1", tool_call_id="t1")
ASK_AGAIN = p.ToolApprovalRequest(approval_id="a2", tool_call_id="t1")
ANSWER = p.ToolApprovalResponse(approval_id="a1", approved=True)
DATA = p.Data(name="x", data=1)


def admit_all(lifecycle: Lifecycle, parts: list[p.Part]) -> list[p.Part]:
    return [admitted for part in parts for admitted in lifecycle.admit(part)]


LEGAL: dict[str, list[p.Part]] = {
    "a step": [p.Start(), p.StartStep(), p.TextStart("0"), p.TextDelta("0", "a"), p.TextEnd("0"), STEP_END, END],
    "nothing but text": [p.TextStart("0"), p.TextDelta("0", "a"), p.TextEnd("0")],
    "a second start": [p.Start(message_id="a"), p.StartStep(), p.Start(message_id="b"), STEP_END, END],
    "a step that never began": [p.Start(), STEP_END, END],
    "text and reasoning of one id": [p.TextStart("0"), p.ReasoningStart("0"), p.TextEnd("0"), p.ReasoningEnd("0")],
    "a tool with and without streamed input": [INPUT_START, INPUT_DELTA, INPUT, OUTPUT, INPUT, OUTPUT],
    "an approval": [INPUT, ASK, ANSWER, p.ToolOutputDenied(**CALL)],
    "an error in a block": [p.StartStep(), p.TextStart("0"), p.Error("e"), STEP_END, END],
    "an abort in a block": [p.StartStep(), p.TextStart("0"), p.Abort()],
    "an abort at once": [p.Abort()],
    "data at any time": [DATA, p.Start(), DATA, p.StartStep(), DATA, STEP_END, END, DATA, p.MessageMetadata({})],
    "a step tried again": [p.StartStep(), p.TextStart("0"), p.ResetStep(), p.TextStart("0"), p.TextEnd("0"), STEP_END],
    "a finish alone": [END],
}


@pytest.mark.parametrize("parts", LEGAL.values(), ids=LEGAL)
def test_legal_parts_pass_as_they_are(parts: list[p.Part]):
    lifecycle = Lifecycle(strict=True, closes_blocks=False)
    assert admit_all(lifecycle, parts) == parts


MENDED: dict[str, tuple[list[p.Part], list[p.Part]]] = {
    "a delta without its start": (
        [p.TextDelta("0", "a"), p.TextDelta("0", "b")],
        [p.TextStart("0"), p.TextDelta("0", "a"), p.TextDelta("0", "b")],
    ),
    "a reasoning delta after its end": (
        [p.ReasoningStart("0"), p.ReasoningEnd("0"), p.ReasoningDelta("0", "a")],
        [p.ReasoningStart("0"), p.ReasoningEnd("0"), p.ReasoningStart("0"), p.ReasoningDelta("0", "a")],
    ),
    "a block started twice": (
        [p.TextStart("0"), p.TextStart("0")],
        [p.TextStart("0"), p.TextEnd("0"), p.TextStart("0")],
    ),
    "an end without its start": ([p.TextEnd("0"), p.ReasoningEnd("0")], []),
    "a step within a step": ([p.StartStep(), p.StartStep()], [p.StartStep(), CLOSED_STEP, p.StartStep()]),
    "a finish within a step": ([p.StartStep(), END], [p.StartStep(), CLOSED_STEP, END]),
    "a step's end before everything": ([STEP_END], []),
    "a reset outside a step": ([p.ResetStep(), p.Start(), p.ResetStep()], [p.Start()]),
    "parts after the end": (
        [END, p.Start(), p.StartStep(), p.TextStart("0"), p.ResetStep(), STEP_END, END, p.Abort()],
        [END],
    ),
    "an input delta without its start": ([INPUT_DELTA, INPUT_START, INPUT, INPUT_DELTA], [INPUT_START, INPUT]),
    "an input delta after the output": ([INPUT_START, OUTPUT, INPUT_DELTA], [INPUT_START, OUTPUT]),
    "results of unknown calls": ([OUTPUT, p.ToolOutputError(**CALL, error_text="e"), p.ToolOutputDenied(**CALL)], []),
    "approvals of unknown calls": ([ASK, ANSWER], []),
    "an answer to the approval before": ([INPUT, ASK, ASK_AGAIN, ANSWER], [INPUT, ASK, ASK_AGAIN]),
    "a call that was forgotten": (
        [p.StartStep(), INPUT, ASK, p.ResetStep(), OUTPUT, ANSWER],
        [p.StartStep(), INPUT, ASK, p.ResetStep()],
    ),
}


@pytest.mark.parametrize(("parts", "mended"), MENDED.values(), ids=MENDED)
def test_illegal_parts_are_mended_and_logged(
    parts: list[p.Part], mended: list[p.Part], caplog: pytest.LogCaptureFixture
):
    lifecycle = Lifecycle(closes_blocks=False)
    assert admit_all(lifecycle, parts) == mended
    assert {record.levelno for record in caplog.records} == {logging.ERROR}


@pytest.mark.parametrize("parts", [parts for parts, _ in MENDED.values()], ids=MENDED)
def test_strict_raises_for_illegal_parts(parts: list[p.Part]):
    lifecycle = Lifecycle(strict=True, closes_blocks=False)
    with pytest.raises(StreamProtocolError):
        admit_all(lifecycle, parts)


def test_a_call_of_an_earlier_step_survives_a_reset():
    lifecycle = Lifecycle(strict=True)
    parts: list[p.Part] = [p.StartStep(), INPUT, ASK, STEP_END, p.StartStep(), INPUT, p.ResetStep(), ANSWER, OUTPUT]
    assert admit_all(lifecycle, parts) == parts


def test_a_client_that_knows_no_reset_keeps_what_it_has():
    lifecycle = Lifecycle(strict=True, resets_steps=False)
    parts: list[p.Part] = [p.StartStep(), p.TextStart("0"), INPUT, p.ResetStep(), OUTPUT]
    shown = admit_all(lifecycle, parts)
    assert shown == [p.StartStep(), p.TextStart("0"), INPUT, p.TextEnd("0"), p.ResetStep(), OUTPUT]


@pytest.mark.parametrize("last", [p.Error("e"), STEP_END, p.Abort()])
def test_open_blocks_are_closed_before_an_end(last: p.Part):
    lifecycle = Lifecycle(strict=True)
    for part in (p.StartStep(), p.TextStart("0"), p.ReasoningStart("1")):
        lifecycle.admit(part)
    assert lifecycle.admit(last) == (p.TextEnd("0"), p.ReasoningEnd("1"), last)


def test_known_calls_and_approvals_of_a_continued_message_are_legal():
    lifecycle = Lifecycle(strict=True, known_tool_calls=["t1"], known_approvals=["a1"])
    assert lifecycle.admit(OUTPUT) == (OUTPUT,)
    assert lifecycle.admit(ANSWER) == (ANSWER,)


DUE: list[tuple[list[p.Part], tuple[p.Part, ...]]] = [
    ([], ()),
    ([p.Start(), p.Error("e")], ()),
    ([p.StartStep(), STEP_END], ()),
    ([p.StartStep()], (CLOSED_STEP, UNKNOWN_END)),
    ([p.StartStep(), p.TextStart("0")], (p.TextEnd("0"), CLOSED_STEP, UNKNOWN_END)),
    ([p.TextStart("0")], (p.TextEnd("0"), UNKNOWN_END)),
    ([END], ()),
    ([p.Abort()], ()),
]


@pytest.mark.parametrize(("parts", "due"), DUE)
def test_what_is_due_at_the_end(parts: list[p.Part], due: tuple[p.Part, ...]):
    lifecycle = Lifecycle(strict=True, closes_blocks=False)
    for part in parts:
        lifecycle.admit(part)
    assert lifecycle.finish() == due
    assert lifecycle.finish() == ()
