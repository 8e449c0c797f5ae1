"""Saves runs that have ended, and tries again when that fails.

Knows neither what is saved nor where: it calls the caller's function.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

from usechat.guard import Contained, describe_outage, traceback_of
from usechat.runs.log import RunInfo

__all__ = ["OnEnd", "Saves"]

logger = logging.getLogger(__name__)

OnEnd: TypeAlias = Callable[[RunInfo], Awaitable[None]]
"""Saves a run that ended here, before its readers see the end. When it raises, it is called again for some minutes."""

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 60.0, 60.0, 60.0)
LEAVING_SECONDS: Final = 0.5
"""Seconds that readers wait for a run to be saved, once their process is about to end."""


class Saves:
    """The ended runs of this process that are not saved yet.

    Args:
        pauses: Seconds before each further try.
    """

    def __init__(self, pauses: Sequence[float] = PAUSES) -> None:
        self._pauses = pauses
        self._pending: set[_Pending] = set()
        self._is_leaving = False
        self._is_last_try = False

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._pending)

    async def save(self, info: RunInfo, on_end: OnEnd) -> bool:
        """Save a run and return whether it is saved. If not, it is tried again in the background."""
        pending = self.add(info, on_end)
        try:
            return await asyncio.shield(pending.outcome)
        except asyncio.CancelledError:
            pending.task.cancel()
            raise

    def add(self, info: RunInfo, on_end: OnEnd) -> _Pending:
        """Save a run in the background."""
        pending = _Pending(info, on_end)
        self._pending.add(pending)
        pending.task = asyncio.create_task(self._keep_trying(pending))
        pending.task.add_done_callback(lambda _task: self._pending.discard(pending))
        if self._is_leaving:
            pending.tell_soon()
        return pending

    def hurry(self, run_id: str) -> bool:
        """Try again now to save a run. Return False if no save of it is waiting."""
        found = [pending for pending in self._pending if pending.info.id == run_id]
        for pending in found:
            pending.is_due.set()
        return bool(found)

    def leave(self) -> None:
        """Let nobody wait long for what is being saved: this process is about to end."""
        self._is_leaving = True
        for pending in self._pending:
            pending.tell_soon()

    async def _keep_trying(self, pending: _Pending) -> None:
        for pause in (*self._pauses, None):
            is_last_try = self._is_last_try
            try:
                with Contained():
                    await pending.on_end(pending.info)
            except Exception as error:
                pending.tell(is_saved=False)
                if pause is None or is_last_try:
                    logger.error("%s was not saved: %s", pending, describe_outage(error))  # noqa: TRY400 - told before
                    return
                logger.warning(
                    "%s could not be saved; it is tried again in %g s: %s",
                    pending,
                    pause,
                    describe_outage(error),
                    exc_info=traceback_of(error),
                )
            else:
                pending.tell(is_saved=True)
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(pending.is_due.wait(), pause)
            pending.is_due.clear()

    async def aclose(self, seconds: float) -> None:
        """Try to save the rest once more, for at most some seconds."""
        self._is_last_try = True
        for pending in self._pending:
            pending.is_due.set()
        if tasks := [pending.task for pending in self._pending]:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for pending in [pending for pending in self._pending if pending.task in late]:
                logger.error("%s was not saved: this process ends before its database answers", pending)
                pending.task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


class _Pending:
    """A run that is being saved.

    Args:
        info: The run.
        on_end: Saves it.
    """

    task: asyncio.Task[None]

    def __init__(self, info: RunInfo, on_end: OnEnd) -> None:
        self.info = info
        self.on_end = on_end
        self.is_due = asyncio.Event()
        self.outcome: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Whether the first try has saved it."""

    def __str__(self) -> str:
        """Return its name in the log."""
        return f"run {self.info.id} of chat {self.info.chat_id}"

    def tell(self, *, is_saved: bool) -> None:
        """Tell who waits."""
        if not self.outcome.done():
            self.outcome.set_result(is_saved)

    def tell_soon(self) -> None:
        """Let nobody wait much longer."""
        asyncio.get_running_loop().call_later(LEAVING_SECONDS, lambda: self.tell(is_saved=False))
