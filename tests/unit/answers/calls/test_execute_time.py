"""How long tools run: at once, too long, until they are stopped; parts that they show meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio.to_thread
import pytest

from tests.support.waiting import PATIENCE
from tests.unit.answers.calls.tool_runs import Run, returning
from usechat import ToolContext
from usechat.answers.calls import execute
from usechat.messages.call_words import INTERRUPTED
from usechat.parts import Data, ToolOutputAvailable, ToolOutputError

pytestmark = pytest.mark.anyio


# Time


async def test_tools_begin_in_their_order_and_run_at_once():
    begun: list[int] = []
    all_begun = asyncio.Event()

    def make(number: int) -> Any:
        async def run() -> int:
            begun.append(number)
            if len(begun) == 3:
                all_begun.set()
            await all_begun.wait()
            return number

        return run

    run = Run(*(make(number) for number in range(3)))
    assert len(await run.parts()) == 3
    assert begun == [0, 1, 2]


async def test_fast_tool_is_shown_before_a_slow_one():
    is_shown = asyncio.Event()

    async def slow() -> str:
        await is_shown.wait()
        return "slow"

    run = Run(slow, returning("fast"))
    outputs: list[Any] = []
    async for batch in run.runner.run(run.executions):
        outputs += [part.output for part in batch]  # type: ignore[union-attr]
        is_shown.set()
    assert outputs == ["fast", "slow"]


async def never() -> None:
    await asyncio.Event().wait()


async def endless() -> AsyncIterator[int]:
    yield 1
    await asyncio.Event().wait()


@pytest.mark.parametrize("function", [never, endless])
async def test_tool_that_takes_too_long_is_told_so(function: Any):
    run = Run(function, timeout=0.02)
    assert await run.error() == f"Error: The tool did not end within 0.02 seconds. {INTERRUPTED}"


async def test_thread_that_takes_too_long_holds_nobody_up():
    release = threading.Event()
    run = Run(lambda: release.wait(), returning("other"), timeout=1)  # noqa: PLW0108 - a method of C has no types
    try:
        parts = await run.parts()
    finally:
        release.set()
    assert [type(part) for part in parts] == [ToolOutputAvailable, ToolOutputError]


@pytest.mark.parametrize("is_returned", [False, True])
async def test_generator_on_a_thread_that_takes_too_long_is_left_to_end(is_returned: bool):
    release = threading.Event()
    is_closed = threading.Event()

    def slow() -> Iterator[int]:
        try:
            yield 1
            release.wait()
            yield 2
        finally:
            is_closed.set()

    # Long enough for its thread to begin.
    run = Run((lambda: slow()) if is_returned else slow, timeout=1)  # noqa: PLW0108 - this is no generator function
    try:
        assert await run.error() == f"Error: The tool did not end within 1 seconds. {INTERRUPTED}"
    finally:
        release.set()
    assert await anyio.to_thread.run_sync(is_closed.wait, PATIENCE)


async def test_tool_without_a_limit_has_its_time():
    async def run() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await Run(run, timeout=None).output() == "done"


async def test_tool_that_ignores_its_end_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(execute, "GRACE_SECONDS", 0.02)
    release = asyncio.Event()
    is_over = asyncio.Event()

    async def stubborn() -> AsyncIterator[int]:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        try:
            yield 1  # too late to be shown
        finally:
            is_over.set()

    run = Run(stubborn, timeout=0.02)
    parts = await run.parts()
    assert [type(part) for part in parts] == [ToolOutputError]
    assert "t0 goes on although it was cancelled" in caplog.text
    release.set()
    async with asyncio.timeout(PATIENCE):
        await is_over.wait()
    assert run.runner.queue.parts == []


async def test_tool_that_fails_while_it_is_stopped_is_told_as_late():
    async def run() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("cleaning up")

    assert await Run(run, timeout=0.02).error() == f"Error: The tool did not end within 0.02 seconds. {INTERRUPTED}"


# Stopping


async def test_stopping_cancels_all_tools_and_waits_for_them():
    cleaned: list[str] = []

    async def with_cleanup() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("function")

    async def outputs() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            cleaned.append("generator")

    before = asyncio.all_tasks()
    run = Run(with_cleanup, outputs)
    stream = run.runner.run(run.executions)
    await anext(stream)
    await stream.aclose()
    assert sorted(cleaned) == ["function", "generator"]
    assert asyncio.all_tasks() == before
    assert run.runner.results == {}


async def test_no_calls_are_over_at_once():
    run = Run(returning(1))
    assert len(await run.parts()) == 1


# Parts of a tool's own


async def test_tool_shows_parts_of_its_own_at_once():
    is_shown = asyncio.Event()

    async def run(context: ToolContext) -> str:
        context.writer.write(Data(name="progress", data=1))
        await context.writer.drain()
        await is_shown.wait()
        return "done"

    made = Run(run)
    async for batch in made.runner.run(made.executions):
        made.batches.append(batch)
        is_shown.set()
    assert made.batches[0] == [Data(name="progress", data=1)]


async def test_tool_on_a_thread_shows_parts_before_its_output():
    def run(context: ToolContext) -> str:
        for number in range(3):
            context.writer.write(Data(name="progress", data=number))
        return "done"

    shown = await Run(run).parts()
    assert [part.data for part in shown if isinstance(part, Data)] == [0, 1, 2]
    assert isinstance(shown[-1], ToolOutputAvailable)


async def test_generator_waits_for_a_reader_that_is_behind():
    made = 0

    async def many() -> AsyncIterator[int]:
        nonlocal made
        while made < 2000:
            made += 1
            yield made

    run = Run(many)
    stream = run.runner.run(run.executions)
    await anext(stream)
    for _ in range(2000):
        await asyncio.sleep(0)
    assert made < 600
    rest = [part async for batch in stream for part in batch]
    assert rest[-1] == ToolOutputAvailable(tool_call_id="c0", tool_name="t0", output=2000)
