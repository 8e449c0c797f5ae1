"""The parts of the log on Redis that need no Redis: what is written of a run, and how a copy takes it in."""

from __future__ import annotations

import asyncio

import pytest

from usechat.runs.log import Limits, RunInfo
from usechat.runs.memory.run import Place
from usechat.runs.redis import own_run
from usechat.runs.redis.client import Backoff, ScriptClient
from usechat.runs.redis.keys import Keys
from usechat.runs.redis.own_run import RedisRun
from usechat.runs.redis.producer import OwnRuns
from usechat.runs.redis.tail import Copy

pytestmark = pytest.mark.anyio

KEYS = Keys("test:")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def made_run() -> RedisRun:
    limits = Limits()
    own_runs = OwnRuns(ScriptClient("redis://127.0.0.1:1", patience=1.0), KEYS, limits)
    return RedisRun(RunInfo(id="run", chat_id="chat", token=7, created_at=0.0), limits, own_runs)


def batch(*entries: bytes) -> dict[bytes, bytes]:
    return {b"d": b"".join(entries), b"s": b",".join(b"%d" % len(entry) for entry in entries)}


async def test_all_that_has_gathered_is_written_at_once():
    run = made_run()
    for letter in (b"a", b"bb", b""):
        run.append(letter)
    write, frames = run.next_write()
    assert (write.run_id, write.chat_id, write.token) == ("run", "chat", "7")
    assert (write.first, write.last, write.sizes, frames) == (0, 3, "1,2,0", b"abb")
    assert (write.state, write.renews) == ("", False)


async def test_long_backlog_is_written_in_pieces_and_ends_with_the_last(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(own_run, "MAX_BATCH_BYTES", 5)
    run = made_run()
    for letter in (b"aaa", b"bbb", b"cccccccc", b"d"):
        run.append(letter)
    run.end_state = "aborted"
    written: list[tuple[bytes, str]] = []
    while run.written < 4:
        write, frames = run.next_write()
        written.append((frames, write.state))
        run.written = write.last
    assert written == [(b"aaa", ""), (b"bbb", ""), (b"cccccccc", ""), (b"d", "aborted")]


async def test_copy_has_the_entries_that_the_producer_made():
    copy = Copy(RunInfo(id="run", chat_id="chat", created_at=0.0), Limits())
    copy.feed(b"3-0", batch(b"a", b"", b"bb"))
    copy.feed(b"4-0", batch(b"c"))
    assert [copy.since(first, first + 1) for first in range(len(copy.ends))] == [b"a", b"", b"bb", b"c"]
    assert copy.frames == b"abbc"


async def test_batch_that_was_written_again_is_not_doubled():
    copy = Copy(RunInfo(id="run", chat_id="chat", created_at=0.0), Limits())
    copy.feed(b"2-0", batch(b"a", b"b"))
    copy.feed(b"4-0", batch(b"b", b"c", b"d"))
    copy.feed(b"4-0", batch(b"c", b"d"))
    assert [copy.since(first, first + 1) for first in range(len(copy.ends))] == [b"a", b"b", b"c", b"d"]


async def test_copy_ends_as_its_run_did():
    copy = Copy(RunInfo(id="run", chat_id="chat", created_at=0.0), Limits())
    copy.feed(b"1-0", batch(b"a"))
    copy.feed(b"1-1", {b"e": b"lost", b"d": b"|end"})
    assert copy.info.state == "lost"
    assert [entry.data async for entry in copy.read(Place())] == [b"a", b"|end"]


async def test_pauses_grow_until_it_works(monkeypatch: pytest.MonkeyPatch):
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    backoff = Backoff()
    for _ in range(8):
        await backoff.wait()
    backoff.reset()
    await backoff.wait()
    assert pauses == [0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0, 0.02]


def test_keys_are_below_one_prefix():
    info = RunInfo(id="r", chat_id="c", created_at=0.0)
    assert KEYS.of_run(info) == ["test:run:r", "test:log:r", "test:chat:c", "test:leases"]
    assert [KEYS.stops, KEYS.wake("p")] == ["test:stops", "test:wake:p"]
    assert [KEYS.resumed("c"), KEYS.asked("c")] == ["test:resumed:c", "test:asked:c"]
