"""Threads that do blocking work for an event loop, each with its own session.

A piece of work costs one hop to the thread and one back. Knows no database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Protocol, TypeVar

__all__ = ["Abandoned", "Session", "WorkerThreads"]

ArgumentT = TypeVar("ArgumentT")
ResultT = TypeVar("ResultT")


class Abandoned(Exception):  # noqa: N818 - no error: nobody waits for the result any more
    """Raised in a thread when nobody waits for the work any more; the work is undone."""


class Session(Protocol):
    """The resource of one thread, such as a connection. It is made, used and closed in that thread.

    Implemented by: `_Session`.
    """

    def run(self, work: Callable[[Any], ResultT], check_wanted: Callable[[], None]) -> ResultT:
        """Run the work and return its result. Undo it when ``check_wanted`` raises `Abandoned` at its end."""
        ...

    def close(self) -> None:
        """Close the session."""
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
        """Set the result. Called in the thread."""
        # The loop may have been closed meanwhile, and its tasks with it.
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._settle, result, error)

    def _settle(self, result: Any, error: BaseException | None) -> None:
        if self.future.cancelled():
            return
        if error is None:
            self.future.set_result(result)
        else:
            self.future.set_exception(error)


class _Together:
    """Jobs that are done together, or not at all."""

    def __init__(self, jobs: Sequence[_Job[Any]]) -> None:
        self.jobs = jobs

    def work(self, argument: Any) -> list[Any]:
        return [job.work(argument) for job in self.jobs]

    def check_wanted(self) -> None:
        for job in self.jobs:
            job.check_wanted()


class WorkerThreads:
    """Do work in threads, in the order in which it comes. Start a thread when all others are busy.

    Args:
        make_session: Makes a thread's session.
        limit: How many threads at most.
        most_together: How many waiting jobs a thread takes at a time. They run as one piece of work. If one of them
            fails, all run again one by one, so they must be safe to run again.
    """

    def __init__(self, make_session: Callable[[], Session], *, limit: int, most_together: int = 1) -> None:
        self._make_session = make_session
        self._limit = limit
        self._most_together = most_together
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._threads: list[Thread] = []
        self._lock = Lock()
        self._unfinished = 0

    async def run(self, work: Callable[[Any], ResultT]) -> ResultT:
        """Run the work with a thread's session and return its result.

        A task that is cancelled while it waits stops waiting. Its work is not begun, or is undone if it has not reached
        its end.
        """
        job = _Job(work)
        with self._lock:
            self._unfinished += 1
            if len(self._threads) < min(self._unfinished, self._limit):
                # A daemon: the process may end without it, since the tasks that waited for its work have ended too.
                thread = Thread(target=self._work, name="usechat-database", daemon=True)
                self._threads.append(thread)
                thread.start()
        self._jobs.put(job)
        return await job.future

    async def aclose(self) -> None:
        """End the threads after the work that was given. More work starts new threads."""
        with self._lock:
            ending, self._threads = self._threads, []
        for _ in ending:
            self._jobs.put(None)
        for thread in ending:
            await asyncio.to_thread(thread.join)

    def _work(self) -> None:
        session = self._make_session()
        while (job := self._jobs.get()) is not None:
            jobs, is_last = self._with_others(job)
            # Keep no reference to the last job while waiting for the next one.
            del job
            if len(jobs) == 1 or not self._do_together(session, jobs):
                while jobs:
                    self._do(session, jobs.pop(0))
            del jobs
            if is_last:
                break
        session.close()

    def _with_others(self, job: _Job[Any]) -> tuple[list[_Job[Any]], bool]:
        """Return a job with the jobs that wait behind it, and whether the thread must end after them."""
        jobs = [job]
        with suppress(Empty):
            while len(jobs) < self._most_together:
                other = self._jobs.get_nowait()
                if other is None:
                    return jobs, True
                jobs.append(other)
        return jobs, False

    def _do_together(self, session: Session, jobs: list[_Job[Any]]) -> bool:
        """Do several jobs together. Return False if that failed; then nothing is done."""
        together = _Together(jobs)
        try:
            results = session.run(together.work, together.check_wanted)
        except BaseException:  # noqa: BLE001 - whose it is shows when each is done by itself
            return False
        for job, result in zip(jobs, results, strict=True):
            self._finish(job, result, None)
        return True

    def _do(self, session: Session, job: _Job[Any]) -> None:
        try:
            job.check_wanted()
            result = session.run(job.work, job.check_wanted)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the waiting task's
            self._finish(job, None, error)
        else:
            self._finish(job, result, None)

    def _finish(self, job: _Job[Any], result: Any, error: BaseException | None) -> None:
        with self._lock:
            self._unfinished -= 1
        job.settle(result, error)
