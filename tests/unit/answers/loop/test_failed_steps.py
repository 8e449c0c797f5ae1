"""Steps that fail, are tried again, or are closed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.answers.loop.model_turns import ANY, GUESSED, V4, V7, Answered, answer, ended
from usechat import ToolContext, tool
from usechat.answers.loop.driver import read_turn
from usechat.answers.loop.policy import LoopPolicy, policy_for
from usechat.errors import ProviderError, ProviderStatusError, ProviderStreamError, RequestError
from usechat.failures import shown_text
from usechat.messages.model import AssistantMessage, ToolCallContent
from usechat.parts import Data, Error, FinishReason, ModelPart, TextDelta, TextStart, ToolOutputAvailable, Usage
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.testing.models import Hold, Step, calling_tool, saying

pytestmark = pytest.mark.anyio

V5 = policy_for(Dialect(NEWEST[5], exact=True))


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
