"""A tool call that the length limit or a refusal cuts off: its tool never runs, and the model is told once."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.http.connections import Connection
from usechat import step_count_is, stream_text, tool
from usechat.answers.calls.read import CUT
from usechat.parts import FinishReason, ModelFinish, ToolCall, ToolInputError, ToolInputStart, Usage
from usechat.testing.models import ScriptedModel, saying

pytestmark = pytest.mark.anyio


LIMIT = FinishReason("length", "max_tokens")
REFUSAL = FinishReason("content-filter", "refusal")


def cutting(tool_call_id: str, input_text: str, reason: FinishReason = LIMIT) -> list[Any]:
    start = ToolInputStart(tool_call_id=tool_call_id, tool_name="wipe")
    call = ToolCall(tool_call_id=tool_call_id, tool_name="wipe", input_text=input_text, is_cut=True)
    return [[start, call], [ModelFinish(finish_reason=reason, usage=Usage())]]


@pytest.mark.parametrize("input_text", ["", '{"path":"/'])
async def test_cut_call_never_runs_and_the_model_is_told_once(input_text: str):
    wiped: list[str] = []

    @tool
    def wipe(path: str = "/") -> str:
        wiped.append(path)
        return "gone"

    model = ScriptedModel(cutting("a", input_text), cutting("b", input_text), saying("never asked"))
    result = stream_text(model, prompt="Wipe /tmp", tools=[wipe], stop_when=step_count_is(20))
    errors = [part.error_text async for part in result if isinstance(part, ToolInputError)]
    assert wiped == []
    assert len(errors) == len(model.calls) == len(await result.steps) == 2
    assert all(CUT in text for text in errors)
    assert str(model.calls[1].messages).count(CUT) == 1


async def test_whole_answer_without_a_stop_reason_runs_its_tools():
    @tool
    def look() -> str:
        return "seen"

    call = ToolCall(tool_call_id="a", tool_name="look", input_text="{}")
    finish = ModelFinish(finish_reason=FinishReason("other"), usage=Usage())
    model = ScriptedModel([[ToolInputStart(tool_call_id="a", tool_name="look"), call, finish]], saying("Done."))
    result = stream_text(model, prompt="Look", tools=[look], stop_when=step_count_is(3))
    assert await result.text == "Done."
    assert len(model.calls) == 2


async def test_call_before_a_limit_does_not_run_when_the_provider_gives_no_words_for_it():
    ran: list[str] = []

    @tool
    def look() -> str:
        ran.append("look")
        return "seen"

    call = ToolCall(tool_call_id="a", tool_name="look", input_text="{}")
    finish = ModelFinish(finish_reason=FinishReason("length"), usage=Usage())
    model = ScriptedModel([[ToolInputStart(tool_call_id="a", tool_name="look"), call, finish]])
    result = stream_text(model, prompt="Look", tools=[look], stop_when=step_count_is(3))
    assert (await result.finish_reason, ran) == (FinishReason("length"), [])


@pytest.mark.parametrize("sdk", ["auto", "4.3.19", "5.0.277", "6.0.324", "7.0.173"])
@pytest.mark.parametrize("input_text", ["", '{"path":"/'])
@pytest.mark.parametrize("reason", [LIMIT, REFUSAL])
async def test_cut_call_is_not_repaired_and_a_refusal_ends_the_answer(input_text: str, reason: FinishReason, sdk: str):
    wiped: list[str] = []

    @tool
    def wipe(path: str = "/") -> str:
        wiped.append(path)
        return "gone"

    def mend(call: ToolCall, _: Exception) -> ToolCall:
        return ToolCall(tool_call_id=call.tool_call_id, tool_name="wipe", input_text="{}")

    model = ScriptedModel(cutting("a", input_text, reason), saying("Sorry."))
    result = stream_text(model, prompt="Wipe", tools=[wipe], stop_when=step_count_is(20), repair_tool_call=mend)
    await Connection(result, sdk=sdk).run()
    assert wiped == []
    if reason == REFUSAL:
        assert len(model.calls) == 1
