"""Threads that work for an event loop, each with a session of its own.

One hop there and one back, whatever is done meanwhile. Knows no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Abandoned", "Session", "WorkerThreads"]

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


class Abandoned(Exception):  # noqa: N818 - no error: nobody waits for the result any more
    """The work was not wanted any more, and was undone."""


class Session(Protocol):
    """What a thread works with; made, used and closed in it."""

    def run(self, work: Callable[[Any], ResultT], check_wanted: Callable[[], None]) -> ResultT:
        """What the work gives; it is undone when ``check_wanted`` raises `Abandoned` at its end."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


class _Job(Generic[ResultT]):
    """Work that a task waits for."""

    def __init__(self, work: Callable[[Any], ResultT]) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[ResultT] = self.loop.create_future()

    def check_wanted(self) -> None:
        if self.future.cancelled():
            raise Abandoned

    def settle(self, result: Any, error: BaseException | None) -> None:
        """Called in the thread."""
        try:
            self.loop.call_soon_threadsafe(self._settle, result, error)
        except RuntimeError:
            # The loop was closed meanwhile, and its tasks with it.
            return

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.cancelled():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class WorkerThreads:
    """Does work in threads, in the order it comes in; a thread is started when all that run are busy.

    Args:
        make_session: Makes a thread's session.
        limit: How many threads at most.
    """

    def __init__(self, make_session: Callable[[], Session], *, limit: int) -> None:
        self._make_session = make_session
        self._limit = limit
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._lock = Lock()
        self._unfinished = 0

    async def run(self, work: Callable[[Any], ResultT]) -> ResultT:
        """What the work gives; it gets what its thread's session has.

        A task that is cancelled while it waits does not wait any longer; its work is not begun, or undone where it is
        not at its end.
        """
        job = _Job(work)
        with self._lock:
            self._unfinished += 1
            if len(self._threads) < min(self._unfinished, self._limit):
                # A process may end without it: whoever waited for its work has ended as well.
                thread = Thread(target=self._work, name="usechat-database", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._jobs.put(job)
        return await job.future

    async def aclose(self) -> None:
        """End the threads, after the work that was given. More work starts new ones."""
        with self._lock:
            ending, self._threads = self._threads, []
        for _ in ending:
            self._jobs.put(None)
        for thread in ending:
            await asyncio.to_thread(thread.join)

    def _work(self) -> None:
        session = self._make_session()
        while (job := self._jobs.get()) is not None:
            result, error = None, None
            try:
                job.check_wanted()
                result = session.run(job.work, job.check_wanted)
            except BaseException as raised:  # noqa: BLE001 - whatever it is, it is the waiting task's
                error = raised
            with self._lock:
                self._unfinished -= 1
            job.settle(result, error)
            # Until the next job comes, nothing is held on to.
            del job, result, error
        session.close()
