"""Runs of real pydantic-ai agents with a scripted model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import Agent, BinaryImage, DeferredToolRequests, DeferredToolResults, ModelRetry, ToolDenied
from pydantic_ai.messages import FilePart, PartEndEvent, PartStartEvent
from pydantic_ai.models.function import DeltaThinkingPart, DeltaToolCall, FunctionModel

from tests.unit.adapters.answers import answered, parts_of, texts_of
from usechat.adapters import from_pydantic_ai
from usechat.parts import FinishReason

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def calling(name: str, args: str, id_: str) -> list[Any]:
    half = len(args) // 2
    first = DeltaToolCall(name=name, json_args=args[:half], tool_call_id=id_)
    return [{1: first}, {1: DeltaToolCall(json_args=args[half:])}]


LOOK = [{0: DeltaThinkingPart(content="H")}, {0: DeltaThinkingPart(content="m.")}, "I ", "look. "]
TIDE = calling("get_tide", '{"port": "Whitby"}', "c1")
ANSWER = ["Three ", "metres."]


def agent_of(*turns: Any) -> Agent[None, Any]:
    left = list(turns)

    async def speak(messages: Any, info: Any) -> AsyncIterator[Any]:
        turn = left.pop(0)
        if isinstance(turn, Exception):
            raise turn
        for piece in turn:
            yield piece

    output: Any = [str, DeferredToolRequests]
    agent: Any = Agent(FunctionModel(stream_function=speak), output_type=output)

    @agent.tool_plain
    def get_tide(port: str) -> dict[str, int]:
        if port == "nowhere":
            raise ModelRetry("no such port")
        return {"metres": 3}

    @agent.tool_plain(requires_approval=True)
    def sail(port: str) -> str:
        return "sailed"

    assert get_tide
    assert sail
    return agent


def run(*turns: Any, **options: Any) -> Any:
    return from_pydantic_ai(agent_of(*turns).run_stream_events("The tide?", **options))


async def test_run_is_shown_in_steps_with_its_text_thinking_calls_and_usage():
    event = await answered(lambda: run([*LOOK, *TIDE], ANSWER))
    assert event.error is None
    assert texts_of(event) == ["I look. ", "Three metres."]
    assert texts_of(event, "reasoning") == ["Hm."]
    [tide] = parts_of(event, "tool-get_tide")
    assert (tide["state"], tide["input"], tide["output"]) == ("output-available", {"port": "Whitby"}, {"metres": 3})
    assert len(parts_of(event, "step-start")) == 2
    assert event.finish_reason == FinishReason("stop")
    assert (event.usage.input or 0) > 0
    assert (event.usage.output or 0) > 0


async def test_entered_run_is_read_too():
    async def entered() -> AsyncIterator[Any]:
        async with agent_of(ANSWER).run_stream_events("Hi") as events:
            async for event in events:
                yield event

    assert texts_of(await answered(lambda: from_pydantic_ai(entered()))) == ["Three metres."]


async def test_call_that_must_be_made_again_has_failed():
    event = await answered(lambda: run(calling("get_tide", '{"port": "nowhere"}', "c1"), ANSWER))
    [tide] = parts_of(event, "tool-get_tide")
    assert tide["state"] == "output-error"
    assert texts_of(event) == ["Three metres."]


@pytest.mark.parametrize("args", ['{"harbour": 1}', '{"port": '])
async def test_call_with_a_wrong_input_has_failed(args: str):
    event = await answered(lambda: run(calling("get_tide", args, "c1"), ANSWER))
    [tide] = parts_of(event, "tool-get_tide")
    assert tide["state"] == "output-error"
    assert texts_of(event) == ["Three metres."]


async def test_deferred_call_asks_for_its_approval():
    event = await answered(lambda: run(calling("sail", '{"port": "Whitby"}', "c2")))
    [part] = parts_of(event, "tool-sail")
    assert (part["state"], part["approval"]) == ("approval-requested", {"id": "c2"})


@pytest.mark.parametrize(("decision", "state"), [(True, "output-available"), (ToolDenied("no"), "output-denied")])
async def test_decision_on_a_deferred_call_goes_on_in_the_same_message(decision: Any, state: str):
    async def resumed() -> AsyncIterator[Any]:
        agent = agent_of(calling("sail", '{"port": "Whitby"}', "c2"), ANSWER)
        async with agent.run_stream_events("Sail!") as events:
            first: Any = [event async for event in events][-1]
        again: Any = agent.run_stream_events(
            message_history=first.result.all_messages(),
            deferred_tool_results=DeferredToolResults(approvals={"c2": decision}),
        )
        async for part in from_pydantic_ai(again):
            seen.append(part)
            yield part

    seen: list[Any] = []
    event = await answered(resumed, known_tool_calls=["c2"])
    assert event.error is None
    assert texts_of(event) == ["Three metres."]
    kinds = {"output-available": "ToolOutputAvailable", "output-denied": "ToolOutputDenied"}
    assert kinds[state] in {type(part).__name__ for part in seen}


async def test_image_of_the_model_is_a_file():
    async def events() -> AsyncIterator[Any]:
        part = FilePart(content=BinaryImage(data=b"png", media_type="image/png"))
        yield PartStartEvent(index=0, part=part)
        yield PartEndEvent(index=0, part=part)

    event = await answered(lambda: from_pydantic_ai(events()))
    [file] = parts_of(event, "file")
    assert (file["mediaType"], file["url"]) == ("image/png", "data:image/png;base64,cG5n")


async def test_failure_of_the_run_is_the_answers_error():
    event = await answered(lambda: run([*LOOK, *TIDE], RuntimeError("down")))
    assert "down" in str(event.error)
    [tide] = parts_of(event, "tool-get_tide")
    assert tide["state"] == "output-available"
