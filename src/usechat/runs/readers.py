"""Counts the readers of a process's runs, and ends runs without readers."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

from usechat.errors import RunError
from usechat.runs.handle import RunHandle
from usechat.runs.log import RunLog

__all__ = ["DisconnectPolicy", "Readers"]

DisconnectPolicy: TypeAlias = Literal["auto", "cancel", "finish", "grace"]
"""The policy for a run whose last reader in its own process has left.

``cancel``: stop it at once. ``finish``: let it go on. ``grace``: stop it when no reader, in any process, has come back
for some seconds. ``auto``: ``grace`` if a client has ever asked for the chat's stream, as resuming clients do, else
``cancel``.
"""


class Readers:
    """Count the readers of runs, and stop runs without readers as the policy says.

    Args:
        log: The log of the runs.
        handles: The runs that this process is making, by id.
        disconnect: The policy.
        grace: Seconds that a run goes on without readers, for the policies that use it.
    """

    def __init__(
        self, log: RunLog, handles: Mapping[str, RunHandle], disconnect: DisconnectPolicy, grace: float
    ) -> None:
        self.log = log
        self.handles = handles
        self.disconnect: DisconnectPolicy = disconnect
        self.grace = grace
        self.tasks: set[asyncio.Task[None]] = set()
        """The tasks that decide about runs without readers."""
        self._coming_back: set[asyncio.Task[Any]] = set()

    def expect(self, handle: RunHandle) -> None:
        """Wait for the first reader of a run that begins."""
        # A reader that left before it began to read never calls `leave`.
        if self.disconnect != "finish":
            self._wait(handle, self.grace)

    def come(self, run_id: str) -> RunHandle | None:
        """Count a reader. Return the handle for `leave`."""
        handle = self.handles.get(run_id)
        if handle is not None:
            handle.readers += 1
            handle.clear_timer()
        return handle

    def leave(self, handle: RunHandle | None) -> None:
        """Remove a reader. Apply the policy when it was the last one."""
        if handle is None:
            return
        handle.readers -= 1
        if handle.readers or handle.info.state != "running":
            return
        match self.disconnect:
            case "cancel":
                handle.stop("disconnected")
            case "grace":
                self._wait(handle, self.grace)
            case "auto":
                self.spawn(self._choose(handle))
            case "finish":
                pass

    async def _choose(self, handle: RunHandle) -> None:
        try:
            comes_back = await self.log.was_resumed(handle.info.chat_id)
        except RunError:
            comes_back = True
        if handle.readers == 0:
            if comes_back:
                self._wait(handle, self.grace)
            else:
                handle.stop("disconnected")

    def _wait(self, handle: RunHandle, seconds: float) -> None:
        handle.clear_timer()
        loop = asyncio.get_running_loop()
        handle.timer = loop.call_later(seconds, lambda: self.spawn(self._give_up(handle)))

    async def _give_up(self, handle: RunHandle) -> None:
        """Stop the run unless a reader has come, in any process."""
        try:
            unread = await self.log.seconds_unread(handle.info.id)
        except RunError:
            unread = 0.0
        if handle.readers or handle.info.state != "running":
            return
        if unread < self.grace:
            self._wait(handle, self.grace - unread)
        else:
            handle.stop("disconnected")

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run some work in a task that `tasks` holds until it is done."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    @contextmanager
    def coming_back(self, run_id: str) -> Generator[None]:
        """Mark the current task as reading for a client that resumes when it is cut."""
        task = asyncio.current_task()
        if task is None or run_id in self.handles:
            yield
            return
        self._coming_back.add(task)
        try:
            yield
        finally:
            self._coming_back.discard(task)

    def cut_those_who_come_back(self) -> None:
        """Cut readers of other processes' runs that can resume elsewhere."""
        for task in list(self._coming_back):
            task.cancel()
