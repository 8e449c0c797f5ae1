"""Runs that are held after their process stood still, and then shown, or ended because others have them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.support.waiting import eventually
from usechat.errors import RunError
from usechat.runs.log import Limits
from usechat.runs.memory import leased
from usechat.runs.memory.leased import LeasedRun
from usechat.runs.memory.log import MemoryLog

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Reader:
    """Reads a run to its end."""

    def __init__(self, log: MemoryLog, run: LeasedRun) -> None:
        self.seen = b""
        self._entries = log.read(run.info.id)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for entry in self._entries:
            self.seen += entry.data

    async def whole(self) -> bytes:
        await self._reading
        return self.seen


@pytest.fixture
async def log() -> AsyncIterator[MemoryLog]:
    made = MemoryLog(Limits(), LeasedRun)
    yield made
    await made.aclose()


@pytest.fixture
async def run(log: MemoryLog) -> LeasedRun:
    run = await log.open("c", headers={}, meta={})
    assert isinstance(run, LeasedRun)
    run.append(b"a")
    return run


async def test_held_run_is_shown_when_it_is_known_to_be_ours(log: MemoryLog, run: LeasedRun) -> None:
    reader = Reader(log, run)
    await eventually(lambda: reader.seen == b"a")
    run.hold()
    run.hold()
    run.append(b"b")
    waiting = asyncio.create_task(run.room())
    await asyncio.sleep(0)
    assert (reader.seen, run.is_full, waiting.done()) == (b"a", True, False)
    run.show()
    await waiting
    await eventually(lambda: reader.seen == b"ab")
    assert not run.is_full
    assert await run.finish("finished")
    assert await reader.whole() == b"ab"


async def test_what_was_held_of_a_run_that_others_have_is_never_shown(log: MemoryLog, run: LeasedRun) -> None:
    reader, saved = Reader(log, run), list[str]()
    run.hold()
    run.append(b"b")
    assert run.take()

    async def save() -> bool:
        saved.append("tried")
        return False

    finishing = asyncio.create_task(run.finish("aborted", save))
    await asyncio.sleep(0)
    run.fence(b"!")
    assert not await finishing
    assert (run.is_taken, saved) == (True, ["tried"])
    assert await reader.whole() == b"a!"
    assert await Reader(log, run).whole() == b"a!"
    with pytest.raises(RunError, match="has ended"):
        run.append(b"c")


async def test_answer_ends_although_nobody_tells_whose_it_is(
    log: MemoryLog, run: LeasedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leased, "PATIENCE", 0.01)
    run.hold()
    run.append(b"b")
    await run.room()
    assert not run.is_full
    reader = Reader(log, run)
    await eventually(lambda: reader.seen == b"a")
    assert await run.finish("finished")
    assert await reader.whole() == b"ab"


async def test_run_that_is_being_saved_is_whoever_has_saved_it(run: LeasedRun) -> None:
    async def save() -> bool:
        assert not run.take()
        return True

    assert await run.finish("finished", save)
    assert not run.take()
    run.hold()
    assert (run.is_full, run.is_taken, run.info.state) == (False, False, "finished")


async def test_log_that_closes_lets_nobody_wait(log: MemoryLog, run: LeasedRun) -> None:
    run.hold()
    waiting = asyncio.create_task(run.room())
    await asyncio.sleep(0)
    run.fail(RunError("closed", code="unavailable"))
    await waiting
    assert not await run.finish("finished", lambda: pytest.fail("the store is closed"))
