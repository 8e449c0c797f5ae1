"""`ui_message_stream`: answers that an application writes itself."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tests.support.waiting import PATIENCE
from usechat import FinishEvent, UIMessageStreamWriter, stream_text, ui_message_stream
from usechat.answers.writer.ui_message_stream import UIMessageStream
from usechat.errors import ConfigurationError, ProviderStatusError
from usechat.parts import (
    Abort,
    Data,
    Error,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    Usage,
)
from usechat.testing.models import Hold, ScriptedModel, saying

pytestmark = pytest.mark.anyio

USAGE = Usage(input_no_cache=1, output=2)


async def read(result: UIMessageStream) -> list[Part]:
    return [part async for part in result]


def kinds(parts: list[Part]) -> list[str]:
    return [type(part).__name__ for part in parts]


async def text_of(*texts: str) -> AsyncIterator[str]:
    for text in texts:
        yield text


async def parts_of(*parts: Part) -> AsyncIterator[Part]:
    for part in parts:
        yield part


def finish(reason: Any = "stop", **values: Any) -> Finish:
    return Finish(finish_reason=FinishReason(reason), total_usage=USAGE, **values)


def step_end(reason: Any = "stop") -> FinishStep:
    return FinishStep(finish_reason=FinishReason(reason), usage=USAGE)


async def test_what_is_written_stands_between_start_and_finish():
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write_text("Hello")
        writer.write_data("tide", {"at": dt.date(2026, 11, 22)}, id="d1")
        writer.write_data("note", 1, transient=True)
        await writer.drain()

    result = ui_message_stream(execute)
    assert await read(result) == [
        Start(),
        TextStart("text"),
        TextDelta("text", "Hello"),
        TextEnd("text"),
        Data(name="tide", data={"at": "2026-11-22"}, id="d1"),
        Data(name="note", data=1, transient=True),
        Finish(finish_reason=FinishReason("stop"), total_usage=Usage()),
    ]
    assert await result.text == "Hello"
    message = await result.ui_message
    assert [part["type"] for part in message["parts"]] == ["text", "data-tide"]


async def test_data_that_json_cannot_hold_is_refused_where_it_is_written():
    async def execute(writer: UIMessageStreamWriter) -> None:
        with pytest.raises(ValueError, match="serialize"):
            writer.write_data("bad", object())

    assert kinds(await read(ui_message_stream(execute))) == ["Start", "Finish"]


async def test_parts_come_as_soon_as_they_are_written():
    seen = asyncio.Event()

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write_data("first", 1)
        await seen.wait()
        writer.write_data("second", 2)

    names: list[str] = []
    async for part in ui_message_stream(execute):
        if isinstance(part, Data):
            names.append(part.name)
            seen.set()
    assert names == ["first", "second"]


async def test_nothing_written_is_an_empty_answer():
    async def execute(writer: UIMessageStreamWriter) -> None: ...

    assert kinds(await read(ui_message_stream(execute))) == ["Start", "Finish"]


async def test_stream_of_text_is_an_answer():
    result = ui_message_stream(text_of("Hel", "lo"))
    assert await result.text == "Hello"
    assert await result.finish_reason == FinishReason("stop")


async def test_answer_object_is_a_stream():
    inner = stream_text(ScriptedModel(saying("Hello")), prompt="Hi")
    result = ui_message_stream(inner)
    assert kinds(await read(result)) == [
        "Start", "StartStep", "TextStart", "TextDelta", "TextEnd", "FinishStep", "Finish",
    ]  # fmt: skip
    assert await result.usage == Usage(input_no_cache=10, output=5)
    assert await inner.text == "Hello"


@pytest.mark.parametrize("source", [1, "text", None, [Start()]])
async def test_anything_else_is_no_source(source: Any):
    with pytest.raises(ConfigurationError, match="takes an async function or an async iterator"):
        ui_message_stream(source)


# Merging


async def test_two_streams_run_beside_each_other_and_are_kept_apart():
    both_began = asyncio.Barrier(2)

    async def speak(text: str) -> AsyncIterator[Part]:
        yield StartStep()
        yield TextStart("0")
        await both_began.wait()
        yield TextDelta("0", text)
        yield TextEnd("0")
        yield step_end()

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.merge(speak("one"))
        writer.merge(speak("two"))

    result = ui_message_stream(execute)
    parts = await read(result)
    assert [kind for kind in kinds(parts) if "Step" in kind] == ["StartStep", "FinishStep"]
    message = await result.ui_message
    assert sorted(part["text"] for part in message["parts"] if part["type"] == "text") == ["one", "two"]
    assert await result.usage == USAGE + USAGE


async def test_streams_may_follow_one_another():
    async def execute(writer: UIMessageStreamWriter) -> None:
        await writer.merge(text_of("one"))
        await writer.merge(text_of("two"))

    parts = await read(ui_message_stream(execute))
    assert [kind for kind in kinds(parts) if "Step" in kind] == ["StartStep", "FinishStep", "StartStep", "FinishStep"]


async def test_stream_that_a_merged_one_merges_is_waited_for():
    async def execute(writer: UIMessageStreamWriter) -> None:
        async def nested() -> AsyncIterator[str]:
            yield "one"
            writer.merge(text_of("two"))

        writer.merge(nested())

    assert sorted(await ui_message_stream(execute).text) == sorted("onetwo")


async def test_answer_has_one_start_and_one_finish():
    merged = parts_of(
        Start(message_id="x"), Start(message_metadata={"a": 1}), step_end("length"),
        finish("length", message_metadata={"b": 2}),
    )  # fmt: skip
    parts = await read(ui_message_stream(merged))
    assert parts == [
        Start(),
        Start(message_metadata={"a": 1}),
        step_end("length"),
        finish("length", message_metadata={"b": 2}),
    ]


async def test_finish_of_the_applications_own_comes_last():
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write(finish("tool-calls"))
        writer.write(finish("length"))
        writer.write_text("after")

    parts = await read(ui_message_stream(execute))
    assert parts[-1] == finish("length")
    assert kinds(parts)[-2] == "TextEnd"


async def test_last_steps_reason_is_the_answers():
    assert await ui_message_stream(parts_of(StartStep(), step_end("length"))).finish_reason == FinishReason("length")


async def test_merged_answer_that_was_stopped_does_not_stop_this_one():
    inner = stream_text(ScriptedModel(saying("never")), prompt="Hi")
    inner.abort()

    async def execute(writer: UIMessageStreamWriter) -> None:
        await writer.merge(inner)
        writer.write_text("Still here.")

    parts = await read(ui_message_stream(execute))
    assert "Abort" not in kinds(parts)
    assert kinds(parts)[-1] == "Finish"


# Errors


def raising() -> Any:
    raise ValueError("secret")


@pytest.mark.parametrize("text", [None, "Sorry."])
async def test_function_that_fails_ends_in_an_error(text: str | None):
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write_text("Hel")
        raising()

    finished: list[FinishEvent] = []
    result = ui_message_stream(execute, on_error=lambda error: text, on_finish=finished.append)
    parts = await read(result)
    assert kinds(parts)[-2:] == ["Error", "Finish"]
    assert parts[-2].error_text == (text or "An error occurred.")  # type: ignore[union-attr]
    assert parts[-1].finish_reason == FinishReason("error")  # type: ignore[union-attr]
    (event,) = finished
    assert isinstance(event.error, ValueError)
    assert not event.is_aborted


async def test_stream_that_fails_does_not_end_the_others(caplog: pytest.LogCaptureFixture):
    async def failing() -> AsyncIterator[str]:
        yield "Hel"
        raise ProviderStatusError("overloaded", provider="x", status=529)

    async def execute(writer: UIMessageStreamWriter) -> None:
        await writer.merge(failing())
        writer.write_data("still", 1)

    parts = await read(ui_message_stream(execute))
    assert kinds(parts)[-4:] == ["Error", "Data", "FinishStep", "Finish"]
    assert "): overloaded" in caplog.text


async def test_stream_of_something_else_is_an_error():
    assert "Error" in kinds(await read(ui_message_stream(stream_of_bytes())))


async def stream_of_bytes() -> AsyncIterator[bytes]:
    yield b"x"


async def test_error_of_a_merged_answer_is_this_ones_too():
    error = RuntimeError("no")
    result = ui_message_stream(stream_text(ScriptedModel([error]), prompt="Hi"))
    assert kinds(await read(result))[-2:] == ["Error", "Finish"]
    with pytest.raises(RuntimeError):
        await result.text


async def test_error_that_is_only_a_text_is_an_error_too():
    result = ui_message_stream(parts_of(Error("Sorry.")))
    assert (await read(result))[1] == Error("Sorry.")
    assert (await result.ui_message)["parts"] == []


# Stopping


async def test_nothing_is_merged_by_a_thread_that_goes_on_after_the_end():
    model = ScriptedModel(saying("Hi"))
    begun, goes_on, is_over = (threading.Event() for _ in range(3))
    merged: list[asyncio.Task[None]] = []

    def execute(writer: UIMessageStreamWriter) -> None:
        begun.set()
        goes_on.wait(PATIENCE)
        merged.append(writer.merge(stream_text(model, prompt="Hi")))
        is_over.set()

    result = ui_message_stream(execute)
    reading = asyncio.create_task(read(result))
    await asyncio.to_thread(begun.wait, PATIENCE)
    result.abort()
    await reading
    goes_on.set()
    assert await asyncio.to_thread(is_over.wait, PATIENCE)
    await asyncio.wait(merged)
    assert model.calls == []


async def test_stopping_cancels_the_function_and_all_it_merged():
    before = asyncio.all_tasks()
    cleaned: list[str] = []
    hold = Hold()
    model = ScriptedModel([[TextStart("0")], hold])

    async def wait() -> AsyncIterator[str]:
        try:
            yield "x"
            await asyncio.Event().wait()
        finally:
            cleaned.append("stream")

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.merge(wait())
        writer.merge(stream_text(model, prompt="Hi"))
        try:
            await asyncio.Event().wait()
        finally:
            assert writer.abort.is_set()
            cleaned.append("function")

    finished: list[FinishEvent] = []
    aborted: list[Any] = []
    result = ui_message_stream(execute, on_finish=finished.append, on_abort=aborted.append)
    parts: list[Part] = []

    async def drain() -> None:
        async for part in result:
            parts.append(part)  # noqa: PERF401 - what was read counts although it is cut off

    task = asyncio.create_task(drain())
    await hold.reached.wait()
    result.abort("enough")
    await task
    assert sorted(cleaned) == ["function", "stream"]
    assert model.open_count == 0
    assert parts[-1] == Abort("enough")
    assert [event.is_aborted for event in finished] == [True]
    assert aborted == [()]
    for _ in range(5):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before


async def test_reader_that_leaves_stops_everything():
    hold = Hold()
    model = ScriptedModel([[TextStart("0")], hold])
    async with aclosing(ui_message_stream(stream_text(model, prompt="Hi")).batches()) as batches:
        async for batch in batches:
            if any(isinstance(part, TextStart) for part in batch):
                break
    assert model.open_count == 0


async def test_merged_stream_waits_for_a_reader_that_is_behind():
    made = 0

    async def many() -> AsyncIterator[str]:
        nonlocal made
        while made < 2000:
            made += 1
            yield "x"

    batches = ui_message_stream(many()).batches()
    await anext(batches)
    await anext(batches)
    for _ in range(2000):
        await asyncio.sleep(0)
    assert made < 600
    rest = [part async for batch in batches for part in batch]
    assert isinstance(rest[-1], Finish)
    assert made == 2000


async def test_parts_may_be_written_from_a_thread():
    async def execute(writer: UIMessageStreamWriter) -> None:
        await asyncio.to_thread(writer.write_text, "from a thread")

    assert await ui_message_stream(execute).text == "from a thread"


async def test_metadata_and_parts_are_told():
    seen: list[Part] = []

    def metadata(part: Part) -> Any:
        return {"a": 1} if isinstance(part, Start) else None

    result = ui_message_stream(text_of("x"), message_metadata=metadata, on_part=seen.append)
    assert (await result.ui_message)["metadata"] == {"a": 1}
    assert kinds(seen)[0] == "Start"
