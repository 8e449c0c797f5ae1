"""What is the log in memory's own; what it has in common with the one on Redis is tested on both."""

from __future__ import annotations

import asyncio
import math
import tracemalloc

import pytest

from tests.support.waiting import eventually
from usechat.errors import RunError
from usechat.runs.log import Limits, RunInfo, RunWriter
from usechat.runs.memory import log as memory_log
from usechat.runs.memory.log import MemoryLog
from usechat.runs.memory.run import PIECE_BYTES, MemoryRun, Place

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


async def test_reader_that_is_far_behind_gets_pieces_of_bounded_size():
    made = run()
    for letter in (b"a", b"b", b"c", b"d"):
        made.append(letter * 15_000)
    made.append(b"e" * 10**6)
    made.end("finished")
    pieces = [(entry.cursor, len(entry.data)) async for entry in made.read(Place())]
    assert pieces[:2] == [(2, 30_000), (4, 30_000)]
    assert {cursor for cursor, _ in pieces[2:-1]} == {4}
    assert pieces[-1][0] == 5
    assert b"".join([entry.data async for entry in made.read(Place())]) == made.frames


async def test_large_entry_comes_in_pieces_and_counts_when_it_is_whole():
    made, place = run(), Place()
    large = bytes(range(256)) * 1000
    for data in (b"a", large, b"c"):
        made.append(data)
    entries = made.read(place)
    assert (await anext(entries)).data == b"a"
    pieces = [await anext(entries)]
    while pieces[-1].is_cut:
        # It grows meanwhile, and whoever comes back has not got the entry.
        made.append(b"d")
        assert (pieces[-1].cursor, place.position) == (1, 1)
        assert len(pieces[-1].data) <= PIECE_BYTES
        pieces.append(await anext(entries))
    assert b"".join(piece.data for piece in pieces) == large
    assert (pieces[-1].cursor, place.position) == (2, 2)
    assert (await anext(entries)).data == b"c" + b"d" * (len(pieces) - 1)
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
    assert await log.end_lost(writer.info, b"|end")
    assert not await log.end_lost(writer.info, b"twice")
    assert writer.stop_reason == "lost"
    assert [entry.data async for entry in log.read(writer.info.id)] == [b"|end"]
    await log.aclose()
    assert not await log.end_lost(writer.info)


async def test_only_so_many_chats_are_remembered(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory_log, "MAX_RESUMED", 2)
    log = MemoryLog()
    for chat_id in ("a", "b", "a", "c"):
        await log.note_resume(chat_id)
    assert [await log.was_asked(chat_id) for chat_id in "abc"] == [True, False, True]


async def test_old_run_is_forgotten_and_the_new_one_is_not():
    log = MemoryLog(Limits(keep=0.01))
    old = await log.open("chat", headers={}, meta={})
    await old.finish("finished")
    new = await log.open("chat", headers={}, meta={})
    await eventually(lambda: old.info.id not in log.runs)
    assert await log.find("chat") == new.info
    await log.aclose()


async def begun(log: MemoryLog, chat_id: str, data: bytes = b"") -> RunWriter:
    writer = await log.open(chat_id, headers={}, meta={})
    writer.append(data)
    return writer


async def test_only_so_many_ended_runs_are_kept_and_all_that_go_on():
    log = MemoryLog(Limits(max_ended=2))
    running = await begun(log, "running", b"r")
    ended = [await begun(log, f"chat-{number}", b"e") for number in range(4)]
    for writer in (ended[1], ended[0], ended[3], ended[2]):
        await writer.finish("finished")

    assert set(log.runs) == {running.info.id, ended[3].info.id, ended[2].info.id}
    assert await log.find("chat-0") is None
    with pytest.raises(RunError, match="no such run"):
        log.read(ended[1].info.id)
    await log.aclose()


async def test_ended_runs_are_kept_up_to_a_number_of_bytes_and_the_last_one_always():
    log = MemoryLog(Limits(max_ended_bytes=10))
    for chat_id, data in (("a", b"aaaa"), ("b", b"bbbb"), ("c", b"cccc")):
        await (await begun(log, chat_id, data)).finish("finished")
    assert [await log.find(chat_id) is not None for chat_id in "abc"] == [False, True, True]

    await (await begun(log, "d", b"d" * 100)).finish("finished")
    assert [await log.find(chat_id) is not None for chat_id in "bcd"] == [False, False, True]

    await (await begun(log, "e", b"eeee")).finish("finished")
    await (await begun(log, "f", b"ffff")).finish("finished")
    assert [await log.find(chat_id) is not None for chat_id in "def"] == [False, True, True]
    await log.aclose()


async def test_reader_of_an_ended_run_reads_on_when_it_is_kept_no_longer():
    log = MemoryLog(Limits(max_ended=1))
    writer = await begun(log, "chat", b"a")
    entries = log.read(writer.info.id)
    assert (await anext(entries)).data == b"a"
    writer.append(b"b")
    await writer.finish("finished")
    await (await begun(log, "other")).finish("finished")

    assert writer.info.id not in log.runs
    assert [entry.data async for entry in entries] == [b"b"]
    await log.aclose()


async def test_each_ended_run_is_forgotten_in_its_time():
    log = MemoryLog(Limits(keep=0.05))
    for chat_id in ("a", "b"):
        await (await begun(log, chat_id)).finish("finished")
        await asyncio.sleep(0.03)
    await eventually(lambda: not log.runs)
    assert await log.find("b") is None
    await log.aclose()


async def test_log_that_is_closed_forgets_what_ends_with_it():
    log = MemoryLog(Limits(max_ended=1))
    readers = [asyncio.create_task(anext(log.read((await begun(log, chat_id)).info.id, 1))) for chat_id in "abc"]
    await asyncio.sleep(0)
    await log.aclose()
    for reader in readers:
        with pytest.raises(RunError, match="cannot be reached"):
            await reader
    assert not log.runs


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
    assert size < 48 * 2**20
