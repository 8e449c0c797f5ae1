"""Holds the runs of this process after it stood still, until its store has said that it was not taken for dead.

For runs in the memory of this process, beside a store that other processes share. A log in Redis does so itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from usechat.chats.store import ChatStore
from usechat.conversations.turn_ends import TurnEnds
from usechat.errors import RunError
from usechat.guard import describe_outage, traceback_of
from usechat.parts import Error
from usechat.protocol.options import MASKED_ERROR
from usechat.runs.heartbeat import BEATS, Heartbeat
from usechat.runs.memory.leased import PATIENCE, LeasedRun
from usechat.runs.service import RunService

__all__ = ["HeldRuns"]

logger = logging.getLogger(__name__)


class HeldRuns:
    """Hold, show and end the runs of this process.

    Args:
        store: The store of the chats.
        runs: The runs.
        ends: Makes the ends for readers of runs that others have ended.
    """

    def __init__(self, store: ChatStore, runs: RunService, ends: TurnEnds) -> None:
        self._store = store
        self._runs = runs
        self._ends = ends
        self._confirm: Callable[[], Awaitable[None]] | None = getattr(store, "confirm", None)
        self._lease = runs.log.limits.lease
        self._heartbeat = Heartbeat(self._lease, self._hold)
        self._gaps = 0
        self._confirming: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def join(self) -> None:
        """Join the processes of the store.

        Raises:
            ChatError: ``unavailable``.
        """
        await self._store.join(self._lease, self._lose)
        if self._confirm is not None:
            self._heartbeat.start()

    async def sure(self) -> str | None:
        """Wait until this process is known to count as alive, for some seconds at most. Return its id."""
        if self._confirming is not None:
            await asyncio.wait({self._confirming}, timeout=PATIENCE)
        return self._store.process_id

    def check(self, process_id: str | None) -> None:
        """Check that a turn that has just begun is still this process's.

        Args:
            process_id: The id that the turn has of this process.

        Raises:
            RunError: ``unavailable``: others end it, because they took this process for dead.
        """
        if process_id != self._store.process_id:
            raise RunError("this process was taken for dead", code="unavailable")

    def close(self) -> None:
        """End."""
        self._heartbeat.close()
        for task in self._tasks:
            task.cancel()

    def _hold(self) -> None:
        self._gaps += 1
        for run in self._leased():
            run.hold()
        if self._confirming is None or self._confirming.done():
            self._confirming = self._spawn(self._show_when_confirmed())

    async def _show_when_confirmed(self) -> None:
        gaps = None
        while gaps != self._gaps:
            # A sign of life from before a further gap proves nothing.
            gaps = self._gaps
            try:
                assert self._confirm is not None
                await self._confirm()
            except Exception as error:
                gaps = None
                logger.warning(
                    "this process stood still, and holds its answers until the database says that it counts as alive: "
                    "%s",
                    describe_outage(error),
                    exc_info=traceback_of(error),
                )
                await asyncio.sleep(self._lease / BEATS)
        for run in self._leased():
            if not run.is_taken:
                run.show()

    def _lose(self) -> None:
        """End the runs here that other processes end because they took this one for dead."""
        taken = [run for run in self._leased() if run.take()]
        for handle in list(self._runs.handles.values()):
            handle.stop("lost")
        for run in taken:
            self._spawn(self._end(run))

    async def _end(self, run: LeasedRun) -> None:
        """Tell the readers of a run, after what they have."""
        try:
            frames = run.since(0, run.readable())
            run.fence(await self._ends.end_for_readers(run.info, frames, Error(MASKED_ERROR)))
        except Exception:
            logger.exception("run %s of chat %s is ended as its producer ends it", run.info.id, run.info.chat_id)
            run.show()

    def _leased(self) -> list[LeasedRun]:
        writers = [handle.writer for handle in self._runs.handles.values()]
        return [writer for writer in writers if isinstance(writer, LeasedRun) and writer.is_running]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
