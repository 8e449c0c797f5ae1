"""Runs of real openai-agents with a scripted model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from agents import Agent, Model, Runner, function_tool, handoff, set_tracing_disabled

from tests.unit.adapters.answers import answered, parts_of, texts_of
from tests.unit.adapters.openai_events import call_turn, text_turn
from usechat.adapters import from_openai_agents
from usechat.parts import FinishReason

pytestmark = pytest.mark.anyio

set_tracing_disabled(True)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Scripted(Model):
    """A model that answers each call with the next turn."""

    def __init__(self, *turns: Any) -> None:
        self.turns = list(turns)

    async def get_response(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    async def stream_response(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        turn = self.turns.pop(0)
        if isinstance(turn, Exception):
            raise turn
        for event in turn:
            yield event


@function_tool
def get_tide(port: str) -> dict[str, int]:
    """The tide."""
    return {"metres": 3}


@function_tool(needs_approval=True)
def sail(port: str) -> str:
    """Sail."""
    return "sailed"


def run_of(*turns: Any, handoffs: Sequence[Any] = ()) -> Any:
    agent = Agent[Any](name="Harbour", model=Scripted(*turns), tools=[get_tide, sail], handoffs=list(handoffs))
    return Runner.run_streamed(agent, "The tide?")


def look() -> Any:
    return call_turn(("get_tide", '{"port": "Whitby"}', "c1"), ("get_tide", '{"port": "Hull"}', "c2"))


async def test_run_is_shown_in_steps_with_its_text_reasoning_calls_and_usage():
    event = await answered(
        lambda: from_openai_agents(run_of(look(), text_turn("Three ", "metres.", thoughts=["H", "m."])))
    )
    assert event.error is None
    assert texts_of(event) == ["Three metres."]
    assert texts_of(event, "reasoning") == ["Hm."]
    first, second = parts_of(event, "tool-get_tide")
    assert (first["state"], first["input"], first["output"]) == ("output-available", {"port": "Whitby"}, {"metres": 3})
    assert second["input"] == {"port": "Hull"}
    assert len(parts_of(event, "step-start")) == 2
    assert event.finish_reason == FinishReason("stop")
    usage = event.usage
    assert (usage.input_no_cache, usage.input_cache_read, usage.output, usage.output_reasoning) == (8, 12, 8, 2)


async def test_events_alone_are_read_too():
    event = await answered(lambda: from_openai_agents(run_of(look(), text_turn("Three.")).stream_events()))
    assert texts_of(event) == ["Three."]


async def test_interrupted_run_asks_for_the_approval_of_its_call_and_goes_on_with_the_decision():
    runs: list[Any] = []

    def make() -> Any:
        runs.append(run_of(call_turn(("sail", '{"port": "Whitby"}', "c3")), text_turn("Gone.")))
        return from_openai_agents(runs[-1])

    event = await answered(make)
    [part] = parts_of(event, "tool-sail")
    assert (part["state"], part["approval"]) == ("approval-requested", {"id": "c3"})

    def resume() -> Any:
        run = runs.pop()
        state = run.to_state()
        for item in run.interruptions:
            state.approve(item)
        return from_openai_agents(Runner.run_streamed(run.last_agent, state))

    event = await answered(resume, known_tool_calls=["c3"])
    assert texts_of(event) == ["Gone."]


async def test_handoff_is_a_call_with_its_output():
    other = Agent[Any](name="Pilot", model=Scripted(text_turn("I take over.")))
    event = await answered(
        lambda: from_openai_agents(
            run_of(
                call_turn(("transfer_to_pilot", "{}", "c4")),
                handoffs=[handoff(other.clone(model=Scripted(text_turn("I take over."))))],
            )
        )
    )
    [part] = parts_of(event, "tool-transfer_to_pilot")
    assert part["state"] == "output-available"
    assert texts_of(event) == ["I take over."]


async def test_failure_of_the_run_is_the_answers_error():
    event = await answered(lambda: from_openai_agents(run_of(look(), RuntimeError("down"))))
    assert "down" in str(event.error)
    assert {part["state"] for part in parts_of(event, "tool-get_tide")} == {"output-available"}


async def test_run_whose_reader_leaves_is_cancelled():
    run = run_of(text_turn("a", "b"))
    parts = from_openai_agents(run)
    await anext(parts)
    await parts.aclose()
    assert run.is_complete
