"""Answers whose reader leaves, whose source breaks, or that are closed."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.support.waiting import AT_ONCE
from tests.unit.answers.answer_ends import Heard, ask, read_until, reading, texts
from usechat import FinishEvent, stream_text
from usechat.answers.answer import Answer, Callbacks, Outcome
from usechat.answers.loop import driver
from usechat.answers.loop.asks import Open, Script, Stream
from usechat.answers.loop.outputs import Nowhere
from usechat.answers.loop.turn import Turn
from usechat.parts import FinishStep, Part, Start, StartStep, TextDelta, TextStart
from usechat.testing.models import Hold, ScriptedModel, saying

pytestmark = pytest.mark.anyio
"""Seconds after which something that should have happened has not."""


# The reader leaves


@pytest.mark.parametrize("kind", [Start, StartStep, TextDelta, FinishStep])
async def test_reader_that_closes_is_told_as_aborted(kind: type):
    heard = Heard()
    model = ScriptedModel(saying("Hel", "lo"))
    await read_until(ask(model, heard), kind)
    assert (await heard.once()).is_aborted
    assert model.open_count == 0
    assert len(heard.aborted) == 1


async def test_reader_that_breaks_off_is_told_as_aborted():
    heard = Heard()
    model = ScriptedModel([[TextStart("0")], Hold()])
    async for part in ask(model, heard):
        if isinstance(part, TextStart):
            break
    gc.collect()
    assert (await heard.once()).is_aborted
    assert model.open_count == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_reader_that_is_cancelled_is_told_as_aborted(times: int):
    heard = Heard()
    hold = Hold()
    model = ScriptedModel([[TextStart("0"), TextDelta("0", "Hel")], hold])
    parts: list[Part] = []
    task = asyncio.create_task(reading(ask(model, heard), parts))
    await hold.reached.wait()
    for _ in range(times):
        task.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(AT_ONCE):
        await model.closed.wait()
    with pytest.raises(asyncio.CancelledError):
        await task
    event = await heard.once()
    assert (event.is_aborted, texts(event)) == (True, ["Hel"])


async def test_reader_that_is_cancelled_and_stopped_at_once_stays_cancelled():
    heard = Heard()
    hold = Hold()
    model = ScriptedModel([[TextStart("0")], hold])
    result = ask(model, heard)
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    await hold.reached.wait()
    result.abort()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await heard.once()).is_aborted


async def test_awaited_value_that_is_cancelled_is_told_as_aborted():
    heard = Heard()
    model = ScriptedModel([Hold()])
    result = ask(model, heard)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await result.text
    assert (await heard.once()).is_aborted
    assert await result.text == ""


def test_end_is_told_although_the_event_loop_shuts_down():
    finished: list[FinishEvent] = []

    async def on_finish(event: FinishEvent) -> None:
        await asyncio.sleep(0)
        finished.append(event)

    async def main() -> None:
        hold = Hold()
        model = ScriptedModel([[TextStart("0"), TextDelta("0", "Hel")], hold])
        parts: list[Part] = []
        result = stream_text(model, prompt="Hi", on_finish=on_finish)
        task = asyncio.create_task(reading(result, parts))
        await hold.reached.wait()
        assert not task.done()

    asyncio.run(main())
    (event,) = finished
    assert (event.is_aborted, texts(event)) == (True, ["Hel"])


def test_end_is_told_although_closing_is_cancelled_too():
    """A server that shuts down cancels its requests, and then the event loop cancels all there is."""
    finished: list[FinishEvent] = []

    reached = asyncio.Event()

    async def slow_to_close() -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.Event().wait()

    async def main() -> None:
        result = stream_text(ScriptedModel([[TextStart("0")], slow_to_close]), prompt="Hi", on_finish=finished.append)
        parts: list[Part] = []
        task = asyncio.create_task(reading(result, parts))
        await reached.wait()
        task.cancel()
        await asyncio.sleep(0)

    asyncio.run(main())
    assert len(finished) == 1


def test_end_is_told_although_the_event_loop_shuts_down_while_the_source_is_closed():
    heard: list[FinishEvent] = []
    closing = asyncio.Event()

    async def run() -> AsyncIterator[list[Part]]:
        try:
            yield [Start()]
        finally:
            closing.set()
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(read_until(Broken(Callbacks(on_finish=heard.append), run), Start))
        await closing.wait()
        assert not task.done()

    asyncio.run(main())
    assert [event.is_aborted for event in heard] == [True]


# Closing


async def test_closing_stops_what_runs():
    heard = Heard()
    hold = Hold()
    model = ScriptedModel([[TextStart("0")], hold])
    result = ask(model, heard)
    parts: list[Part] = []
    task = asyncio.create_task(reading(result, parts))
    await hold.reached.wait()
    await result.aclose()
    assert heard.over.is_set()
    await task
    assert (await heard.once()).is_aborted


async def test_closing_an_answer_that_was_never_read_tells_its_end():
    heard = Heard()
    model = ScriptedModel(saying("Hi"))
    result = ask(model, heard)
    await result.aclose()
    await result.aclose()
    event = await heard.once()
    assert (event.is_aborted, event.ui_message["parts"], model.calls) == (True, [], [])


async def test_closing_after_the_end_does_nothing():
    heard = Heard()
    result = ask(ScriptedModel(saying("Hi")), heard)
    await result.text
    await result.aclose()
    assert not (await heard.once()).is_aborted


class Broken(Answer):
    """An answer whose source misbehaves."""

    def __init__(self, callbacks: Callbacks, run: Callable[[], AsyncIterator[list[Part]]]) -> None:
        super().__init__(callbacks)
        self.run_source = run

    def make_turn(self) -> Turn:
        return BrokenTurn(self.run_source)


class BrokenTurn(Turn):
    def __init__(self, run: Callable[[], AsyncIterator[list[Part]]]) -> None:
        super().__init__()
        self.run = run

    def script(self) -> Script[None]:
        yield Open(self.run)
        while (batch := (yield Stream.READ)) is not None:
            self.parts += batch

    def outcome(self) -> Outcome:
        return Outcome()


async def test_source_that_raises_is_told_as_failed():
    async def run() -> AsyncIterator[list[Part]]:
        yield [Start()]
        raise ZeroDivisionError

    heard = Heard()
    result = Broken(heard.callbacks(), run)
    with pytest.raises(ZeroDivisionError):
        _ = [part async for part in result]
    event = await heard.once()
    assert isinstance(event.error, ZeroDivisionError)
    assert not event.is_aborted
    assert heard.aborted == []


async def test_source_that_fails_to_close_is_told_all_the_same(caplog: pytest.LogCaptureFixture):
    async def run() -> AsyncIterator[list[Part]]:
        try:
            yield [Start()]
        finally:
            raise ZeroDivisionError

    heard = Heard()
    await read_until(Broken(heard.callbacks(), run), Start)
    assert (await heard.once()).is_aborted
    assert "closing a stream of an answer failed" in caplog.text


async def test_source_that_does_not_close_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(driver, "CLOSE_SECONDS", 0.02)

    async def run() -> AsyncIterator[list[Part]]:
        try:
            yield [Start()]
        finally:
            await asyncio.Event().wait()

    heard = Heard()
    await read_until(Broken(heard.callbacks(), run), Start)
    assert (await heard.once()).is_aborted
    assert "closing a stream of an answer failed" in caplog.text


async def test_failure_to_send_is_told_as_the_error():
    class Unsendable(Nowhere):
        def write(self, parts: list[Part], shaped: Any) -> None:
            raise ValueError("no way")

    heard = Heard()
    await ask(ScriptedModel([[TextStart("0")], Hold()]), heard).drive(Unsendable())
    event = await heard.once()
    assert (str(event.error), event.is_aborted) == ("no way", False)


@pytest.fixture(autouse=True)
def warnings_are_seen(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
