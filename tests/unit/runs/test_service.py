"""Runs are made, stopped, lost and shut down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

import pytest

from tests.support.waiting import PATIENCE, eventually
from tests.unit.runs.services import SharedLog, Source, begin, over, read, service_on
from usechat.errors import AnswerFailedError, RunError
from usechat.runs import failure
from usechat.runs.log import EndState, Limits, RunInfo, RunWriter
from usechat.runs.memory.log import MemoryLog
from usechat.runs.memory.run import MemoryRun
from usechat.runs.service import RunService

pytestmark = pytest.mark.anyio
"""More than anything here takes."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ends:
    """What was told of ends."""

    def __init__(self) -> None:
        self.states: list[EndState | str] = []

    async def __call__(self, info: RunInfo) -> None:
        self.states.append(info.state)


@pytest.fixture
async def log() -> AsyncIterator[SharedLog]:
    log = SharedLog()
    yield log
    await log.aclose()


# -- runs ---------------------------------------------------------------------------------------------------------


async def test_run_is_made_whether_or_not_it_is_read(log: SharedLog):
    service, source, ends = service_on(log), Source(), Ends()
    handle = await begin(service, source, owner="ada", headers={"a": "b"}, meta={"c": 1}, on_end=ends)
    assert (handle.info.owner, handle.info.headers, handle.info.meta) == ("ada", {"a": "b"}, {"c": 1})
    source.put(b"a", b"b", None)
    assert await over(handle) == "finished"
    assert ends.states == ["finished"]
    assert source.reasons == []
    assert source.is_closed
    assert await read(service, handle) == b"ab"
    assert await read(service, handle, 1) == b"b"
    assert service.handles == {}


async def test_preamble_is_for_those_who_come_later(log: SharedLog):
    source = Source()
    async with RunService(log) as service:
        handle = await service.start("c", source.make, abort=source.abort, preamble=b"earlier ")
        source.put(b"later", None)

        assert [entry.data async for entry in service.read(handle.info.id, 1)] == [b"later"]
        assert b"".join([entry.data async for entry in service.read(handle.info.id)]) == b"earlier later"


async def test_readers_see_the_end_after_it_was_told(log: SharedLog):
    service, source = service_on(log), Source()
    order: list[str] = []

    async def save(info: RunInfo) -> None:
        order.append("saved")

    handle = await begin(service, source, on_end=save)
    reading = asyncio.create_task(read(service, handle))
    reading.add_done_callback(lambda _: order.append("read"))
    source.put(b"x", None)
    await over(handle)
    await reading
    assert order == ["saved", "read"]


async def test_chat_has_one_run(log: SharedLog):
    service, source = service_on(log), Source()
    handle = await begin(service, source)
    with pytest.raises(RunError) as raised:
        await begin(service, Source())
    assert raised.value.code == "exists"
    source.put(None)
    await over(handle)
    again = Source()
    again.put(None)
    assert await over(await begin(service, again)) == "finished"


