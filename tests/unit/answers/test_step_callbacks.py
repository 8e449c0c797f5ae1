"""`on_step_start`, `on_tool_start`, `on_tool_end`: what an application hears while an answer is made."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from usechat import Agent, StepStartEvent, ToolEndEvent, ToolStartEvent, step_count_is, stream_text, tool
from usechat.errors import ConfigurationError, ToolExecutionError
from usechat.parts import ToolOutputAvailable
from usechat.testing.models import ScriptedModel, calling_tool, calling_tools, saying

pytestmark = pytest.mark.anyio


@tool
async def look_up(dish: str) -> str:
    """Look a dish up."""
    if dish == "stone":
        raise ValueError("no dish")
    return f"{dish}: 20 minutes"


async def test_each_step_and_tool_is_told_in_its_order():
    heard: list[Any] = []
    model = ScriptedModel(calling_tool("look_up", {"dish": "soup"}), saying("Done."), model_id="m-1")
    event = await Agent(
        model,
        system="Be brief.",
        tools=[look_up],
        on_step_start=heard.append,
        on_tool_start=heard.append,
        on_tool_end=heard.append,
        on_step_finish=heard.append,
    ).generate("A soup")
    first, started, ended, one, second, two = heard
    assert isinstance(first, StepStartEvent)
    assert isinstance(second, StepStartEvent)
    assert (first.step_number, first.provider, first.model_id) == (0, "scripted", "m-1")
    assert (first.system, first.tool_names, len(first.messages)) == ("Be brief.", ["look_up"], 1)
    assert (second.step_number, len(second.messages)) == (1, 3)
    assert started == ToolStartEvent(tool_call_id="call-1", tool_name="look_up", input={"dish": "soup"})
    assert isinstance(ended, ToolEndEvent)
    assert (ended.tool_name, ended.output, ended.error) == ("look_up", "soup: 20 minutes", None)
    assert ended.seconds >= 0
    assert [one, two] == list(event.steps)


async def test_end_of_a_failed_tool_has_what_it_raised():
    heard: list[ToolEndEvent] = []
    model = ScriptedModel(calling_tool("look_up", {"dish": "stone"}), saying("Done."))
    await Agent(model, tools=[look_up], on_tool_end=heard.append).generate("A stone")
    assert isinstance(heard[0].error, ValueError)
    assert heard[0].output is None


async def test_end_of_a_tool_that_was_stopped_is_told():
    begun = asyncio.Event()
    heard: list[ToolEndEvent] = []

    @tool
    async def wait() -> None:
        begun.set()
        await asyncio.Event().wait()

    answer = stream_text(ScriptedModel(calling_tool("wait")), prompt="Hi", tools=[wait], on_tool_end=heard.append)
    reading = asyncio.ensure_future(answer.text)
    await begun.wait()
    answer.abort()
    await asyncio.wait({reading})
    reading.exception()
    assert isinstance(heard[0].error, ToolExecutionError)


async def test_tool_that_a_stop_kept_from_beginning_is_not_told_of():
    entered = asyncio.Event()
    ran: list[str] = []

    async def on_tool_start(event: ToolStartEvent) -> None:
        entered.set()
        await asyncio.Event().wait()

    @tool
    async def wait() -> None:
        ran.append("ran")

    answer = stream_text(
        ScriptedModel(calling_tool("wait")),
        prompt="Hi",
        tools=[wait],
        on_tool_start=on_tool_start,
        on_tool_end=lambda event: ran.append("ended"),
    )
    reading = asyncio.ensure_future(answer.steps)
    await entered.wait()
    answer.abort()
    await asyncio.wait({reading})
    reading.exception()
    assert ran == []
    assert answer.final is not None
    assert list(answer.final.tool_errors) == ["call-1"]


async def test_failing_callback_changes_no_answer(caplog: pytest.LogCaptureFixture):
    def fail(event: object) -> None:
        raise ValueError("mine")

    model = ScriptedModel(calling_tool("look_up", {"dish": "soup"}), saying("Done."))
    agent = Agent(model, tools=[look_up], on_step_start=fail, on_tool_start=fail, on_tool_end=fail)
    assert (await agent.generate("A soup")).text == "Done."
    assert {record.getMessage() for record in caplog.records} == {
        "on_step_start failed",
        "on_tool_start failed",
        "on_tool_end failed",
    }


@pytest.mark.parametrize(("limit", "most"), [(None, 3), (2, 2), (1, 1)])
async def test_bound_on_tools_at_once_holds(limit: int | None, most: int):
    running, seen, order = 0, 0, list[int]()

    @tool
    async def work(number: int) -> int:
        nonlocal running, seen
        running += 1
        seen = max(seen, running)
        order.append(number)
        for _ in range(5):
            await asyncio.sleep(0)
        running -= 1
        return number

    calls = [(f"call-{number}", "work", {"number": number}) for number in range(3)]
    model = ScriptedModel(calling_tools(*calls), saying("Done."))
    agent = Agent(model, tools=[work], stop_when=step_count_is(2), tool_call_concurrency=limit)
    parts = [part async for part in agent.stream("Work")]
    assert (seen, order) == (most, [0, 1, 2])
    assert sorted(part.output for part in parts if isinstance(part, ToolOutputAvailable)) == [0, 1, 2]


@pytest.mark.parametrize("option", ["on_step_start", "on_tool_start", "on_tool_end"])
def test_what_is_no_callback_is_refused(option: str):
    with pytest.raises(ConfigurationError, match=f"{option} must be a function, not int"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi", **{option: 3})  # type: ignore[arg-type]


def test_bound_that_lets_no_tool_run_is_refused():
    with pytest.raises(ConfigurationError, match="tool_call_concurrency must be a number from 1, not 0"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi", tool_call_concurrency=0)
