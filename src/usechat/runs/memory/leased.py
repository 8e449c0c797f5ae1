"""A run in memory for a process that others can take for dead.

After its process stood still, nobody here knows whether the run was given away meanwhile. Until that is known its
readers get nothing further, and its producer calls no model and no tool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from usechat.runs.log import EndState, Limits, RunInfo, Save
from usechat.runs.memory.run import MemoryRun

__all__ = ["PATIENCE", "LeasedRun"]

PATIENCE: Final = 5.0
"""Seconds to wait until it is known whose the runs are. Beyond, the database is away, and the answers go on."""


class LeasedRun(MemoryRun):
    """A run that can be held, and then shown or taken away."""

    def __init__(self, info: RunInfo, limits: Limits, on_end: Callable[[MemoryRun], None] | None = None) -> None:
        super().__init__(info, limits, on_end)
        self._shown: int | None = None
        """The number of entries that readers may have while it is held."""
        self._settled: asyncio.Event | None = None
        self._is_taken = False
        self._is_ending = False

    @property
    def is_taken(self) -> bool:
        """Whether another process has the run."""
        return self._is_taken

    def readable(self) -> int:
        """Return the number of entries that readers may have."""
        return len(self.ends) if self._shown is None else self._shown

    def hold(self) -> None:
        """Show nothing further, and let the producer wait, until `show` or `fence`."""
        if not self.is_running:
            return
        self.is_full = True
        if self._shown is None:
            self._shown, self._settled = len(self.ends), asyncio.Event()

    def show(self) -> None:
        """Show what came meanwhile, and let the producer go on."""
        self._shown, self.is_full = None, False
        self._settle()
        self.wake()

    def take(self) -> bool:
        """Record that another process has the run, which waits for `fence`. Return whether there is something to end.

        Of a run whose producer has come to its end, saving it tells whose it is.
        """
        if not self.is_running or self._is_ending:
            return False
        self.hold()
        self._is_taken = True
        return True

    def fence(self, ending: bytes) -> None:
        """End the run after what readers have, with last frames for them. What was held is gone."""
        shown = self.readable()
        self.frames, self.ends = self.frames[: self.end_of(shown)], self.ends[:shown]
        self.end("lost", ending)

    def end(self, state: EndState, data: bytes = b"") -> bool:
        """End the run with last frames for every reader. Return whether it was still running."""
        has_ended = super().end(state, data)
        self._settle()
        return has_ended

    async def room(self) -> None:
        """Wait until it is known whose the run is. If that takes more than some seconds, the answer goes on."""
        if self._settled is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._settled.wait()
        self.is_full = False

    async def finish(self, state: EndState, save: Save | None = None) -> bool:
        """End the run. Return whether it was still running, and this process's."""
        await self.room()
        if self.is_running and self._shown is not None:
            # The saved message counts.
            self.show()
        self._is_ending = True
        # Also when it was taken: nobody may have ended its turn yet.
        if save is not None and (self.is_running or self._is_taken):
            await save()
        return self.end(state)

    def _settle(self) -> None:
        settled, self._settled = self._settled, None
        if settled is not None:
            settled.set()
