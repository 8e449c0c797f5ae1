"""Tools as they run: at once, in time, and each to an output or an error."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum
from functools import partial
from typing import Any

import anyio.to_thread
import msgspec
import pytest
from pydantic import BaseModel

from tests.support.waiting import PATIENCE
from usechat import ToolContext, tool
from usechat.answers.calls import execute
from usechat.answers.calls.execute import Execution, ToolRunner, error_text
from usechat.errors import InvalidToolInputError, ToolExecutionError
from usechat.messages.model import ToolResultOutput
from usechat.parts import Data, Part, ToolOutputAvailable, ToolOutputError
from usechat.tools.tool import ToolWriter, read_tools

pytestmark = pytest.mark.anyio


class Place(BaseModel):
    """A place."""

    name: str


@dataclasses.dataclass
class Point:
    """A point."""

    x: int


class Color(Enum):
    """A color."""

    RED = "red"


def make_context(tool_call_id: str, tool_name: str, writer: ToolWriter) -> ToolContext:
    return ToolContext(
        tool_call_id=tool_call_id,
        tool_name=tool_name,
        messages=(),
        writer=writer,
        abort=asyncio.Event(),
        request="the request",
    )


class Run:
    """One step's tools, run to their end."""

    def __init__(self, *functions: Any, timeout: float | None = 5.0, **options: Any) -> None:
        self.told: list[BaseException] = []
        self.runner = ToolRunner(make_context, self._tell)
        tools = read_tools({f"t{number}": function for number, function in enumerate(functions)})
        self.executions = [
            Execution(tool=tool_with(made, timeout=timeout, **options), tool_call_id=f"c{number}", arguments={})
            for number, made in enumerate(tools.values())
        ]
        self.batches: list[list[Part]] = []

    def _tell(self, error: BaseException) -> str | None:
        self.told.append(error)
        return None

    async def parts(self) -> list[Part]:
        async for batch in self.runner.run(self.executions):
            self.batches.append(batch)
        return [part for batch in self.batches for part in batch]

    async def output(self) -> Any:
        """The only call's output."""
        *_, last = await self.parts()
        assert isinstance(last, ToolOutputAvailable)
        assert not last.preliminary
        return last.output

    async def error(self) -> str:
        """The only call's error."""
        *_, last = await self.parts()
        assert isinstance(last, ToolOutputError)
        assert self.result() == ToolResultOutput("error-text", last.error_text)
        return last.error_text

    def result(self, tool_call_id: str = "c0") -> ToolResultOutput:
        """What the model gets."""
        return self.runner.results[tool_call_id].output


def tool_with(made: Any, **options: Any) -> Any:
    return msgspec.structs.replace(made, **options)


def returning(value: Any) -> Callable[[], Any]:
    async def run() -> Any:
        return value

    return run


def raising(error: BaseException) -> Callable[[], Any]:
    async def run() -> Any:
        raise error

    return run


# Forms


class Counter:
    """A tool that is an object."""

    async def __call__(self) -> str:
        return "async object"


class Stream:
    """A tool that is an object with several outputs."""

    async def __call__(self) -> AsyncIterator[int]:
        for value in (1, 2):
            yield value


class Plain:
    """A tool that is an object without anything async."""

    def __call__(self) -> str:
        return threading.current_thread().name


async def test_async_function_runs_on_the_event_loop():
    def run() -> Any:
        async def inner() -> bool:
            return threading.current_thread() is threading.main_thread()

        return inner()

    async def direct() -> bool:
        return threading.current_thread() is threading.main_thread()

    assert await Run(direct).output() is True
    assert await Run(run).output() is True


@pytest.mark.parametrize("function", [lambda: threading.current_thread().name, Plain(), partial(Plain().__call__)])
async def test_plain_function_runs_on_a_thread(function: Any):
    assert await Run(function).output() != threading.main_thread().name


async def test_generators_outputs_are_preliminary_and_the_last_one_counts():
    async def several() -> AsyncIterator[str]:
        yield "one"
        yield "two"

    def plain() -> Iterator[str]:
        yield "one"
        yield "two"

    for function in (several, plain, lambda: several(), lambda: plain(), partial(several)):  # noqa: PLW0108 - plain ones
        run = Run(function)
        shown = [(part.output, part.preliminary) for part in await run.parts()]  # type: ignore[union-attr]
        assert shown == [("one", True), ("two", True), ("two", None)]
        assert run.result() == ToolResultOutput("text", "two")


async def test_objects_may_be_tools():
    assert await Run(Counter()).output() == "async object"
    assert await Run(Stream()).output() == 2


async def test_generator_without_outputs_gives_none():
    async def silent() -> AsyncIterator[int]:
        return
        yield 1

    assert await Run(silent).output() is None


async def test_iterable_that_cannot_be_closed_is_read():
    class Numbers:
        def __init__(self) -> None:
            self.left = [1, 2]

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

    assert await Run(returning(Numbers())).output() == 2


async def test_input_reaches_the_function_by_name_or_as_one():
    async def by_name(city: str, context: ToolContext) -> Any:
        return [city, context.tool_call_id, context.tool_name, context.request]

    async def as_one(place: Place, context: ToolContext) -> Any:
        return [place.name, context.tool_call_id]

    run = Run()
    named = tool(by_name)
    given = tool(name="as_one", input_schema=Place, execute=as_one)
    run.executions = [
        Execution(tool=named, tool_call_id="c0", arguments={"city": "York"}),
        Execution(tool=given, tool_call_id="c1", arguments=Place(name="York")),
    ]
    await run.parts()
    assert run.result("c0").value == ["York", "c0", "by_name", "the request"]
    assert run.result("c1").value == ["York", "c1"]


