"""Work that waits for each other is done together, and comes out as if each had been done by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.support.waiting import PATIENCE
from usechat.chats.sql.threads import WorkerThreads

pytestmark = pytest.mark.anyio

ResultT = TypeVar("ResultT")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ledger:
    """A session whose work adds to a list, or undoes what it has added when it fails."""

    def __init__(self) -> None:
        self.kept: list[Any] = []
        self.transactions = 0
        self.is_closed = False

    def run(self, work: Callable[[Any], ResultT], check_wanted: Callable[[], None]) -> ResultT:
        written = list(self.kept)
        result = work(written)
        check_wanted()
        self.kept = written
        self.transactions += 1
        return result

    def close(self) -> None:
        self.is_closed = True


class Held:
    """Work that keeps the thread busy until it is let go of."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.may_end = threading.Event()

    def __call__(self, written: list[Any]) -> None:
        self.loop.call_soon_threadsafe(self.has_begun.set)
        assert self.may_end.wait(PATIENCE)


def adding(value: Any) -> Callable[[list[Any]], Any]:
    def work(written: list[Any]) -> Any:
        written.append(value)
        return value

    return work


def failing(written: list[Any]) -> None:
    written.append("never")
    raise ValueError("of its own")


async def keep_busy(threads: WorkerThreads) -> tuple[Held, asyncio.Task[None]]:
    """Have the thread work until it is let go of."""
    held = Held()
    working = asyncio.create_task(threads.run(held))
    await asyncio.wait_for(held.has_begun.wait(), PATIENCE)
    return held, working


async def do_behind_each_other(threads: WorkerThreads, *works: Callable[[list[Any]], Any]) -> list[asyncio.Task[Any]]:
    """Give works while the thread is busy; all of them are over when this returns."""
    held, first = await keep_busy(threads)
    tasks = [asyncio.create_task(threads.run(work)) for work in works]
    await asyncio.sleep(0)
    held.may_end.set()
    await first
    await asyncio.wait(tasks)
    return tasks


async def test_what_waits_is_done_in_one_transaction_and_in_order():
    ledger = Ledger()
    threads = WorkerThreads(lambda: ledger, limit=1, most_together=3)
    tasks = await do_behind_each_other(threads, *map(adding, "abcd"))
    assert [task.result() for task in tasks] == ["a", "b", "c", "d"]
    assert ledger.kept == ["a", "b", "c", "d"]
    assert ledger.transactions == 1 + 2
    await threads.aclose()
    assert ledger.is_closed


async def test_what_fails_fails_alone():
    ledger = Ledger()
    threads = WorkerThreads(lambda: ledger, limit=1, most_together=8)
    first, broken, last = await do_behind_each_other(threads, adding(1), failing, adding(2))
    assert (first.result(), last.result()) == (1, 2)
    assert isinstance(broken.exception(), ValueError)
    assert ledger.kept == [1, 2]
    await threads.aclose()


async def test_what_nobody_wants_any_more_is_not_done():
    ledger = Ledger()
    threads = WorkerThreads(lambda: ledger, limit=1, most_together=8)
    held, first = await keep_busy(threads)
    wanted, unwanted = (asyncio.create_task(threads.run(adding(value))) for value in ("wanted", "unwanted"))
    await asyncio.sleep(0)
    unwanted.cancel()
    await asyncio.wait({unwanted})
    held.may_end.set()
    await first
    assert await wanted == "wanted"
    await threads.aclose()
    assert ledger.kept == ["wanted"]


async def test_threads_end_after_the_work_that_was_given():
    ledger = Ledger()
    threads = WorkerThreads(lambda: ledger, limit=1, most_together=8)
    held, first = await keep_busy(threads)
    second = asyncio.create_task(threads.run(adding(2)))
    await asyncio.sleep(0)
    closing = asyncio.create_task(threads.aclose())
    await asyncio.sleep(0)
    held.may_end.set()
    await asyncio.gather(first, second, closing)
    assert ledger.kept == [2]
    assert ledger.is_closed
    assert await threads.run(adding(3)) == 3
    await threads.aclose()
