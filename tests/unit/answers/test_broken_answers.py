"""Answers of which a part of this package, or of an application, does not do what it must: each still ends, once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.waiting import PATIENCE, eventually
from tests.unit.http.connections import Connection, chunks, spoken, types
from usechat import FinishEvent, stream_object, stream_text, ui_message_stream
from usechat.answers import driven
from usechat.answers.answer import Answer, Callbacks, Outcome
from usechat.answers.loop.asks import Call, Script
from usechat.answers.loop.turn import Turn
from usechat.answers.writer import ui_message_stream as ui_stream
from usechat.answers.writer.ui_message_stream import UIMessageStreamWriter
from usechat.errors import ApplicationError
from usechat.parts import Data, Part, Start, TextDelta, TextStart
from usechat.protocol.encoders.data_stream import DataStreamEncoder
from usechat.protocol.encoders.ui_message_stream import UIMessageStreamEncoder
from usechat.protocol.reducer import Reducer
from usechat.protocol.shaping import ChunkShaper
from usechat.runs.memory.log import MemoryLog
from usechat.runs.memory.run import MemoryRun
from usechat.runs.service import RunHandle, RunService
from usechat.testing.client_rules import find_data_stream_refusals
from usechat.testing.models import Hold, ScriptedModel, saying

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# Defects of our own: the answer still ends


ENCODERS: dict[str, tuple[Any, str | None]] = {
    "ui-message-stream": (UIMessageStreamEncoder, "7"),
    "data-stream": (DataStreamEncoder, "4"),
}


def break_once(monkeypatch: pytest.MonkeyPatch, class_: Any, name: str, *, at: int = 1) -> None:
    """Have a method fail at one of its calls."""
    works, calls = getattr(class_, name), itertools.count(1)

    def fail(self: Any, *arguments: Any) -> Any:
        if next(calls) == at:
            raise RuntimeError("a defect")
        return works(self, *arguments)

    monkeypatch.setattr(class_, name, fail)


@pytest.mark.parametrize("wire_format", ENCODERS)
@pytest.mark.parametrize(("name", "at"), [("encode", 1), ("encode", 3), ("encode", 6), ("terminator", 1)])
async def test_answer_ends_when_its_encoder_breaks(
    wire_format: str, name: str, at: int, monkeypatch: pytest.MonkeyPatch
):
    class_, sdk = ENCODERS[wire_format]
    break_once(monkeypatch, class_, name, at=at)
    heard: list[FinishEvent] = []
    _, answer = spoken(saying("Hel", "lo"), heard=heard)
    body = await asyncio.wait_for(Connection(answer, wire_format=wire_format, sdk=sdk).run(), PATIENCE)
    if wire_format == "data-stream":
        assert b'3:"An error occurred."\n' in body
        assert find_data_stream_refusals(body) == []
    else:
        assert {"type": "error", "errorText": "An error occurred."} in chunks(body.decode())
        assert body.endswith(b"data: [DONE]\n\n")
    (event,) = heard
    # What breaks after the end is told cannot be told with it.
    assert isinstance(event.error, RuntimeError) or (name, at) in (("encode", 6), ("terminator", 1))


@pytest.mark.parametrize(
    ("class_", "name"),
    [(Reducer, "apply_all"), (Reducer, "message"), (ChunkShaper, "feed_all"), (ChunkShaper, "finish")],
)
async def test_answer_ends_when_its_message_cannot_be_built(class_: Any, name: str, monkeypatch: pytest.MonkeyPatch):
    break_once(monkeypatch, class_, name, at=1)
    heard: list[FinishEvent] = []
    _, answer = spoken(saying("Hello"), heard=heard)
    body = await asyncio.wait_for(Connection(answer).run(), PATIENCE)
    assert body.endswith(b"data: [DONE]\n\n")
    (event,) = heard
    assert isinstance(event.error, RuntimeError)
    assert event.ui_message["role"] == "assistant"


# Turns


class OddTurn(Turn):
    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where

    def script(self) -> Script[None]:
        self.parts += [Start(), Data(name="said", data=1)]
        yield Call(lambda: None)

    def outcome(self) -> Outcome:
        if self.where == "outcome":
            raise SystemExit(2)
        return Outcome()


class Odd(Answer):
    """An answer whose turn does not say how it ended, or cannot be made."""

    def __init__(self, callbacks: Callbacks, where: str) -> None:
        super().__init__(callbacks)
        self.where = where

    def make_turn(self) -> Turn:
        if self.where == "turn":
            raise SystemExit(2)
        return OddTurn(self.where)


@pytest.mark.parametrize("where", ["turn", "outcome"])
async def test_answer_ends_although_its_turn_breaks(where: str):
    heard: list[FinishEvent] = []
    body = await asyncio.wait_for(Connection(Odd(Callbacks(on_finish=heard.append), where)).run(), PATIENCE)
    assert body.endswith(b"data: [DONE]\n\n")
    (event,) = heard
    assert isinstance(event.error, SystemExit)


@pytest.mark.parametrize("where", ["turn", "outcome"])
async def test_answer_that_is_closed_unread_ends_although_its_turn_breaks(where: str):
    heard: list[FinishEvent] = []
    await asyncio.wait_for(Odd(Callbacks(on_finish=heard.append), where).aclose(), PATIENCE)
    assert len(heard) == 1


async def test_who_awaits_a_value_gets_an_exception():
    result = stream_text(ScriptedModel([SystemExit(2)]), prompt="Hi")
    with pytest.raises(ApplicationError, match="the application raised SystemExit"):
        await result.text


async def test_who_iterates_gets_an_exception():
    def transform(batches: Any) -> Any:
        raise SystemExit(2)

    result = stream_text(ScriptedModel(saying("Hi")), prompt="Hi", transform=transform)
    with pytest.raises(ApplicationError):
        _ = [part async for part in result]


async def test_repair_that_fails_is_why_there_is_no_object():
    def repair(*_: Any) -> Any:
        raise SystemExit(2)

    ends: list[Any] = []
    result = stream_object(
        ScriptedModel(saying("no JSON")), prompt="Hi", schema={}, repair_text=repair, on_finish=ends.append
    )
    with pytest.raises(ApplicationError):
        await result.object
    (event,) = ends
    assert isinstance(event.error, SystemExit)
    assert event.text == "no JSON"


async def test_stream_that_goes_on_although_it_is_cancelled_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(ui_stream, "GRACE_SECONDS", 0.01)
    released = asyncio.Event()

    async def stubborn() -> AsyncIterator[str]:
        while not released.is_set():
            try:
                await released.wait()
            except asyncio.CancelledError:
                continue
        yield "late"

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.merge(stubborn())
        await asyncio.sleep(0)
        raise LookupError

    body = await asyncio.wait_for(Connection(ui_message_stream(execute)).run(), PATIENCE)
    assert types(body.decode()) == ["start", "error", "finish"]
    assert "goes on although it was cancelled" in caplog.text
    released.set()


# Callbacks that do not return


async def wait_for_ever(*_: Any) -> None:
    await asyncio.Event().wait()


async def end_of(names: list[str], task: asyncio.Task[Any]) -> None:
    await asyncio.wait_for(task, PATIENCE)
    left = [task for task in driven.DRIVERS if not task.done()]
    assert len(left) == len(names)
    for each in left:
        each.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def test_reader_does_not_wait_for_ever_for_on_finish(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(driven, "CALLBACK_SECONDS", 0.01)
    connection = Connection(stream_text(ScriptedModel(saying("Hi")), prompt="Hi", on_finish=wait_for_ever))
    await end_of(["on_finish"], asyncio.create_task(connection.run()))
    assert connection.body.endswith(b"data: [DONE]\n\n")
    assert "on_finish has not returned in 0.01 seconds: the answer ends without it" in caplog.text


async def test_end_is_told_although_on_abort_does_not_return(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driven, "CALLBACK_SECONDS", 0.01)
    ends: list[FinishEvent] = []
    result = stream_text(ScriptedModel(saying("Hi")), prompt="Hi", on_abort=wait_for_ever, on_finish=ends.append)
    await end_of(["on_abort"], asyncio.create_task(result.aclose()))
    assert [end.is_aborted for end in ends] == [True]


async def test_stopped_answer_does_not_wait_for_ever_for_on_part(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(driven, "CALLBACK_SECONDS", 0.01)
    begun = asyncio.Event()

    async def on_part(part: Part) -> None:
        begun.set()
        await wait_for_ever()

    ends: list[FinishEvent] = []
    answer = stream_text(ScriptedModel(saying("Hi")), prompt="Hi", on_part=on_part, on_finish=ends.append)
    connection = Connection(answer)
    connection.start()
    await asyncio.wait_for(begun.wait(), PATIENCE)
    answer.abort("stopped")
    assert connection.task is not None
    await asyncio.wait_for(connection.task, PATIENCE)
    assert types(connection.body.decode()) == ["start", "abort"]
    assert [end.is_aborted for end in ends] == [True]
    assert "on_part has not returned" in caplog.text


async def test_callback_that_returns_in_time_is_not_interrupted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driven, "CALLBACK_SECONDS", PATIENCE)
    seen: list[str] = []
    before = asyncio.all_tasks()

    async def on_part(part: Part) -> None:
        if isinstance(part, TextDelta):
            answer.abort("enough")
        await asyncio.sleep(0)
        seen.append(type(part).__name__)

    answer = stream_text(ScriptedModel([[TextStart("0"), TextDelta("0", "Hi")], Hold()]), prompt="Hi", on_part=on_part)
    await asyncio.wait_for(Connection(answer).run(), PATIENCE)
    assert seen[-1] == "TextDelta"
    # Nothing is left that could interrupt it later.
    await eventually(lambda: asyncio.all_tasks() == before)


# Runs


async def end_process(handle: RunHandle) -> None:
    handle.append(b"x")
    raise SystemExit(2)


async def write_x(handle: RunHandle) -> None:
    handle.append(b"x")


async def test_run_of_frames_that_end_the_process_fails_alone():
    log = MemoryLog()
    service = RunService(log)
    handle = await service.start("c", end_process, abort=lambda reason: None)
    assert await asyncio.wait_for(handle.wait(), PATIENCE) == "failed"
    assert b"".join([entry.data async for entry in service.read(handle.info.id)]) == b"x"
    await service.shutdown()


async def test_run_that_its_log_cannot_end_is_over_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def fail(*_: Any) -> bool:
        raise SystemExit(2)

    monkeypatch.setattr(MemoryRun, "finish", fail)
    service = RunService(MemoryLog())
    handle = await service.start("c", end_process, abort=lambda reason: None)
    assert await asyncio.wait_for(handle.wait(), PATIENCE) == "failed"
    assert "could not be ended" in caplog.text
    assert service.handles == {}
    await service.shutdown()


async def test_platform_that_cannot_be_told_ends_no_run(caplog: pytest.LogCaptureFixture):
    def fail(task: Any) -> None:
        raise SystemExit(2)

    service = RunService(MemoryLog(), keep_alive=fail)
    handle = await service.start("c", write_x, abort=lambda reason: None)
    assert await asyncio.wait_for(handle.wait(), PATIENCE) == "finished"
    assert "keep_alive failed" in caplog.text
    await service.shutdown()


async def test_save_that_ends_the_process_is_tried_again():
    tries: list[str] = []

    async def save(info: Any) -> None:
        tries.append(info.state)
        if len(tries) == 1:
            raise SystemExit(2)

    service = RunService(MemoryLog())
    handle = await service.start("c", write_x, abort=lambda reason: None, on_end=save)
    await asyncio.wait_for(handle.wait(), PATIENCE)
    await service.shutdown()
    assert tries == ["finished", "finished"]