# Results


@pytest.mark.parametrize(
    ("value", "shown", "type_"),
    [
        ("text", "text", "text"),
        ("", "", "text"),
        (None, None, "json"),
        ({"a": [1, None]}, {"a": [1, None]}, "json"),
        ({1: "a"}, {"1": "a"}, "json"),
        (Place(name="York"), {"name": "York"}, "json"),
        (Point(1), {"x": 1}, "json"),
        (Color.RED, "red", "text"),
        (dt.datetime(2026, 11, 22, tzinfo=dt.UTC), "2026-11-22T00:00:00Z", "text"),
        (b"bytes", "bytes", "text"),
        ((1, 2), [1, 2], "json"),
        ({3}, [3], "json"),
        (float("nan"), None, "json"),
        ([float("inf")], [None], "json"),
        (10**30, 1e30, "json"),
        (10**400, None, "json"),
        ("\ud800", "\ud800", "text"),
    ],
)
async def test_result_is_shown_as_json(value: Any, shown: Any, type_: Any):
    run = Run(returning(value))
    assert await run.output() == shown
    assert run.result() == ToolResultOutput(type_, shown)


def cyclic() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def deep() -> Any:
    value: Any = 1
    for _ in range(300):
        value = [value]
    return value


@pytest.mark.parametrize("value", [object(), cyclic(), deep(), b"\xff"])
async def test_result_that_json_cannot_hold_is_an_error(value: Any):
    run = Run(returning(value))
    assert await run.error() == "Error: The tool's result cannot be written as JSON."
    (error,) = run.told
    assert isinstance(error, ToolExecutionError)
    assert error.__cause__ is not None


async def test_preliminary_output_that_json_cannot_hold_is_an_error():
    is_closed: list[bool] = []

    async def bad() -> AsyncIterator[object]:
        try:
            yield object()
        finally:
            is_closed.append(True)

    assert await Run(bad).error() == "Error: The tool's result cannot be written as JSON."
    assert is_closed == [True]


@pytest.mark.parametrize("is_async", [True, False])
async def test_what_the_model_gets_may_differ_from_what_is_shown(is_async: bool):
    def convert(output: Any) -> ToolResultOutput:
        return ToolResultOutput("text", f"a place called {output.name}")

    async def convert_later(output: Any) -> ToolResultOutput:
        return convert(output)

    run = Run(returning(Place(name="York")), to_model_output=convert_later if is_async else convert)
    assert await run.output() == {"name": "York"}
    assert run.result() == ToolResultOutput("text", "a place called York")


async def test_conversion_that_fails_is_the_tools_error():
    def convert(output: Any) -> ToolResultOutput:
        raise ValueError("no")

    assert await Run(returning(1), to_model_output=convert).error() == "Error: no"


# Failures


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("bad"), "Error: bad"),
        (ValueError(), "Error: ValueError"),
        (TimeoutError("the database"), "Error: the database"),
        (InvalidToolInputError("no", tool_name="t"), "AI_InvalidToolInputError: no"),
        (asyncio.CancelledError(), "Error: The tool was cancelled."),
    ],
)
async def test_exception_is_told(error: BaseException, text: str):
    assert error_text(error) == text or isinstance(error, asyncio.CancelledError)
    run = Run(raising(error))
    assert await run.error() == text


def stop_iteration() -> None:
    raise StopIteration


def failing_generator() -> Iterator[int]:
    yield 1
    raise ValueError("bad")


async def test_exception_of_a_thread_is_told():
    assert await Run(stop_iteration).error() == "Error: coroutine raised StopIteration"
    assert await Run(failing_generator).error() == "Error: bad"


async def test_error_text_of_the_application_goes_to_the_browser_only():
    runner = ToolRunner(make_context, lambda error: f"Sorry: {error}")
    made = read_tools({"t": raising(ValueError("bad"))})["t"]
    execution = Execution(tool=made, tool_call_id="c0", arguments={}, dynamic=True, provider_metadata={"a": {}})
    ((part,),) = [batch async for batch in runner.run([execution])]
    assert part == ToolOutputError(
        tool_call_id="c0",
        tool_name="t",
        error_text="Error: bad",
        client_text="Sorry: bad",
        dynamic=True,
        provider_metadata={"a": {}},
    )


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
    assert await run.error() == "Error: The tool did not end within 0.02 seconds."


async def test_thread_that_takes_too_long_holds_nobody_up():
    release = threading.Event()
    run = Run(lambda: release.wait(), returning("other"), timeout=1)  # noqa: PLW0108 - a method of C has no types
    try:
        parts = await run.parts()
    finally:
        release.set()
    assert [type(part) for part in parts] == [ToolOutputAvailable, ToolOutputError]


async def test_generator_on_a_thread_that_takes_too_long_is_left_to_end():
    release = threading.Event()
    is_closed = threading.Event()

    def slow() -> Iterator[int]:
        try:
            yield 1
            release.wait()
            yield 2
        finally:
            is_closed.set()

    run = Run(slow, timeout=0.05)
    try:
        assert await run.error() == "Error: The tool did not end within 0.05 seconds."
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

    assert await Run(run, timeout=0.02).error() == "Error: The tool did not end within 0.02 seconds."


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
