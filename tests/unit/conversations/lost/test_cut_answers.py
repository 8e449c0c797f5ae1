"""What there is of an answer whose process died, and how its open ends are closed for who goes on with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from usechat.conversations.lost.cut_answers import CutAnswer, read_cut_answer
from usechat.conversations.lost.runs import LostRun, make_decoder
from usechat.parts import (
    Error,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningStart,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputStart,
    ToolOutputAvailable,
    Usage,
)
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.encoders import WireFormat, make_encoder
from usechat.protocol.reducer import Reducer

MAJORS = (4, 5, 6, 7)
BEGUN: list[Part] = [Start(message_id="m"), StartStep(message_id="m")]
TEXT: list[Part] = [TextStart("0"), TextDelta("0", "High wat")]
CALL = ToolInputAvailable(tool_call_id="c", tool_name="sound", input={"times": 1})
OUTPUT = ToolOutputAvailable(tool_call_id="c", tool_name="sound", output="done")
STEP_END = FinishStep(finish_reason=FinishReason("stop"), usage=Usage())
END = Finish(finish_reason=FinishReason("stop"), total_usage=Usage())


def lost_run(major: int = 7, wire_format: WireFormat | None = None) -> LostRun:
    return LostRun(turn_id="t", wire_format=wire_format, version=NEWEST[major], is_exact=True, message_id="m")


def cut(parts: Sequence[Part], major: int = 7, **given: Any) -> CutAnswer | None:
    frames = make_encoder(None, Dialect(NEWEST[major], exact=True)).feed_all(parts)
    return read_cut_answer(lost_run(major), frames, given.get("continued"), given.get("is_client_tool"))


def maybe_tool(answer: CutAnswer | None) -> dict[str, Any]:
    assert answer is not None
    assert answer.message is not None
    return next(part for part in answer.message["parts"] if "toolCallId" in part)


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize(
    "shown",
    [
        TEXT,
        [ReasoningStart("r"), ReasoningDelta("r", "Hm")],
        [*TEXT, TextEnd("0"), CALL],
        [CALL, OUTPUT],
        [CALL, OUTPUT, STEP_END, StartStep(message_id="m"), *TEXT],
    ],
)
def test_readers_who_get_the_frames_have_the_message_without_open_ends(major: int, shown: list[Part]):
    parts = [*BEGUN, *shown]
    answer = cut(parts, major)
    assert answer is not None
    assert answer.message is not None
    seen = make_encoder(None, Dialect(NEWEST[major], exact=True)).feed_all(parts) + answer.frames
    reader = Reducer("m", dialect=Dialect(NEWEST[major], exact=True))
    reader.feed_all(make_decoder(lost_run(major)).feed(seen))
    assert reader.message() == answer.message
    assert "streaming" not in [part.get("state") for part in answer.message["parts"]]
    assert not reader.shaper.lifecycle.is_in_step
    assert answer.is_started


def test_call_that_had_begun_is_left_to_who_goes_on():
    answer = cut([*BEGUN, CALL])
    assert maybe_tool(answer)["state"] == "input-available"
    assert answer is not None
    assert answer.lost_calls == {"c"}


def test_call_with_its_output_is_not_lost():
    answer = cut([*BEGUN, CALL, OUTPUT])
    assert maybe_tool(answer)["output"] == "done"
    assert answer is not None
    assert answer.lost_calls == frozenset()


def test_preliminary_output_is_no_outcome():
    preliminary = ToolOutputAvailable(tool_call_id="c", tool_name="sound", output="soon", preliminary=True)
    answer = cut([*BEGUN, CALL, preliminary])
    assert answer is not None
    assert answer.lost_calls == {"c"}


def test_call_whose_input_is_not_whole_was_not_carried_out():
    answer = cut([*BEGUN, ToolInputStart(tool_call_id="c", tool_name="sound"), ToolInputDelta("c", '{"ti')])
    assert maybe_tool(answer)["errorText"] == "The tool call was not carried out."
    assert answer is not None
    assert answer.lost_calls == frozenset()


def test_call_of_the_provider_is_ended_here():
    answer = cut([*BEGUN, ToolInputAvailable(tool_call_id="c", tool_name="web", input={}, provider_executed=True)])
    assert maybe_tool(answer)["errorText"].endswith("It may have taken effect.")


def test_call_that_an_earlier_answer_left_open_is_not_touched():
    old: dict[str, Any] = {"type": "tool-sound", "toolCallId": "old", "state": "input-available", "input": {}}
    continued: dict[str, Any] = {"id": "m", "role": "assistant", "parts": [{"type": "step-start"}, old]}
    answer = cut([*BEGUN, *TEXT], continued=continued)
    assert answer is not None
    assert answer.lost_calls == frozenset()
    assert maybe_tool(answer) == old


def test_call_that_was_approved_may_have_run():
    approved: dict[str, Any] = {
        "type": "tool-sound",
        "toolCallId": "c",
        "state": "approval-responded",
        "input": {},
        "approval": {"id": "a", "approved": True},
    }
    continued: dict[str, Any] = {"id": "m", "role": "assistant", "parts": [{"type": "step-start"}, approved]}
    answer = cut([Start(message_id="m")], continued=continued)
    assert answer is not None
    assert answer.lost_calls == {"c"}


def test_nothing_of_an_answer_is_no_message():
    answer = cut([])
    assert answer is not None
    assert (answer.message, answer.frames, answer.is_started) == (None, b"", False)


@pytest.mark.parametrize(
    "parts",
    [
        [*BEGUN, *TEXT, TextEnd("0"), STEP_END],
        [*BEGUN, *TEXT, TextEnd("0"), STEP_END, END],
        [*BEGUN, Error("An error occurred.")],
        [*BEGUN, CALL, ToolApprovalRequest(approval_id="a", tool_call_id="c")],
    ],
)
def test_answer_that_has_said_all_or_waits_for_its_user_does_not_go_on(parts: list[Part]):
    assert cut(parts) is None


def test_call_of_the_client_waits_for_it():
    assert cut([*BEGUN, CALL], is_client_tool={"sound"}.__contains__) is None


@pytest.mark.parametrize("wire_format", ["text-stream", "events"])
def test_format_that_does_not_tell_all_does_not_go_on(wire_format: WireFormat):
    assert read_cut_answer(lost_run(7, wire_format), b"", None, None) is None


def test_frames_that_cannot_be_read_do_not_go_on():
    assert read_cut_answer(lost_run(), b"data: {no JSON\n\n", None, None) is None


def test_metadata_that_readers_have_is_kept_before_there_is_anything_else():
    answer = cut([Start(message_id="m", message_metadata={"model": "x"})])
    assert answer is not None
    assert answer.message is not None
    assert (answer.message["metadata"], answer.message["parts"]) == ({"model": "x"}, [])
