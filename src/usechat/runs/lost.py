"""Lost runs: finds, takes and ends runs whose producers have died.

Knows no contents of a run: the caller's function saves it and returns its last frames.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from usechat.errors import RunError
from usechat.guard import describe_outage, traceback_of
from usechat.runs.log import RunInfo, RunLog

__all__ = ["LostRuns", "OnLost", "OnResume"]

logger = logging.getLogger(__name__)

SETTLING_SECONDS = 3.0
"""Seconds to wait beyond a producer's silence, for a log that was away itself."""

OnLost: TypeAlias = Callable[[RunInfo, bytes], Awaitable[bytes]]
"""Called once for a run whose producer died, with all its frames; returns last frames, the legal end of the stream."""

OnResume: TypeAlias = Callable[[RunInfo, bytes], Awaitable[bool]]
"""Called with such a run, before that. Returns whether the run goes on."""


class LostRuns:
    """Ends the runs of dead processes.

    Args:
        log: The log of the runs.
        on_lost: Saves a lost run and returns its last frames.
        find_open: Finds the run of a chat, of this owner if one is given, that the log does not find by the chat.
    """

    def __init__(
        self, log: RunLog, on_lost: OnLost | None, find_open: Callable[[str, str | None], Awaitable[RunInfo | None]]
    ) -> None:
        self.log = log
        self.on_lost = on_lost
        self._find_open = find_open
        self.on_resume: OnResume | None = None
        """Goes on with a lost run here, if that can be; otherwise it is ended."""
        self.is_closing = False
        """When true, no further run is taken."""

    async def end_lost(self) -> int:
        """End the runs whose producers have died, in any process. Return how many this call ended.

        Raises:
            RunError: ``unavailable``.
        """
        return await self._end_all(await self.log.take_lost())

    async def watch(self) -> None:
        """Look for lost runs from time to time."""
        while True:
            try:
                await self.end_lost()
            except RunError as error:
                logger.warning("lost runs are not looked for until the run log is back: %s", describe_outage(error))
            await asyncio.sleep(self.log.limits.lease / 3)

    async def take_over(self, chat_id: str, owner: str | None = None) -> bool:
        """Free a chat from a dead producer. Return False when a living one holds it.

        Wait until the producer renews its lease, or has been silent for too long.

        Raises:
            RunError: ``unavailable``.
        """
        patience = min(self.log.limits.silence, self.log.limits.lease)
        since = time.monotonic()
        while not self.is_closing:
            # Taken before the question, however long the answer takes: what was heard before is no sign of life.
            watched = time.monotonic() - since
            silent = await self._seconds_silent(chat_id, owner)
            if silent is None:
                return True
            if silent <= watched or watched > 2 * patience + SETTLING_SECONDS:
                # It was heard since this began to listen; or the log cannot tell.
                return False
            if silent >= patience:
                await self._end_lost_of(chat_id, owner)
            await asyncio.sleep(patience / 50)
        return False

    async def _seconds_silent(self, chat_id: str, owner: str | None) -> float | None:
        info = await self._unended(chat_id, owner)
        return None if info is None else await self.log.seconds_silent(info.id)

    async def _end_lost_of(self, chat_id: str, owner: str | None) -> None:
        info = await self._unended(chat_id, owner)
        if info is not None:
            await self._end_all(await self.log.take_lost(info.id))

    async def _unended(self, chat_id: str, owner: str | None) -> RunInfo | None:
        info = await self.log.find(chat_id) or await self._find_open(chat_id, owner)
        return info if info is not None and info.state in ("running", "lost") else None

    async def _end_all(self, lost: Sequence[RunInfo]) -> int:
        return sum(await asyncio.gather(*(self._end(info) for info in lost)))

    async def _end(self, info: RunInfo) -> bool:
        """End one lost run. When that fails, a later `end_lost` takes it again, here or elsewhere."""
        try:
            async with asyncio.timeout(self.log.limits.lease):
                frames = await self.log.frames(info.id)
                if self.on_resume is not None and not self.is_closing and await self.on_resume(info, frames):
                    return True
                ending = b"" if self.on_lost is None else await self.on_lost(info, frames)
                return await self.log.end_lost(info, ending)
        except Exception as error:
            logger.warning(
                "ending a lost run failed (run %s of chat %s); it is tried again in %g s: %s",
                info.id,
                info.chat_id,
                self.log.limits.lease,
                describe_outage(error),
                exc_info=traceback_of(error),
            )
            return False
