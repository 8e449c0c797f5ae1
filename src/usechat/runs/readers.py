"""Counts the readers of a process's runs, and ends runs without readers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, Literal, TypeAlias

from usechat.errors import RunError
from usechat.runs.handle import RunHandle
from usechat.runs.log import RunLog

__all__ = ["ASKING_SECONDS", "DisconnectPolicy", "Readers"]

DisconnectPolicy: TypeAlias = Literal["auto", "cancel", "finish", "grace"]
"""The policy for a run whose last reader in its own process has left.

``cancel``: stop it at once. ``finish``: let it go on. ``grace``: stop it when no reader, in any process, has come back
for some seconds. ``auto``: ``grace`` if a client has ever asked for the chat's stream, as resuming clients do, or if
somebody asks for the chat or its stream within `ASKING_SECONDS`, as reloaded pages do; else stop it after that time.
"""

ASKING_SECONDS: Final = 5.0
"""Seconds within which a reloaded page asks for its chat.

A page that a server renders has asked before the page that it replaces leaves, so a chat that was asked for in the same
time before counts as well.
"""

Decide: TypeAlias = Callable[[RunHandle], Coroutine[Any, Any, None]]
"""Decides about a run that has had no reader for some time."""


class Readers:
    """Count the readers of runs, and stop runs without readers as the policy says.

    Args:
        log: The log of the runs.
        handles: The runs that this process is making, by id.
        disconnect: The policy.
        grace: Seconds that a run goes on without readers, for the policies that use it.
        asking: Seconds that somebody has to ask for a chat, for ``auto``; at most ``grace``.
    """

    def __init__(
        self,
        log: RunLog,
        handles: Mapping[str, RunHandle],
        disconnect: DisconnectPolicy,
        grace: float,
        asking: float = ASKING_SECONDS,
    ) -> None:
        self.log = log
        self.handles = handles
        self.disconnect: DisconnectPolicy = disconnect
        self.grace = grace
        self.asking = min(asking, grace)
        self.tasks: set[asyncio.Task[None]] = set()
        """The tasks that decide about runs without readers."""
        self._coming_back: set[asyncio.Task[Any]] = set()

    def expect(self, handle: RunHandle) -> None:
        """Wait for the first reader of a run that begins."""
        # A reader that left before it began to read never calls `leave`.
        if self.disconnect != "finish":
            self._wait(handle, self.grace, self._give_up)

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
                self._wait(handle, self.grace, self._give_up)
            case "auto":
                self._wait(handle, self.asking, self._choose)
                self.spawn(self._note_left(handle))
            case "finish":
                pass

    async def _note_left(self, handle: RunHandle) -> None:
        with suppress(RunError):
            await self.log.note_left(handle.info.id)

    async def _choose(self, handle: RunHandle) -> None:
        """Stop the run unless its client is known to resume, or somebody has asked for the chat."""
        try:
            comes_back = await self.log.was_asked(handle.info.chat_id)
        except RunError:
            comes_back = True
        if not self._is_left(handle):
            return
        if comes_back:
            self._wait(handle, self.grace - self.asking, self._give_up)
        else:
            handle.stop("disconnected")

    def _is_left(self, handle: RunHandle) -> bool:
        """Return whether the run is still without readers, and no later decision is due."""
        return handle.readers == 0 and handle.timer is None and handle.info.state == "running"

    def _wait(self, handle: RunHandle, seconds: float, decide: Decide) -> None:
        handle.clear_timer()
        handle.timer = asyncio.get_running_loop().call_later(seconds, self._decide, handle, decide)

    def _decide(self, handle: RunHandle, decide: Decide) -> None:
        handle.timer = None
        self.spawn(decide(handle))

    async def _give_up(self, handle: RunHandle) -> None:
        """Stop the run unless a reader has come, in any process."""
        try:
            unread = await self.log.seconds_unread(handle.info.id)
        except RunError:
            unread = 0.0
        if not self._is_left(handle):
            return
        if unread < self.grace:
            self._wait(handle, self.grace - unread, self._give_up)
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
