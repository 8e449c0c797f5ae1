"""The forms that a tool may have, and the results and failures of its calls."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime as dt
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from enum import Enum
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from tests.unit.answers.calls.tool_runs import Run, make_context, returning
from usechat import ToolContext, tool
from usechat.answers.calls.execute import Execution, ToolRunner, error_text
from usechat.errors import InvalidToolInputError, ToolExecutionError
from usechat.messages.model import ToolResultOutput
from usechat.parts import ToolOutputError
from usechat.tools.tool import read_tools

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
        return [city, context.tool_call_id, context.tool_name, context.deps]

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
        (asyncio.CancelledError(), "Error: The tool call was interrupted. It may have taken effect."),
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