async def test_reader_of_a_format_without_errors_waits_for_a_log_that_is_away(
    log: SharedLog, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(failure, "PAUSE", 0)
    service, source = service_on(log), Source()
    handle = await begin(service, source)
    source.put(b"x", ValueError("broken"))
    await over(handle)
    tries: list[str] = []
    get = log.get

    async def get_at_last(run_id: str) -> RunInfo | None:
        tries.append(run_id)
        if len(tries) < 3:
            raise RunError("away", code="unavailable")
        return await get(run_id)

    monkeypatch.setattr(log, "get", get_at_last)
    entries = service.read(handle.info.id, raises_failure=True)
    assert (await anext(entries)).data == b"x"
    with pytest.raises(AnswerFailedError, match="An error occurred"):
        await anext(entries)
    assert len(tries) == 3


async def test_platform_is_told_what_to_wait_for(log: SharedLog):
    kept: list[asyncio.Task[EndState]] = []
    service, source = service_on(log, keep_alive=kept.append), Source()
    handle = await begin(service, source)
    assert kept == [handle.task]
    source.put(None)
    await over(handle)


async def test_failing_frames_fail_the_run(log: SharedLog, caplog: pytest.LogCaptureFixture):
    service, source, ends = service_on(log), Source(), Ends()
    handle = await begin(service, source, on_end=ends)
    source.put(b"x", ValueError("broken"))
    assert await over(handle) == "failed"
    assert ends.states == ["failed"]
    assert "a run failed" in caplog.text


async def test_failing_end_is_an_end(log: SharedLog, caplog: pytest.LogCaptureFixture):
    async def fail(info: RunInfo) -> None:
        raise ValueError("broken")

    service, source = service_on(log), Source()
    handle = await begin(service, source, on_end=fail)
    source.put(None)
    assert await over(handle) == "finished"
    assert "could not be saved" in caplog.text
    await log.aclose()
    await service.shutdown()
    assert "was not saved" in caplog.text


# -- stopping -----------------------------------------------------------------------------------------------------


async def test_stop_ends_the_run_legally(log: SharedLog):
    service, source, ends = service_on(log), Source(), Ends()
    handle = await begin(service, source, on_end=ends)
    reading = asyncio.create_task(read(service, handle))
    source.put(b"x")
    assert await service.stop("chat", "enough")
    assert await service.stop("chat", "again")
    assert await over(handle) == "aborted"
    assert await reading == b"x<enough>"
    assert source.reasons == ["enough"]
    assert ends.states == ["aborted"]
    assert not await service.stop("chat")
    assert not await service.stop("another chat")


async def test_stop_from_another_process_is_obeyed(log: SharedLog):
    here, there, source = service_on(log), service_on(log), Source()
    handle = await begin(here, source)
    assert await there.stop("chat", "enough")
    assert await over(handle) == "aborted"
    assert source.reasons == ["enough"]


async def test_stop_that_fails_is_no_end_of_the_process(log: SharedLog, caplog: pytest.LogCaptureFixture):
    def fail(reason: str | None) -> None:
        raise ValueError("broken")

    service, source = service_on(log), Source()
    handle = await service.start("chat", source.make, abort=fail)
    assert await service.stop("chat")
    source.put(None)
    assert await over(handle) == "aborted"
    assert "stopping a run failed" in caplog.text


async def test_run_that_was_taken_away_is_not_told_as_ended(log: SharedLog):
    service, source, ends = service_on(log), Source(), Ends()
    handle = await begin(service, source, on_end=ends)
    reading = asyncio.create_task(read(service, handle))
    source.put(b"x")
    async with aclosing(service.read(handle.info.id)) as entries:
        await anext(entries)
    assert await log.end_lost(handle.info, b"|end")
    source.put(b"late")
    assert await over(handle) == "lost"
    assert await reading == b"x|end"
    assert (source.reasons, ends.states, source.is_closed) == (["lost"], [], True)


async def test_full_log_ends_the_run_legally():
    log = MemoryLog(Limits(max_bytes=10, slack_bytes=20))
    service, source, ends = service_on(log), Source(), Ends()
    handle = await begin(service, source, on_end=ends)
    source.put(b"12345678", b"90ab")
    assert await over(handle) == "aborted"
    assert await read(service, handle) == b"1234567890ab<full>"
    assert ends.states == ["aborted"]
    await log.aclose()


async def test_frame_that_fits_nowhere_is_left_out():
    log = MemoryLog(Limits(max_bytes=10, slack_bytes=20))
    service, source = service_on(log), Source()
    handle = await begin(service, source)
    source.put(b"12345678", b"x" * 100)
    assert await over(handle) == "aborted"
    assert await read(service, handle) == b"12345678<full>"
    await log.aclose()


# -- lost runs ----------------------------------------------------------------------------------------------------


async def lose(log: SharedLog, chat_id: str = "chat") -> RunWriter:
    writer = await log.open(chat_id, headers={}, meta={"major": 6})
    writer.append(b"half")
    log.lost.append(writer.info)
    return writer


async def test_lost_run_is_saved_and_ended_once(log: SharedLog):
    told: list[tuple[Mapping[str, Any], bytes]] = []

    async def on_lost(info: RunInfo, frames: bytes) -> bytes:
        told.append((info.meta, frames))
        return b"|end"

    service = service_on(log, on_lost=on_lost)
    writer = await lose(log)
    assert [await service.lost.end_lost() for _ in range(2)] == [1, 0]
    assert told == [({"major": 6}, b"half")]
    assert b"".join([entry.data async for entry in service.read(writer.info.id)]) == b"half|end"


async def test_lost_run_without_anybody_to_tell_is_ended(log: SharedLog):
    writer = await lose(log)
    assert await service_on(log).lost.end_lost() == 1
    assert writer.info.state == "lost"


async def test_lost_run_that_cannot_be_saved_comes_back(log: SharedLog, caplog: pytest.LogCaptureFixture):
    failures = [ValueError("no database")]

    async def on_lost(info: RunInfo, frames: bytes) -> bytes:
        if failures:
            raise failures.pop()
        return b""

    service = service_on(log, on_lost=on_lost)
    await lose(log)
    assert [await service.lost.end_lost() for _ in range(3)] == [0, 1, 0]
    assert "ending a lost run failed" in caplog.text


async def test_new_run_takes_the_place_of_a_lost_one(log: SharedLog):
    service, source = service_on(log), Source()
    writer = await lose(log)
    handle = await begin(service, source)
    assert writer.info.state == "lost"
    source.put(None)
    assert await over(handle) == "finished"


async def test_lost_runs_are_looked_for_all_the_time(caplog: pytest.LogCaptureFixture):
    log = SharedLog(Limits(lease=0.03))
    ended = asyncio.Event()

    async def on_lost(info: RunInfo, frames: bytes) -> bytes:
        ended.set()
        return b""

    log.is_away = True
    with caplog.at_level(logging.WARNING):
        async with service_on(log, on_lost=on_lost), asyncio.timeout(PATIENCE):
            await eventually(lambda: "lost runs are not looked for" in caplog.text)
            log.is_away = False
            await lose(log)
            await ended.wait()


# -- shutting down ------------------------------------------------------------------------------------------------


async def test_shutdown_waits_for_what_is_ending(log: SharedLog):
    service, source, ends = service_on(log, shutdown_timeout=PATIENCE), Source(), Ends()
    handle = await begin(service, source, on_end=ends)
    closing = asyncio.create_task(service.shutdown())
    source.put(b"x", None)
    await closing
    assert await over(handle) == "finished"
    assert ends.states == ["finished"]


async def test_shutdown_stops_what_does_not_end(log: SharedLog):
    source, ends = Source(), Ends()
    async with service_on(log) as service:
        handle = await begin(service, source, on_end=ends)
        reading = asyncio.create_task(read(service, handle))
        source.put(b"x")
        await asyncio.sleep(0)
    assert await reading == b"x<shutdown>"
    assert ends.states == ["aborted"]
    with pytest.raises(RunError) as raised:
        await begin(service, Source())
    assert raised.value.code == "unavailable"


async def test_shutdown_does_not_wait_for_ever(log: SharedLog, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("usechat.runs.ending.ABORT_SECONDS", 0.01)
    service, source, ends = service_on(log), Source(obeys=False), Ends()
    handle = await begin(service, source, on_end=ends)
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        await service.shutdown()
    assert source.reasons == ["shutdown"]
    assert source.is_closed
    assert ends.states == ["failed"]
    assert handle.info.state == "failed"


async def test_end_that_was_cut_is_told_again(log: SharedLog):
    told: list[str] = []
    first = asyncio.Event()

    async def on_end(info: RunInfo) -> None:
        told.append(info.state)
        if len(told) == 1:
            first.set()
            await asyncio.Event().wait()

    service, source = service_on(log), Source()
    handle = await begin(service, source, on_end=on_end)
    source.put(None)
    await first.wait()
    assert handle.task is not None
    handle.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handle.task
    assert told == ["finished", "failed"]


async def test_end_that_was_told_is_not_told_again(log: SharedLog, monkeypatch: pytest.MonkeyPatch):
    saved = asyncio.Event()

    async def finish(run: MemoryRun, state: EndState, save: Callable[[], Awaitable[None]]) -> bool:
        await save()
        if not saved.is_set():
            saved.set()
            await asyncio.Event().wait()
        return run.end(state)

    monkeypatch.setattr(MemoryRun, "finish", finish)
    service, source, ends = service_on(log), Source(), Ends()
    handle = await begin(service, source, on_end=ends)
    source.put(None)
    await saved.wait()
    assert handle.task is not None
    handle.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handle.task
    assert ends.states == ["finished"]


async def test_run_that_has_ended_is_not_asked_to_stop(log: SharedLog):
    service, source = service_on(log), Source()
    handle = await begin(service, source)
    source.put(None)
    assert await over(handle) == "finished"
    await asyncio.sleep(0)
    assert not handle.is_stopped


async def test_run_that_the_log_is_asked_to_stop_ends_with_the_reason(log: SharedLog):
    service, source = service_on(log), Source()
    handle = await begin(service, source)
    assert await log.stop(handle.info.id, "enough")
    assert await over(handle) == "aborted"
    assert handle.stop_reason == "enough"
