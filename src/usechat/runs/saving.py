"""Saves runs that have ended, and tries again when that fails.

Knows neither what is saved nor where: it calls the caller's function.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias

from usechat.guard import Contained, describe_error
from usechat.runs.log import RunInfo

__all__ = ["OnEnd", "Saves"]

logger = logging.getLogger(__name__)

OnEnd: TypeAlias = Callable[[RunInfo], Awaitable[None]]
"""Saves a run that ended here, before its readers see the end. When it raises, it is called again for some minutes."""

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0, 60.0)


class Saves:
    """The ended runs of this process that are not saved yet.

    Args:
        pauses: Seconds before each further try.
    """

    def __init__(self, pauses: Sequence[float] = PAUSES) -> None:
        self._pauses = pauses
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_last_try = asyncio.Event()

    async def save(self, info: RunInfo, on_end: OnEnd) -> bool:
        """Save a run and return whether it is saved. If not, try again in the background."""
        try:
            with Contained():
                await on_end(info)
        except Exception:
            logger.exception("a run could not be saved; it is tried again")
            task = asyncio.create_task(self._try_again(info, on_end))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return False
        return True

    async def _try_again(self, info: RunInfo, on_end: OnEnd) -> None:
        for pause in self._pauses:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_last_try.wait(), pause)
            try:
                with Contained():
                    await on_end(info)
            except Exception as error:  # noqa: BLE001 - no caller is left to get it
                logger.warning("a run still could not be saved: %s", describe_error(error))
            else:
                return
            if self._is_last_try.is_set():
                break
        logger.error("a run was not saved")

    async def aclose(self, seconds: float) -> None:
        """Try to save the rest once more, for at most some seconds."""
        self._is_last_try.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        for task in self._tasks:
            task.cancel()
