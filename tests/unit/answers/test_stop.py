"""Stop conditions: after which step the loop asks the model no more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.support.scripts import follow
from usechat.answers.loop.results.recorder import StepRecorder, StepResult
from usechat.answers.stop import StepCount, has_tool_call, is_met, step_count_is
from usechat.parts import FinishReason, FinishStep, ToolInputAvailable, Usage

pytestmark = pytest.mark.anyio


def make_step(*tool_names: str) -> StepResult:
    recorder = StepRecorder()
    for number, name in enumerate(tool_names):
        recorder.feed(ToolInputAvailable(tool_call_id=str(number), tool_name=name, input={}))
    return recorder.result(0, FinishStep(finish_reason=FinishReason("stop"), usage=Usage()))


@pytest.mark.parametrize(("count", "is_reached"), [(1, False), (2, True), (3, True)])
async def test_step_count_is_reached_at_and_after_its_number(count: int, is_reached: bool):
    assert step_count_is(2)([make_step()] * count) is is_reached


async def test_tool_call_counts_in_the_last_step_only():
    steps = [make_step("a", "b"), make_step("c")]
    assert has_tool_call("c")(steps)
    assert has_tool_call("a", "c")(steps)
    assert not has_tool_call("a", "b")(steps)
    assert not has_tool_call("a")([])


async def test_one_condition_that_holds_is_enough():
    asked: list[int] = []

    async def never(steps: Sequence[StepResult]) -> bool:
        asked.append(len(steps))
        return False

    assert await follow(is_met([never, step_count_is(1)], [make_step()]))
    assert not await follow(is_met([never, step_count_is(2)], [make_step()]))
    assert not await follow(is_met([], [make_step()]))
    assert asked == [1, 1]


def test_number_of_steps_is_known_in_advance():
    assert step_count_is(3) == StepCount(3)
