"""Logs to check, and what their readers get."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from usechat.runs.log import Entry, Limits, RunLog, RunWriter

__all__ = ["AT_ONCE", "PATIENCE", "Logs", "OpenLog", "begin", "collect", "eventually", "texts"]

AT_ONCE = 10.0
"""Seconds that something may take which happens at once: milliseconds, and seconds on a busy machine."""
PATIENCE = 60.0
"""Seconds after which a check gives up."""
LOOK_SECONDS = 0.005

OpenLog: TypeAlias = Callable[[Limits], RunLog]
"""Opens a log with these limits, as one more process has it."""


class Logs:
    """Logs that share their runs, as different processes do. A log that is not shared has one process."""

    def __init__(self, open_log: OpenLog) -> None:
        self.open_log = open_log
        self.limits = Limits()
        """Those of the logs that are made next."""
        self.made: list[RunLog] = []

    def make(self) -> RunLog:
        """Return the log as one more process has it."""
        if self.made and not self.made[0].is_shared:
            return self.made[0]
        self.made.append(self.open_log(self.limits))
        return self.made[-1]

    async def aclose(self) -> None:
        """Close all of them."""
        for log in self.made:
            await log.aclose()


async def begin(log: RunLog, chat_id: str = "chat") -> RunWriter:
    """Return a new run."""
    return await log.open(chat_id, owner="ada", headers={"x-a": "1"}, meta={"major": 6})


async def collect(log: RunLog, run_id: str, after: int = 0) -> list[Entry]:
    """Return all that a reader gets."""
    return [entry async for entry in log.read(run_id, after)]


def texts(entries: list[Entry]) -> bytes:
    """Return the frames of entries."""
    return b"".join(entry.data for entry in entries)


async def eventually(look: Callable[[], bool | Awaitable[bool]], *, within: float = PATIENCE) -> None:
    """Return as soon as ``look`` says so.

    Raises:
        TimeoutError: It did not.
    """
    async with asyncio.timeout(within):
        while True:
            seen = look()
            if seen if isinstance(seen, bool) else await seen:
                return
            await asyncio.sleep(LOOK_SECONDS)
