"""The loop: model, tools, model, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import pytest

from usechat import Approve, AskUser, Deny, StepResult, StepSettings, ToolContext, has_tool_call, step_count_is, tool
from usechat.answers.loop import model_turn
from usechat.answers.loop.driver import read_turn
from usechat.answers.loop.model_turn import ModelTurn
from usechat.answers.loop.policy import LoopPolicy, policy_for
from usechat.answers.loop.request import LoopRequest
from usechat.errors import ProviderError, ProviderStatusError, ProviderStreamError, RequestError
from usechat.failures import shown_text
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ReasoningContent,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models.base import ModelCall, ProviderTool
from usechat.parts import (
    Custom,
    Data,
    Error,
    Finish,
    FinishReason,
    MessageMetadata,
    ModelFinish,
    ModelPart,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceUrl,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolCall,
    ToolInputError,
    ToolOutputAvailable,
    ToolOutputError,
    Usage,
)
from usechat.protocol.dialects import AUTO, NEWEST, Dialect
from usechat.testing.models import Hold, ScriptedModel, Step, calling_tool, calling_tools, saying
from usechat.tools.tool import Tool, read_tools

pytestmark = pytest.mark.anyio

V4 = policy_for(Dialect(NEWEST[4], exact=True))
V5 = policy_for(Dialect(NEWEST[5], exact=True))
V7 = policy_for(Dialect(NEWEST[7], exact=True))
GUESSED = policy_for(AUTO)
ASKED = UserMessage((TextContent("Hi"),))


async def get_weather(city: str) -> str:
    return f"sunny in {city}"


async def break_down(city: str = "") -> str:
    raise ValueError("no weather today")


def echo(value: Any) -> Any:
    return value


WEATHER = tool(get_weather)
BROKEN = tool(name="break_down")(break_down)
ASK = tool(name="ask", input_schema={"type": "object"})
ANY = tool(name="any", input_schema={"type": "object"}, execute=echo)


class Answered:
    """A loop that has run to its end."""

    def __init__(
        self,
        *steps: Step,
        tools: Sequence[Any] | Mapping[str, Any] = (),
        policy: LoopPolicy = V7,
        messages: Sequence[ModelMessage] = (ASKED,),
        stop: int = 5,
        call: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.model = ScriptedModel(*steps)
        self.parts: list[Part] = []
        self.batches: list[list[Part]] = []
        self.told: list[BaseException] = []
        self.abort = asyncio.Event()
        request = LoopRequest(
            model=self.model,
            call=ModelCall(messages=messages, **(call or {})),
            tools=read_tools(tools),
            stop_when=options.pop("stop_when", [step_count_is(stop)]),
            on_error=self._tell,
            **options,
        )
        self.turn = ModelTurn(request, policy, self.abort)

    def _tell(self, error: BaseException) -> str | None:
        self.told.append(error)
        return None

    async def run(self) -> Answered:
        async for batch in read_turn(self.turn):
            self.batches.append(batch)
            self.parts += batch
        assert self.model.open_count == 0
        return self

    def kinds(self) -> list[str]:
        return [type(part).__name__ for part in self.parts]

    def of(self, kind: Any) -> list[Any]:
        return [part for part in self.parts if isinstance(part, kind)]

    @property
    def last_messages(self) -> Sequence[ModelMessage]:
        """What the model was asked last."""
        return self.model.calls[-1].messages


async def answer(*steps: Step, **options: Any) -> Answered:
    return await Answered(*steps, **options).run()


def ended(unified: Any = "stop", raw: str | None = "end_turn") -> ModelFinish:
    return ModelFinish(finish_reason=FinishReason(unified, raw), usage=Usage())


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
    for policy in (GUESSED, V7, policy_for(Dialect(NEWEST[6], exact=True), is_continuation=True)):
        assert (await answer(nothing, policy=policy)).of(MessageMetadata) == []
    assert (await answer(saying("Hi"), policy=going_on)).of(MessageMetadata) == []


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
        seen.append((context.messages, context.request, context.abort.is_set()))

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


# Failures


@pytest.mark.parametrize(
    "error",
    [
        ProviderStatusError("overloaded", provider="scripted", status=529),
        ProviderStreamError("cut", provider="scripted"),
        RuntimeError("a defect"),
    ],
)
async def test_failure_before_the_first_part_is_an_error_and_nothing_else(error: Exception):
    done = await answer([error])
    assert done.parts[1:] == [Error(shown_text(error, None), error)]
    outcome = done.turn.outcome()
    assert (outcome.error, outcome.finish_reason, outcome.steps) == (error, None, ())
    assert done.told == [error]


async def test_failure_in_the_middle_keeps_what_was_said():
    error = ProviderStreamError("cut", provider="scripted")
    done = await answer([*saying("Hel")[:-1], error])
    assert done.kinds()[2:] == ["TextStart", "TextDelta", "Error"]
    assert done.turn.outcome().text == "Hel"


async def test_error_that_the_model_tells_ends_the_step():
    done = await answer([[TextStart("0"), TextDelta("0", "Hel"), Error("masked")], [ended("error", "error")]])
    assert done.kinds()[2:] == ["TextStart", "TextDelta", "Error", "FinishStep", "Finish"]
    assert isinstance(done.turn.outcome().error, ProviderError)
    assert done.turn.finish == FinishReason("error", "error")


OVERLOADED = ProviderStreamError("overloaded", provider="scripted", code="overloaded_error", is_retryable=True)
CUT = ProviderStreamError("cut", provider="scripted", is_retryable=True)
TOLD = [Error("masked", OVERLOADED)]
FAILED_TRY: Step = [[TextStart("0"), TextDelta("0", "wrong")]]


@pytest.mark.parametrize("failure", [TOLD, CUT, [ended("interrupted", None)]], ids=["told", "raised", "broken off"])
async def test_step_that_breaks_in_the_middle_is_tried_again_from_its_beginning(failure: Any):
    done = await answer([*FAILED_TRY, failure], saying("right"), stream_retries=1)
    assert done.kinds() == [
        "Start", "StartStep", "TextStart", "TextDelta", "ResetStep",
        "TextStart", "TextDelta", "TextEnd", "FinishStep", "Finish",
    ]  # fmt: skip
    outcome = done.turn.outcome()
    assert (outcome.text, outcome.error, len(outcome.steps)) == ("right", None, 1)
    assert outcome.usage == Usage(input_no_cache=10, output=5)
    assert done.model.calls[0] is done.model.calls[1]
    assert [error.is_retryable for error in done.told if isinstance(error, ProviderError)] == [True]


async def test_calls_of_a_try_that_failed_are_never_run():
    failed = [*calling_tool("any", {"try": 1})[:-1], TOLD]
    done = await answer(failed, calling_tool("any", {"try": 2}), saying("so"), tools=[ANY], stream_retries=1)
    assert [part.output for part in done.of(ToolOutputAvailable)] == [{"try": 2}]
    (called,) = [message for message in done.last_messages if isinstance(message, AssistantMessage)]
    assert [part.input for part in called.content if isinstance(part, ToolCallContent)] == [{"try": 2}]


async def test_each_step_is_tried_again_as_often_as_it_may_be():
    failed: Step = [*FAILED_TRY, TOLD]
    done = await answer(failed, failed, saying("never"), stream_retries=1)
    assert (done.kinds().count("ResetStep"), len(done.model.calls)) == (1, 2)
    assert [part.error for part in done.of(Error)] == [OVERLOADED]
    twice = await answer(
        [*FAILED_TRY, TOLD], calling_tool("any"), [*FAILED_TRY, TOLD], saying("so"), tools=[ANY], stream_retries=1
    )
    assert twice.kinds().count("ResetStep") == 2
    assert twice.turn.outcome().text == "so"


async def test_step_settings_are_asked_for_once_however_often_it_is_tried():
    numbers: list[int] = []

    def prepare(number: int, *_: Any) -> None:
        numbers.append(number)

    await answer([*FAILED_TRY, TOLD], saying("right"), stream_retries=1, prepare_step=prepare)
    assert numbers == [0]


async def test_what_was_never_shown_is_tried_again_towards_any_client():
    done = await answer([[TextStart("0"), *TOLD]], saying("right"), stream_retries=1, policy=GUESSED)
    assert done.kinds()[:4] == ["Start", "StartStep", "TextStart", "TextDelta"]


@pytest.mark.parametrize(
    ("options", "failure"),
    [
        ({"policy": GUESSED, "stream_retries": 3}, CUT),
        ({"policy": V5, "stream_retries": 3}, CUT),
        ({"policy": V4, "stream_retries": 3}, CUT),
        ({}, CUT),
        ({"stream_retries": 3}, ProviderStreamError("wrong", provider="scripted")),
        ({"stream_retries": 3}, ValueError("a defect of ours")),
    ],
    ids=["unknown client", "5", "4", "not asked for", "would not help", "other errors"],
)
async def test_step_is_not_tried_again(options: Any, failure: BaseException):
    done = await answer([*FAILED_TRY, failure], saying("right"), **options)
    assert len(done.model.calls) == 1
    assert done.kinds()[-1] == "Error"


async def test_call_that_fails_at_once_is_for_the_model_to_try_again():
    done = await answer([*FAILED_TRY, TOLD], [CUT], saying("never"), stream_retries=3)
    assert done.kinds()[-2:] == ["ResetStep", "Error"]
    assert len(done.model.calls) == 2


async def test_second_step_that_fails_keeps_the_first():
    done = await answer(calling_tool("any"), [RuntimeError("no")], tools=[ANY])
    assert done.kinds()[-2:] == ["FinishStep", "Error"]
    assert len(done.turn.outcome().steps) == 1


async def test_request_that_cannot_be_expressed_says_why():
    error = RequestError("no model takes this media type", path="messages[0].parts[0]", status=422)
    done = await answer([error])
    assert done.of(Error)[0].error_text == "messages[0].parts[0]: no model takes this media type"


async def test_text_of_the_applications_own_is_shown():
    answered = Answered([RuntimeError("no")])
    answered.turn.request.on_error = lambda error: f"Sorry: {error}"
    await answered.run()
    assert answered.of(Error)[0].error_text == "Sorry: no"


@pytest.mark.parametrize("where", ["prepare_step", "stop_when", "repair_tool_call", "on_step_finish", "needs_approval"])
async def test_function_of_the_applications_own_that_fails_is_an_error(where: str):
    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    async def fail_later(*_: Any) -> Any:
        fail()

    tools = [tool(name="any", input_schema={}, execute=fail, needs_approval=where == "needs_approval" and fail)]
    options: dict[str, Any] = {
        "prepare_step": {"prepare_step": fail},
        "stop_when": {"stop_when": [fail]},
        "on_step_finish": {"on_step_finish": fail_later},
    }.get(where, {})
    done = await answer(calling_tool("any"), saying("."), tools=tools, **options)
    is_told = where != "repair_tool_call"
    assert [type(error.error) for error in done.of(Error)] == ([ZeroDivisionError] if is_told else [])


async def test_first_error_stands_in_a_step_of_major_4():
    error = ProviderStreamError("overloaded", provider="scripted")
    done = await answer([error], policy=V4)
    assert done.kinds() == ["Start", "StartStep", "Error", "FinishStep", "Finish"]
    assert done.turn.finish == FinishReason("error")
    assert len(done.turn.steps) == 1


@pytest.mark.parametrize(("policy", "accepts"), [(V5, True), (V7, False)])
async def test_answer_without_events_is_one_for_older_majors(policy: LoopPolicy, accepts: bool):
    error = ProviderStreamError("no events", provider="scripted", code="no_events")
    done = await answer([error], policy=policy)
    assert done.kinds()[1:] == (["FinishStep", "Finish"] if accepts else ["Error"])


async def test_answer_that_brought_nothing_is_an_error():
    done = await answer([[ended("other", None)]])
    assert done.kinds() == ["Start", "Error"]
    assert isinstance(done.turn.outcome().error, ProviderStreamError)


@pytest.mark.parametrize("finish", [[], [[ended("interrupted", None)]]])
async def test_answer_that_broke_off_is_an_error_where_the_version_is_guessed(finish: Any):
    step = [[TextStart("0"), TextDelta("0", "Hel")], *finish]
    guessed = await answer(step, policy=GUESSED)
    assert guessed.kinds()[4:] == ["Error", "FinishStep", "Finish"]
    assert guessed.turn.finish == FinishReason("error")
    assert isinstance(guessed.turn.outcome().error, ProviderStreamError)
    named = await answer(step)
    assert named.kinds()[4:] == ["FinishStep", "Finish"]


# Closing


@pytest.mark.parametrize("batch_count", [1, 2, 3])
async def test_closing_the_loop_closes_the_model(batch_count: int):
    answered = Answered([[TextStart("0")], [TextDelta("0", "x")], Hold()])
    stream = read_turn(answered.turn)
    for _ in range(batch_count):
        await anext(stream)
    await stream.aclose()
    assert answered.model.open_count == 0


async def test_closing_the_loop_stops_its_tools():
    cleaned = asyncio.Event()

    async def wait(context: ToolContext) -> None:
        try:
            context.writer.write(Data(name="begun", data=1))
            await asyncio.Event().wait()
        finally:
            cleaned.set()

    before = asyncio.all_tasks()
    answered = Answered(calling_tool("wait"), tools=[wait])
    stream = read_turn(answered.turn)
    async for batch in stream:
        if isinstance(batch[0], Data):
            break
    await stream.aclose()
    assert cleaned.is_set()
    assert asyncio.all_tasks() == before


async def test_model_without_a_way_to_close_is_fine():
    class Batches:
        def __init__(self) -> None:
            self.left: list[list[ModelPart]] = [[TextStart("0"), ended()]]

        def __aiter__(self) -> Batches:
            return self

        async def __anext__(self) -> list[ModelPart]:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    answered = Answered(saying("."))
    answered.turn.request.model.stream = lambda call: Batches()
    await answered.run()
    assert answered.kinds()[-1] == "Finish"


# Approvals


def approved(request: ToolApprovalRequest, **response: Any) -> list[ModelMessage]:
    """The history in which the user has answered."""
    call = ToolCallContent(tool_call_id=request.tool_call_id, tool_name="any", input={"a": 1})
    asked = ToolApprovalRequestContent(
        approval_id=request.approval_id, tool_call_id=request.tool_call_id, signature=request.signature
    )
    values: dict[str, Any] = {"approval_id": request.approval_id, "approved": True, **response}
    answered = ToolApprovalResponseContent(**values)
    return [ASKED, AssistantMessage((call, asked)), ToolMessage((answered,))]


def any_tool(needs: Any = True) -> Tool:
    return tool(name="any", input_schema={}, execute=echo, needs_approval=needs)


async def test_call_that_needs_approval_is_asked_about_where_it_stands():
    step = [*calling_tool("any", {"a": 1})[:-1], *saying("Shall I?")]
    done = await answer(step, tools=[any_tool()])
    assert done.kinds()[4:7] == ["ToolInputAvailable", "ToolApprovalRequest", "TextStart"]
    assert done.kinds()[-2:] == ["FinishStep", "Finish"]
    assert done.of(ToolOutputAvailable) == []
    assert len(done.model.calls) == 1


async def test_only_what_needs_no_approval_runs():
    step = calling_tools(("c1", "any", {"a": 1}), ("c2", "get_weather", {"city": "x"}))
    done = await answer(step, tools=[any_tool(), WEATHER])
    assert [part.tool_call_id for part in done.of(ToolOutputAvailable)] == ["c2"]
    assert len(done.model.calls) == 1


async def test_approved_call_runs_before_the_first_step():
    asked = (await answer(calling_tool("any", {"a": 1}), tools=[any_tool()], approval_secret="s")).of(
        ToolApprovalRequest
    )[0]
    done = await answer(saying("Done."), tools=[any_tool()], approval_secret="s", messages=approved(asked))
    assert done.kinds()[:3] == ["Start", "ToolOutputAvailable", "StartStep"]
    result = done.last_messages[-1].content[-1]  # type: ignore[union-attr]
    assert isinstance(result, ToolResultContent)
    assert result.output == ToolResultOutput("json", {"a": 1})


async def test_forged_approval_runs_nothing_and_says_why(caplog: pytest.LogCaptureFixture):
    forged = ToolApprovalRequest(approval_id="a1", tool_call_id="call-1", signature="forged")
    done = await answer(saying("Done."), tools=[any_tool()], approval_secret="s", messages=approved(forged))
    assert done.kinds() == ["Start", "Error"]
    assert done.model.calls == []
    assert "signature does not fit" in str(done.told[0])
    assert "signature does not fit" in caplog.text


async def test_denials_come_first_then_errors_then_outputs():
    def ask(number: int, name: str) -> tuple[ToolCallContent, ToolApprovalRequestContent]:
        call = ToolCallContent(tool_call_id=f"c{number}", tool_name=name, input={})
        return call, ToolApprovalRequestContent(approval_id=f"a{number}", tool_call_id=f"c{number}")

    calls = [ask(1, "any"), ask(2, "gone"), ask(3, "any")]
    decisions = [
        ToolApprovalResponseContent(approval_id=f"a{number}", approved=number != 3, reason="No.")
        for number in (1, 2, 3)
    ]
    refused = ToolResultContent(
        tool_call_id="c3", tool_name="any", output=ToolResultOutput("execution-denied", "as the client has it")
    )
    messages = [
        ASKED,
        AssistantMessage(tuple(part for pair in calls for part in pair)),
        ToolMessage((*decisions, refused)),
    ]
    done = await answer(saying("Done."), tools=[any_tool()], messages=messages)
    assert done.kinds()[1:4] == ["ToolOutputDenied", "ToolOutputError", "ToolOutputAvailable"]
    content = tool_content(done.last_messages)
    results = {part.tool_call_id: part.output.type for part in content if isinstance(part, ToolResultContent)}
    assert results == {"c1": "json", "c2": "error-text", "c3": "execution-denied"}
    assert len(content) == 6


async def test_approval_of_the_clients_own_tool_leaves_it_open():
    asked = ToolApprovalRequest(approval_id="a1", tool_call_id="call-1")
    client = tool(name="any", input_schema={}, needs_approval=True)
    done = await answer(saying("Done."), tools=[client], messages=approved(asked))
    assert done.kinds()[:2] == ["Start", "StartStep"]


@pytest.mark.parametrize(
    ("needs", "kinds", "call_count"),
    [
        (Approve("small"), ["ToolApprovalRequest", "ToolApprovalResponse", "ToolOutputAvailable"], 2),
        (Deny("locked"), ["ToolApprovalRequest", "ToolApprovalResponse", "ToolOutputDenied"], 2),
        (AskUser("large"), ["ToolApprovalRequest"], 1),
    ],
)
async def test_application_may_decide_by_itself(needs: Any, kinds: list[str], call_count: int):
    def decide(value: Any, context: ToolContext) -> Any:
        return needs

    done = await answer(calling_tool("any", {"a": 1}), saying("."), tools=[any_tool(decide)])
    assert done.kinds()[5 : 5 + len(kinds)] == kinds
    assert len(done.model.calls) == call_count


def tool_content(messages: Sequence[ModelMessage]) -> Sequence[Any]:
    """The last message, which the tools answered."""
    last = messages[-1]
    assert isinstance(last, ToolMessage)
    return last.content


async def test_automatic_denial_is_told_to_the_model():
    done = await answer(calling_tool("any"), saying("."), tools=[any_tool(Deny("locked"))])
    content = tool_content(done.last_messages)
    assert [part.output for part in content if isinstance(part, ToolResultContent)] == [
        ToolResultOutput("execution-denied", "locked")
    ]


async def test_client_that_cannot_be_asked_is_told_so_and_the_loop_goes_on():
    done = await answer(calling_tool("any"), saying("Sorry."), tools=[any_tool()], policy=GUESSED)
    assert done.kinds()[4:6] == ["ToolInputAvailable", "ToolOutputError"]
    assert len(done.model.calls) == 2


def test_default_of_on_error_is_to_mask():
    request = LoopRequest(model=ScriptedModel(saying(".")), call=ModelCall(messages=()), tools={}, stop_when=[])
    on_error: Callable[[BaseException], str | None] = request.on_error
    assert on_error(ValueError()) is None


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
