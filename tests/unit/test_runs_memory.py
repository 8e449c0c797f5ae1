"""What is the log in memory's own; what it has in common with the one on Redis is tested on both."""

from __future__ import annotations

import asyncio
import math
import tracemalloc

import pytest

from tests.support.sinks import Taking
from tests.support.waiting import eventually
from usechat.errors import RunError
from usechat.runs import memory
from usechat.runs.base import Limits, RunInfo
from usechat.runs.memory import MemoryLog, MemoryRun, Place

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def run() -> MemoryRun:
    return MemoryRun(RunInfo(id="run", chat_id="chat", created_at=0.0), Limits())


async def test_what_came_while_a_reader_was_away_comes_in_one_piece():
    made = run()
    entries = made.read(Place())
    made.append(b"a")
    assert (await anext(entries)).data == b"a"
    made.append(b"b")
    made.append(b"c")
    entry = await anext(entries)
    assert (entry.cursor, entry.data) == (3, b"bc")
    await entries.aclose()


async def test_reader_that_waits_is_passed_by_while_its_sink_is_ready():
    made, sink = run(), Taking()
    entries = made.read(Place(0, sink))
    made.append(b"a")
    assert (await anext(entries)).data == b"a"
    waiting = asyncio.create_task(anext(entries))
    await asyncio.sleep(0)

    made.append(b"b")
    made.append(b"c")
    sink.is_ready = False
    made.append(b"d")
    sink.is_ready = True
    made.append(b"e")

    assert sink.taken == [b"b", b"c"]
    entry = await waiting
    assert (entry.cursor, entry.data) == (5, b"de")
    await entries.aclose()


async def test_cursor_before_the_beginning_is_the_beginning():
    made = run()
    made.append(b"a")
    made.end("finished")
    assert [entry.data async for entry in made.read(Place(-5))] == [b"a"]


async def test_last_frames_reach_readers_whatever_their_cursor():
    made = run()
    made.append(b"a")
    made.end("lost", b"|end")
    for after in (0, 1, 7):
        assert [entry.data async for entry in made.read(Place(after))][-1] == b"|end"


async def test_ended_run_cannot_fail():
    made = run()
    made.end("finished")
    made.fail(RunError("gone", code="missing"))
    assert [entry async for entry in made.read(Place())] == []
    assert made.info.state == "finished"


async def test_run_that_fails_tells_its_readers():
    made = run()
    reading = asyncio.create_task(anext(made.read(Place())))
    await asyncio.sleep(0)
    made.fail(RunError("gone", code="missing"))
    with pytest.raises(RunError, match="gone"):
        await reading


async def test_reader_that_is_cancelled_disturbs_nobody():
    made = run()
    reading = asyncio.create_task(anext(made.read(Place())))
    await asyncio.sleep(0)
    other = asyncio.create_task(anext(made.read(Place())))
    await asyncio.sleep(0)
    reading.cancel()
    made.append(b"a")
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert (await other).data == b"a"


async def test_no_other_process_reads():
    assert await MemoryLog().seconds_unread("run") == math.inf


async def test_lost_run_is_ended_with_last_frames_once():
    log = MemoryLog()
    writer = await log.open("chat", headers={}, meta={})
    assert await log.adopt(writer.info, b"|end")
    assert not await log.adopt(writer.info, b"twice")
    assert writer.stop_reason == "lost"
    assert [entry.data async for entry in log.read(writer.info.id)] == [b"|end"]
    await log.aclose()
    assert not await log.adopt(writer.info)


async def test_only_so_many_chats_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "MAX_RESUMED", 2)
    log = MemoryLog()
    for chat_id in ("a", "b", "a", "c"):
        await log.note_resume(chat_id)
    assert [await log.was_resumed(chat_id) for chat_id in "abc"] == [True, False, True]


async def test_old_run_is_forgotten_and_the_new_one_is_not():
    log = MemoryLog(Limits(keep=0.01))
    old = await log.open("chat", headers={}, meta={})
    await old.finish("finished")
    new = await log.open("chat", headers={}, meta={})
    await eventually(lambda: old.info.id not in log.runs)
    assert await log.find("chat") == new.info
    await log.aclose()


@pytest.mark.no_cover
async def test_a_full_process_stays_under_the_bound_that_the_docs_state():
    log = MemoryLog()
    tracemalloc.start()
    try:
        for number in range(1_200):
            writer = await log.open(f"chat-{number}", headers={}, meta={})
            for delta in range(500):
                writer.append(b'data: {"type":"text-delta","id":"0","delta":"word %d "}\n\n' % delta)
            if number < 1_000:
                await writer.finish("finished")
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        await log.aclose()
    assert size < 80 * 2**20
