"""Steering: messages of the user that reach an answer while it is made, and what becomes of those that do not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.support.waiting import PATIENCE
from usechat import (
    Steering,
    SteeringOutcome,
    StepResult,
    StepSettings,
    convert_to_model_messages,
    generate_text,
    step_count_is,
    stream_text,
    tool,
)
from usechat.answers.loop.outputs import Nowhere
from usechat.answers.loop.steering import Delivery
from usechat.answers.stream_text import StreamTextResult
from usechat.errors import ConfigurationError, ProviderStreamError, RequestError
from usechat.messages.model import AssistantMessage, FileContent, ModelMessage, TextContent, UserMessage
from usechat.messages.ui import UIMessage
from usechat.models.claude.request.request import build_request
from usechat.parts import Error, FinishStep, Part, StartStep, SteeringMessage, TextDelta, TextStart
from usechat.protocol.decoders import UIMessageStreamDecoder
from usechat.protocol.dialects import AUTO, Dialect, parse_dialect
from usechat.protocol.dialects import NEWEST as NEWEST_VERSIONS
from usechat.protocol.encoders import make_encoder
from usechat.protocol.options import EncoderOptions
from usechat.testing.client_rules import find_refusals
from usechat.testing.messages_api_rules import find_violations
from usechat.testing.models import Hold, ScriptedModel, Step, calling_tool, saying

pytestmark = pytest.mark.anyio

ASK = tool(name="ask", input_schema={"type": "object"})
NEWEST = Dialect(NEWEST_VERSIONS[7], exact=True)


def said(text: str) -> UserMessage:
    return UserMessage((TextContent(text),))


def answered(text: str) -> AssistantMessage:
    return AssistantMessage((TextContent(text),))


def ask(
    steering: Steering, *steps: Step, dialect: Dialect = NEWEST, stop: int = 5, **options: Any
) -> tuple[ScriptedModel, StreamTextResult]:
    """A model and an answer by it, for the client that ``dialect`` stands for."""
    model = ScriptedModel(*steps)
    options = {"prompt": "Hi", "stop_when": step_count_is(stop), **options}
    result = stream_text(model, steering=steering, **options)
    result.bind(dialect, EncoderOptions())
    return model, result


async def read(result: StreamTextResult) -> list[Part]:
    return [part async for part in result]


def after_step(number: int, do: Callable[[], object]) -> Callable[[StepResult], None]:
    def finished(step: StepResult) -> None:
        if step.step_number == number:
            do()

    return finished


def asked(model: ScriptedModel) -> list[list[str]]:
    """What the user had said by each model call."""
    of_user = [[one for one in call.messages if isinstance(one, UserMessage)] for call in model.calls]
    return [[part.text for one in said for part in one.content if isinstance(part, TextContent)] for said in of_user]


# What reaches the model, and when


async def test_what_is_said_before_the_answer_reaches_its_first_step():
    steering = Steering()
    first, second = steering.steer("a", id="1"), steering.steer("b", id="2")
    model, result = ask(steering, saying("Done"))
    parts = await read(result)
    assert model.calls[0].messages == (said("Hi"), said("a"), said("b"))
    assert parts[1:4] == [
        SteeringMessage(id="1", parts=({"type": "text", "text": "a"},)),
        SteeringMessage(id="2", parts=({"type": "text", "text": "b"},)),
        StartStep(message_id=parts[3].message_id),  # type: ignore[union-attr]
    ]
    assert await first == SteeringOutcome(id="1", message=said("a"), step_number=0)
    assert (await second).is_delivered


async def test_what_is_said_while_a_tool_runs_reaches_the_model_after_its_result():
    steering = Steering()
    sent: list[Delivery] = []

    async def look() -> str:
        sent.append(steering.steer("Faster"))
        return "seen"

    model, result = ask(steering, calling_tool("look"), saying("Done"), tools=[look])
    parts = await read(result)
    assert [type(message).__name__ for message in model.calls[1].messages] == [
        "UserMessage", "AssistantMessage", "ToolMessage", "UserMessage",
    ]  # fmt: skip
    assert model.calls[1].messages[-1] == said("Faster")
    kinds = [type(part) for part in parts]
    assert kinds.index(FinishStep) < kinds.index(SteeringMessage) < kinds.index(TextStart)
    assert (await sent[0]).step_number == 1


async def test_what_waits_when_the_model_is_done_keeps_the_answer_going():
    steering = Steering()
    steer = after_step(0, lambda: steering.steer("And now?"))
    model, result = ask(steering, saying("One"), saying("Two"), on_step_finish=steer)
    await read(result)
    assert model.calls[1].messages == (said("Hi"), answered("One"), said("And now?"))
    assert len(model.calls) == 2
    assert [step.steering_messages for step in await result.steps] == [(), (said("And now?"),)]
    assert (await result.text) == "Two"


async def test_queue_is_taken_up_one_answer_at_a_time_and_after_what_was_steered():
    steering = Steering()
    steering.queue("q1")
    last = steering.queue("q2")
    steer = after_step(1, lambda: steering.steer("s"))
    steps = calling_tool("look_around"), saying("1"), saying("2"), saying("3")
    model, result = ask(steering, *steps, tools=[look_around], on_step_finish=steer)
    await read(result)
    assert asked(model) == [["Hi"], ["Hi"], ["Hi", "s"], ["Hi", "s", "q1"], ["Hi", "s", "q1", "q2"]]
    assert (await last).step_number == 4


async def look_around() -> str:
    return "seen"


@pytest.mark.parametrize("reason", ["length", "content-filter"])
async def test_queue_waits_for_an_answer_that_is_whole(reason: Any):
    steering = Steering()
    queued = steering.queue("Then this")
    model, result = ask(steering, saying("Cut", finish=reason))
    await read(result)
    assert len(model.calls) == 1
    assert (await queued).reason == "finished"


@pytest.mark.parametrize("reason", ["length", "content-filter"])
async def test_what_is_steered_does_not(reason: Any):
    steering = Steering()
    steer = after_step(0, lambda: steering.steer("Go on"))
    model, result = ask(steering, saying("Cut", finish=reason), saying("Whole"), on_step_finish=steer)
    await read(result)
    assert asked(model) == [["Hi"], ["Hi", "Go on"]]


async def test_answer_without_streaming_is_steered_likewise():
    steering = Steering()
    steering.queue("And?")
    final = await generate_text(
        ScriptedModel(saying("One"), saying("Two")), prompt="Hi", steering=steering, stop_when=step_count_is(3)
    )
    assert (final.text, len(final.steps)) == ("Two", 2)


async def test_step_that_is_tried_again_shows_the_message_once():
    broken = ProviderStreamError("cut", provider="scripted", is_retryable=True)
    steering = Steering()
    sent = steering.steer("Faster")
    steps: list[Step] = [[[TextStart("0"), TextDelta("0", "Ha")], broken], saying("Whole")]
    model, result = ask(steering, *steps, stream_retries=1)
    parts = await read(result)
    assert sum(isinstance(part, SteeringMessage) for part in parts) == 1
    assert asked(model) == [["Hi", "Faster"]] * 2
    assert [part["type"] for part in (await result.ui_message)["parts"]] == ["steering-message", "step-start", "text"]
    assert (await sent).step_number == 0
    assert [step.steering_messages for step in await result.steps] == [(said("Faster"),)]


# What does not


async def test_stop_condition_holds_all_the_same():
    steering = Steering()
    sent: list[Delivery] = [steering.queue("q")]
    steer = after_step(0, lambda: sent.append(steering.steer("s")))
    model, result = ask(steering, saying("One"), stop=1, on_step_finish=steer)
    await read(result)
    assert len(model.calls) == 1
    assert [(await one).reason for one in sent] == ["stop-condition"] * 2


async def test_message_waits_for_no_tool_of_the_client():
    steering = Steering()
    sent: list[Delivery] = []
    steer = after_step(0, lambda: sent.append(steering.steer("s")))
    _, result = ask(steering, calling_tool("ask"), tools=[ASK], on_step_finish=steer)
    await read(result)
    assert (await sent[0]).reason == "waiting-for-tool-results"


async def test_failed_step_is_not_gone_on_with():
    steering = Steering()
    sent = steering.queue("q")
    model, result = ask(steering, saying("Cut", finish="error"))
    await read(result)
    assert len(model.calls) == 1
    assert (await sent).reason == "error"


async def test_model_that_fails_leaves_the_rest_undelivered():
    steering = Steering()
    taken, left = steering.steer("s"), steering.queue("q")
    _, result = ask(steering, [ProviderStreamError("cut", provider="scripted")])
    parts = await read(result)
    assert isinstance(parts[-1], Error)
    assert (await taken).is_delivered
    assert (await left).reason == "error"


async def test_failed_tool_that_ends_an_answer_to_ai_sdk_4_ends_it_here_too():
    async def look() -> str:
        raise ValueError("fog")

    steering = Steering()
    sent: list[Delivery] = []
    steer = after_step(0, lambda: sent.append(steering.steer("s")))
    dialect = Dialect(NEWEST_VERSIONS[4], exact=True)
    _, result = ask(steering, calling_tool("look"), tools=[look], on_step_finish=steer, dialect=dialect)
    await read(result)
    assert (await sent[0]).reason == "error"


async def test_prepare_step_may_change_a_message_but_not_leave_it_out():
    def prepare(number: int, _: Sequence[StepResult], messages: Sequence[ModelMessage]) -> StepSettings | None:
        if number == 0:
            marked = [*messages[:-1], UserMessage(said("kept").content, {"anthropic": {"cacheControl": {}}})]
            return StepSettings(messages=marked)
        return StepSettings(messages=messages[:-1])

    steering = Steering()
    kept = steering.steer("kept")
    dropped: list[Delivery] = []
    steer = after_step(0, lambda: dropped.append(steering.steer("dropped")))
    model, result = ask(steering, saying("One"), saying("Two"), prepare_step=prepare, on_step_finish=steer)
    parts = await read(result)
    assert asked(model) == [["Hi", "kept"]] * 2
    assert [part.id for part in parts if isinstance(part, SteeringMessage)] == [kept.id]
    assert (await kept).step_number == 0
    assert (await dropped[0]).reason == "removed-by-prepare-step"


async def test_what_is_said_while_a_step_is_prepared_is_for_the_next():
    steering = Steering()

    def prepare(number: int, _: Sequence[StepResult], messages: Sequence[ModelMessage]) -> None:
        if number == 0:
            steering.steer("late")

    model, result = ask(steering, saying("One"), saying("Two"), prepare_step=prepare)
    await read(result)
    assert asked(model) == [["Hi"], ["Hi", "late"]]


async def test_step_that_cannot_be_prepared_is_a_failure():
    def prepare(*_: object) -> StepSettings:
        raise ValueError("cannot")

    steering = Steering()
    sent = steering.steer("s")
    _, result = ask(steering, saying("One"), prepare_step=prepare)
    await read(result)
    assert (await sent).reason == "error"


async def test_answer_that_is_stopped_says_so_at_once():
    hold = Hold()
    steering = Steering()
    _, result = ask(steering, [[TextStart("0")], hold])
    reading = asyncio.create_task(read(result))
    await asyncio.wait_for(hold.reached.wait(), PATIENCE)
    sent = steering.steer("s")
    result.abort()
    await reading
    assert (await sent).reason == "aborted"


async def test_answer_that_nobody_read_is_stopped():
    steering = Steering()
    sent = steering.steer("s")
    _, result = ask(steering, saying("One"))
    await result.aclose()
    assert (await sent).reason == "aborted"


async def test_request_that_cannot_be_answered_is_a_failure():
    steering = Steering()
    sent = steering.steer("s")
    result = stream_text(ScriptedModel(saying("One")), messages=[], steering=steering)
    with pytest.raises(RequestError):
        await result.drive(Nowhere())
    assert (await sent).reason == "error"


async def test_message_after_the_end_is_told_that_it_is_over():
    steering = Steering()
    _, result = ask(steering, saying("One"))
    await read(result)
    late = SteeringOutcome(id="late", message=said("s"), reason="finished")
    assert await steering.steer("s", id="late") == late
    assert not late.is_delivered


# What one sends


async def test_message_that_is_sent_again_is_the_same_delivery():
    steering = Steering()
    first = steering.steer("a", id="1")
    assert steering.steer("a", id="1") is first
    assert steering.queue("other", id="1") is first
    model, result = ask(steering, saying("One"))
    await read(result)
    assert asked(model) == [["Hi", "a"]]
    assert steering.steer("a", id="1") is first


async def test_steering_is_for_one_answer():
    steering = Steering()
    sent = steering.steer("s")
    with pytest.raises(ConfigurationError, match="either messages or prompt"):
        stream_text(ScriptedModel(saying("One")), steering=steering)
    _, result = ask(steering, saying("One"))
    with pytest.raises(ConfigurationError, match="for one answer"):
        ask(steering, saying("One"))
    await read(result)
    assert (await sent).is_delivered


@pytest.mark.parametrize("message", [None, 5, {"role": "user"}, answered("no user's")])
def test_what_is_no_user_message_is_refused(message: Any):
    with pytest.raises(ConfigurationError, match="a text or a UserMessage"):
        Steering().steer(message)


@pytest.mark.parametrize("message", ["", " \n", UserMessage(()), said(" ")])
def test_blank_message_is_refused_before_it_can_fail_the_answer(message: str | UserMessage):
    with pytest.raises(RequestError, match="says nothing"):
        Steering().queue(message)


FILES: list[tuple[FileContent, dict[str, Any]]] = [
    (FileContent(media_type="image/png", url="https://a.example/p"), {"url": "https://a.example/p"}),
    (FileContent(media_type="image/png", data="iVBO"), {"url": "data:image/png;base64,iVBO"}),
    (FileContent(media_type="image/png", data="", filename="p"), {"filename": "p", "url": "data:image/png;base64,"}),
    (
        FileContent(media_type="image/png", provider_reference={"anthropic": "file_1"}),
        {"url": "", "providerReference": {"anthropic": "file_1"}},
    ),
]


@pytest.mark.parametrize(("file", "shown"), FILES)
async def test_files_and_metadata_are_shown_as_a_user_message_has_them(file: FileContent, shown: dict[str, Any]):
    marked = {"anthropic": {"cacheControl": {"type": "ephemeral"}}}
    message = UserMessage((TextContent("Look", marked), file))
    part = Delivery("1", message).part()
    assert part.parts == (
        {"type": "text", "text": "Look", "providerMetadata": marked},
        {"type": "file", "mediaType": "image/png", **shown},
    )
    stored = {
        "id": "m",
        "role": "assistant",
        "parts": [{"type": "steering-message", "id": "1", "parts": [*part.parts]}],
    }
    assert convert_to_model_messages([UIMessage.model_validate(stored)]) == [message]


# Who sees it


@pytest.mark.parametrize("name", ["4", "5", "6", "7.0.149", "auto"])
async def test_older_client_is_not_shown_what_the_model_gets(name: str):
    steering = Steering()
    sent = steering.queue("And?")
    dialect = parse_dialect(name) or AUTO
    model, result = ask(steering, saying("One"), saying("Two"), dialect=dialect)
    encoder = make_encoder(None, dialect)
    frames = encoder.feed_all(await read(result)) + encoder.finish()
    assert b"steering" not in frames
    assert asked(model) == [["Hi"], ["Hi", "And?"]]
    assert (await sent).step_number == 1
    assert [step.steering_messages for step in await result.steps] == [(), (said("And?"),)]


async def test_newest_client_sends_the_conversation_back_as_the_model_had_it():
    steering = Steering()
    steering.steer("First")
    steering.queue("Then")
    model, result = ask(steering, calling_tool("look_around"), saying("One"), saying("Two"), tools=[look_around])
    encoder = make_encoder(None, NEWEST)
    frames = encoder.feed_all(await read(result)) + encoder.finish()
    assert find_refusals(frames, NEWEST.version) == []
    decoder = UIMessageStreamDecoder()
    told = [part.id for part in decoder.feed(frames) if isinstance(part, SteeringMessage)]
    stored = UIMessage.model_validate(await result.ui_message)
    assert [part["id"] for part in stored.parts if part["type"] == "steering-message"] == told
    had = [*model.calls[-1].messages, answered("Two")]
    assert convert_to_model_messages([stored]) == had[1:]


async def test_messages_api_takes_what_comes_of_it():
    steering = Steering()
    steering.steer("Faster")
    steering.queue("Slower")
    model, result = ask(steering, calling_tool("look_around"), saying("One"), saying("Two"), tools=[look_around])
    await read(result)
    bodies = [build_request(call, "claude-sonnet-4-5").body for call in model.calls]
    assert [find_violations(body) for body in bodies] == [[]] * 3


# Tasks and threads


async def test_what_threads_say_is_all_delivered_in_each_ones_order():
    steering = Steering()

    def talk(name: int) -> list[Delivery]:
        return [steering.steer(f"{name}-{number}") for number in range(50)]

    async def look() -> str:
        sent = await asyncio.gather(*(asyncio.to_thread(talk, name) for name in range(4)))
        deliveries.extend(one for some in sent for one in some)
        return "seen"

    deliveries: list[Delivery] = []
    model, result = ask(steering, calling_tool("look"), saying("Done"), tools=[look])
    await read(result)
    texts = asked(model)[-1][1:]
    assert sorted(texts) == sorted(f"{name}-{number}" for name in range(4) for number in range(50))
    for name in range(4):
        assert [text for text in texts if text.startswith(f"{name}-")] == [f"{name}-{number}" for number in range(50)]
    assert {(await one).step_number for one in deliveries} == {1}


async def test_thread_waits_for_its_outcome():
    steering = Steering()
    sent = steering.steer("s")
    with pytest.raises(TimeoutError):
        sent.result(0)
    outcomes: list[SteeringOutcome] = []
    waiting = threading.Thread(target=lambda: outcomes.append(sent.result(PATIENCE)))
    waiting.start()
    _, result = ask(steering, saying("Done"))
    await read(result)
    await asyncio.to_thread(waiting.join, PATIENCE)
    assert outcomes == [await sent]


async def test_task_that_stops_waiting_leaves_the_outcome_to_others():
    steering = Steering()
    sent = steering.steer("s")

    async def wait() -> SteeringOutcome:
        return await sent

    leaving, staying = asyncio.create_task(wait()), asyncio.create_task(wait())
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    _, result = ask(steering, saying("Done"))
    await read(result)
    assert (await staying).is_delivered
