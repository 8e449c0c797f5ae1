"""The loop of steps: what a step brings, its tools, its end, and what changes from step to step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tests.unit.answers.loop.model_turns import ANY, ASKED, GUESSED, V4, V5, V7, WEATHER, Answered, answer, ended
from usechat import StepResult, StepSettings, ToolContext, has_tool_call, step_count_is, tool
from usechat.answers.loop import model_turn
from usechat.answers.loop.driver import read_turn
from usechat.answers.loop.policy import LoopPolicy, policy_for
from usechat.errors import ProviderStreamError
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
)
from usechat.models.base import ProviderTool
from usechat.parts import (
    Custom,
    Error,
    Finish,
    FinishReason,
    MessageMetadata,
    ModelPart,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceUrl,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCall,
    ToolInputError,
    ToolOutputAvailable,
    ToolOutputError,
    Usage,
)
from usechat.protocol.dialects import AUTO, NEWEST, Dialect
from usechat.testing.models import ScriptedModel, Step, calling_tool, calling_tools, saying
from usechat.tools.tool import Tool

pytestmark = pytest.mark.anyio


async def break_down(city: str = "") -> str:
    raise ValueError("no weather today")


BROKEN = tool(name="break_down")(break_down)

ASK = tool(name="ask", input_schema={"type": "object"})


# One step


async def test_text_comes_in_the_batches_it_came_in():
    done = await answer(saying("Hel", "lo"), message_id="m1")
    assert done.kinds() == [
        "Start", "StartStep", "TextStart", "TextDelta", "TextDelta", "TextEnd", "FinishStep", "Finish",
    ]  # fmt: skip
    assert done.parts[0] == Start(message_id="m1")
    assert [len(batch) for batch in done.batches] == [1, 2, 1, 1, 1, 2]
    assert done.parts[-1] == Finish(
        finish_reason=FinishReason("stop", "stop"), total_usage=Usage(input_no_cache=10, output=5)
    )
    outcome = done.turn.outcome()
    assert (outcome.text, len(outcome.steps), outcome.error) == ("Hello", 1, None)


async def test_batch_without_anything_to_show_opens_no_step():
    done = await answer([[], [], [ended()]])
    assert done.kinds() == ["Start", "FinishStep", "Finish"]


async def test_step_that_brings_nothing_is_made_known_where_the_client_would_else_ask_for_ever():
    nothing = [[Custom("anthropic.message_start"), ended()]]
    going_on = policy_for(AUTO, is_continuation=True)
    assert (await answer(nothing, policy=going_on)).kinds() == [
        "Start", "StartStep", "Custom", "MessageMetadata", "FinishStep", "Finish",
    ]  # fmt: skip
    named = policy_for(Dialect(NEWEST[6], exact=True), is_continuation=True)
    assert len((await answer(nothing, policy=named)).of(MessageMetadata)) == 1
    # A client of 7 sees the provider's own part; nobody sends again after a first step.
    newest = policy_for(Dialect(NEWEST[7], exact=True), is_continuation=True)
    for policy in (GUESSED, V4, V5, V7, newest):
        assert (await answer(nothing, policy=policy)).of(MessageMetadata) == []
    assert (await answer(saying("Hi"), policy=going_on)).of(MessageMetadata) == []


@pytest.mark.parametrize("major", [5, 6, 7])
async def test_step_of_what_a_backend_may_leave_out_is_made_known(major: int):
    going_on = policy_for(Dialect(NEWEST[major], exact=True), is_continuation=True)
    hidden = [[ReasoningStart("0"), ReasoningDelta("0", "Hm"), ReasoningEnd("0"), ended()]]
    for step in (hidden, [[ended()]]):
        assert len((await answer(step, policy=going_on)).of(MessageMetadata)) == 1


async def test_step_without_any_events_is_begun_where_it_is_made_known():
    unsent = ProviderStreamError("no events", provider="scripted", code="no_events")
    going_on = policy_for(Dialect(NEWEST[5], exact=True), is_continuation=True)
    assert (await answer([unsent], policy=going_on)).kinds()[1:3] == ["StartStep", "MessageMetadata"]


@pytest.mark.parametrize("policy", [V5, GUESSED])
async def test_empty_step_after_another_is_made_known_in_a_first_answer(policy: LoopPolicy):
    done = await answer(calling_tool("any"), [[ended()]], tools=[ANY], policy=policy)
    assert len(done.of(MessageMetadata)) == 1


async def test_everything_else_passes_through():
    source = SourceUrl(source_id="s", url="https://a.example")
    failed = ToolOutputError(
        tool_call_id="c", tool_name="t", error_text="{}", client_text="never sent", provider_executed=True
    )
    done = await answer([[source, failed, TextDelta("9", "without a start"), ended()]])
    assert done.parts[2:5] == [
        source, msgspec.structs.replace(failed, client_text=None), TextDelta("9", "without a start"),
    ]  # fmt: skip


async def test_delta_with_metadata_is_kept_for_the_next_step():
    signed = ReasoningDelta("0", "", {"anthropic": {"signature": "s"}})
    cited = TextDelta("1", "lo", {"anthropic": {"cited": 1}})
    step: Step = [
        [ReasoningStart("0"), ReasoningDelta("0", "Hm"), signed, ReasoningEnd("0")],
        [TextStart("1"), TextDelta("1", "Hel"), cited, TextEnd("1")],
        *calling_tool("any"),
    ]
    done = await answer(step, saying("."), tools=[ANY])
    assistant = done.last_messages[1]
    assert isinstance(assistant, AssistantMessage)
    assert assistant.content[:2] == (
        ReasoningContent("Hm", {"anthropic": {"signature": "s"}}),
        TextContent("Hello", {"anthropic": {"cited": 1}}),
    )
    assert done.parts[2:10] == [*step[0], *step[1]]  # type: ignore[misc]


# Tools


async def test_tool_runs_after_the_model_and_the_model_is_told():
    done = await answer(calling_tool("get_weather", {"city": "York"}), saying("Sunny."), tools=[WEATHER])
    assert done.kinds() == [
        "Start", "StartStep", "ToolInputStart", "ToolInputDelta", "ToolInputAvailable", "ToolOutputAvailable",
        "FinishStep", "StartStep", "TextStart", "TextDelta", "TextEnd", "FinishStep", "Finish",
    ]  # fmt: skip
    call = ToolCallContent(tool_call_id="call-1", tool_name="get_weather", input={"city": "York"})
    output = ToolResultOutput("text", "sunny in York")
    result = ToolResultContent(tool_call_id="call-1", tool_name="get_weather", output=output)
    assert done.last_messages == (ASKED, AssistantMessage((call,)), ToolMessage((result,)))
    assert done.parts[-1].total_usage == Usage(input_no_cache=20, output=10)  # type: ignore[union-attr]
    assert [definition.name for definition in done.model.calls[0].tools] == ["get_weather"]


async def test_tools_see_what_the_model_was_given():
    seen: list[Any] = []

    async def look(context: ToolContext) -> None:
        seen.append((context.messages, context.deps, context.abort.is_set()))

    await answer(calling_tool("look"), saying("Done."), tools=[look], context="ctx")
    assert seen == [((ASKED,), "ctx", False)]


async def test_clients_tool_ends_the_answer():
    done = await answer(calling_tools(("a", "ask", {}), ("b", "get_weather", {"city": "x"})), tools=[ASK, WEATHER])
    assert done.kinds()[-3:] == ["ToolOutputAvailable", "FinishStep", "Finish"]
    assert len(done.model.calls) == 1


async def test_tool_that_fails_is_told_to_the_model():
    done = await answer(calling_tool("break_down"), saying("Sorry."), tools=[BROKEN])
    (failed,) = done.of(ToolOutputError)
    assert failed.error_text == "Error: no weather today"
    assert isinstance(done.told[0], ValueError)
    assert len(done.model.calls) == 2
    assert done.turn.outcome().error is None


@pytest.mark.parametrize(
    ("name", "text", "error"),
    [
        ("fly", "{}", "AI_NoSuchToolError"),
        ("get_weather", "{}", "AI_InvalidToolInputError"),
        ("get_weather", "{", "AI_"),
    ],
)
async def test_broken_call_is_told_to_the_model(name: str, text: str, error: str):
    done = await answer(calling_tools(("c1", name, text)), saying("Sorry."), tools=[WEATHER])
    assert done.kinds()[2:7] == [
        "ToolInputStart", "ToolInputDelta", "ToolInputError", "ToolOutputError", "FinishStep",
    ]  # fmt: skip
    result = done.last_messages[-1].content[0]  # type: ignore[union-attr]
    assert isinstance(result, ToolResultContent)
    assert result.output.value.startswith(error)


async def test_repair_mends_a_call():
    def mend(call: ToolCall, error: Exception) -> ToolCall:
        return msgspec.structs.replace(call, tool_name="get_weather", input_text='{"city":"York"}')

    done = await answer(calling_tool("weather"), saying("Sunny."), tools=[WEATHER], repair_tool_call=mend)
    assert done.of(ToolOutputAvailable)[0].output == "sunny in York"


@pytest.mark.parametrize("reason", ["length", "content-filter", "error", "other"])
async def test_tools_do_not_run_after_a_bad_end(reason: Any):
    done = await answer(calling_tools(("c1", "get_weather", {"city": "x"}), finish=reason), tools=[WEATHER])
    assert done.of(ToolOutputAvailable) == []
    assert len(done.model.calls) == 1
    assert done.turn.finish == FinishReason(reason, reason)


@pytest.mark.parametrize("reason", ["stop", "tool-calls"])
async def test_tools_run_after_a_good_end(reason: Any):
    step = calling_tools(("c1", "get_weather", {"city": "x"}), finish=reason)
    assert len((await answer(step, saying("."), tools=[WEATHER])).model.calls) == 2


async def test_broken_call_goes_on_even_after_a_bad_end():
    done = await answer(calling_tools(("c1", "fly", {}), finish="length"), saying("Sorry."))
    assert len(done.model.calls) == 2


async def test_reason_that_says_interrupted_is_the_end():
    done = await answer(calling_tools(("c1", "fly", {}), finish="interrupted"))
    assert len(done.model.calls) == 1


@pytest.mark.parametrize("major", [5, 6])
async def test_older_majors_go_on_after_a_broken_call_of_a_step_that_broke_off(major: int):
    policy = policy_for(Dialect((major, 0, 0), exact=True))
    done = await answer(calling_tools(("c1", "fly", {}), finish="interrupted"), saying("Sorry."), policy=policy)
    assert len(done.model.calls) == 2


async def test_major_6_takes_a_block_that_has_begun_for_an_answer():
    done = await answer([[TextStart("0")], [ended("other", None)]], policy=policy_for(Dialect((6, 0, 0), exact=True)))
    assert done.kinds()[-2:] == ["FinishStep", "Finish"]
    assert done.turn.finish == FinishReason("other")


# AI SDK 4


async def test_major_4_runs_tools_whatever_the_end():
    step = calling_tools(("c1", "get_weather", {"city": "x"}), finish="length")
    assert len((await answer(step, saying("."), tools=[WEATHER], policy=V4)).model.calls) == 2


async def test_major_4_ends_at_a_failed_tool():
    assert len((await answer(calling_tool("break_down"), tools=[BROKEN], policy=V4)).model.calls) == 1
    assert len((await answer(calling_tool("fly"), policy=V4)).model.calls) == 1


async def test_major_4_runs_tools_before_it_tells_an_error():
    failed = Error("x", ProviderStreamError("overloaded", provider="scripted"))
    step = [*calling_tool("get_weather", {"city": "x"})[:-1], [failed], [ended("error")]]
    old = await answer(step, tools=[WEATHER], policy=V4, stop=1)
    assert old.kinds()[5:7] == ["ToolOutputAvailable", "Error"]
    assert len(old.of(ToolOutputAvailable)) == 1
    new = await answer(step, tools=[WEATHER])
    assert new.of(ToolOutputAvailable) == []


# The end


async def test_step_count_ends_the_loop():
    assert len((await answer(calling_tool("any"), tools=[ANY], stop=3)).model.calls) == 3


async def test_tool_call_ends_the_loop():
    done = await answer(calling_tool("any"), calling_tool("get_weather", {"city": "x"}), calling_tool("any"),
                        tools=[ANY, WEATHER], stop_when=[step_count_is(9), has_tool_call("get_weather")])  # fmt: skip
    assert len(done.model.calls) == 2


async def test_no_answer_takes_more_steps_than_the_ceiling(monkeypatch: pytest.MonkeyPatch):
    assert model_turn.MAX_STEPS == 100
    monkeypatch.setattr(model_turn, "MAX_STEPS", 4)
    done = await answer(calling_tool("any"), tools=[ANY], stop_when=[])
    assert len(done.model.calls) == 4
    assert done.kinds()[-1] == "Finish"


async def test_each_step_is_told_with_its_number():
    seen: list[StepResult] = []

    async def on_step_finish(step: StepResult) -> None:
        seen.append(step)

    await answer(calling_tool("any"), saying("Done."), tools=[ANY], on_step_finish=on_step_finish)
    assert [(step.step_number, step.text, len(step.tool_calls)) for step in seen] == [(0, "", 1), (1, "Done.", 0)]


# What changes from step to step


async def test_step_may_change_its_settings():
    other = ScriptedModel(saying("From another."))
    asked: list[Any] = []

    def prepare(number: int, steps: Sequence[StepResult], messages: Sequence[ModelMessage]) -> StepSettings | None:
        asked.append((number, len(steps), len(messages)))
        if number == 0:
            return None
        return StepSettings(
            model=other, active_tools=[], tool_choice="none", provider_options={"anthropic": {"effort": "low"}}
        )

    done = await answer(calling_tool("any"), tools=[ANY], prepare_step=prepare)
    assert asked == [(0, 0, 1), (1, 1, 3)]
    assert done.turn.outcome().text == "From another."
    (call,) = other.calls
    assert (call.tools, call.tool_choice) == ([], "none")
    assert call.provider_options == {"anthropic": {"effort": "low"}}
    assert done.model.calls[0].tool_choice is None


async def test_messages_and_instructions_are_changed_from_that_step_on():
    async def prepare(number: int, steps: Sequence[StepResult], messages: Sequence[ModelMessage]) -> StepSettings:
        return StepSettings(system="Be brief.", messages=[ASKED, ASKED]) if number == 1 else StepSettings()

    done = await answer(
        calling_tool("any"), calling_tool("any"), saying("."), tools=[ANY], prepare_step=prepare, call={"system": "Be."}
    )
    assert [call.system for call in done.model.calls] == ["Be.", "Be brief.", "Be brief."]
    assert [len(call.messages) for call in done.model.calls] == [1, 2, 4]


async def test_inactive_tool_is_not_there():
    done = await answer(calling_tool("any"), saying("."), tools=[ANY, WEATHER], active_tools=["get_weather"])
    assert [definition.name for definition in done.model.calls[0].tools] == ["get_weather"]
    (broken,) = done.of(ToolInputError)
    assert "unavailable tool 'any'. Available tools: get_weather." in broken.error_text


async def test_model_that_must_not_call_calls_nothing_that_is_there():
    done = await answer(calling_tool("any"), saying("."), tools=[ANY], call={"tool_choice": "none"})
    assert len(done.of(ToolInputError)) == 1
    assert [definition.name for definition in done.model.calls[0].tools] == ["any"]


async def test_call_options_stay_the_same_in_every_step():
    done = await answer(calling_tool("any"), saying("."), tools=[ANY], call={"temperature": 0.5, "tool_choice": "auto"})
    assert [(call.temperature, call.tool_choice) for call in done.model.calls] == [(0.5, "auto")] * 2


# What the provider runs


def provider_call(tool_call_id: str, *, has_result: bool) -> list[ModelPart]:
    call = ToolCall(tool_call_id=tool_call_id, tool_name="code", input_text="{}", provider_executed=True)
    return [call, *([provider_result(tool_call_id)] if has_result else [])]


def provider_result(tool_call_id: str) -> ToolOutputAvailable:
    return ToolOutputAvailable(tool_call_id=tool_call_id, tool_name="code", output=1, provider_executed=True)


def code_tool(*, defers: bool) -> Tool:
    provider = ProviderTool(id="anthropic.code_execution_20260120", name="code", defers_results=defers)
    return Tool(name="code", provider=provider)


async def test_call_that_the_provider_has_answered_ends_the_answer():
    done = await answer([[*provider_call("c1", has_result=True), ended()]], tools=[code_tool(defers=True)])
    assert len(done.model.calls) == 1


@pytest.mark.parametrize("raw", ["pause_turn", "end_turn"])
async def test_loop_goes_on_until_the_provider_has_answered(raw: str):
    done = await answer(
        [[*provider_call("c1", has_result=False), ended(raw=raw)]],
        saying("Still at it."),
        [[provider_result("c1"), ended()]],
        tools=[code_tool(defers=True)],
    )
    assert len(done.model.calls) == 3
    first = done.model.calls[1].messages[-1]
    assert isinstance(first, AssistantMessage)
    assert first.content[0].tool_call_id == "c1"  # type: ignore[union-attr]


async def test_deferred_result_is_waited_for_until_a_condition_holds():
    step = [[*provider_call("c1", has_result=False), ended()]]
    assert len((await answer(step, tools=[code_tool(defers=True)], stop=2)).model.calls) == 2


@pytest.mark.parametrize("tools", [[code_tool(defers=False)], [], [ANY]])
async def test_provider_that_never_defers_is_not_waited_for(tools: Any):
    step = [[*provider_call("c1", has_result=False), ended()]]
    assert len((await answer(step, tools=tools)).model.calls) == 1


# What it holds


@pytest.mark.parametrize(
    ("options", "is_held"),
    [
        ({"stop": 1}, False),
        ({"stop": 2}, True),
        ({"stop": 1, "tools": [ANY]}, True),
        ({"stop": 1, "stream_retries": 1}, True),
        ({"stop_when": [lambda steps: True]}, True),  # type: ignore[reportUnknownLambdaType]
        ({"stop_when": [lambda steps: False, step_count_is(1)]}, False),  # type: ignore[reportUnknownLambdaType]
    ],
)
async def test_messages_are_held_while_a_step_may_follow(options: dict[str, Any], is_held: bool):
    asked = Answered(saying("Hi"), **options)
    batches = read_turn(asked.turn)
    while not any(isinstance(part, TextDelta) for part in await anext(batches)):
        pass

    assert asked.last_messages == (ASKED,)
    held = (asked.turn.request.call.messages, asked.turn.step_call[1].messages, tuple(asked.turn.messages))
    assert held == (((ASKED,),) * 3 if is_held else ((), (), ()))
    await batches.aclose()
