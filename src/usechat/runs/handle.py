"""The handle of a run that this process makes: writes to its log and ends it early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from usechat.errors import AnswerFailedError, RunError
from usechat.guard import Contained
from usechat.runs.log import EndState, RunInfo, RunWriter

__all__ = ["Make", "RunHandle", "make_run"]

logger = logging.getLogger(__name__)

Make: TypeAlias = Callable[["RunHandle"], Awaitable[None]]
"""Makes a run: appends its frames to the handle, and returns after the last ones."""


class RunHandle:
    """A run that this process makes.

    Args:
        writer: The run's writer in the log.
        abort: Ends the making of the run early, with a reason. The run still gets its legal end.
    """

    __slots__ = (
        "_abort",
        "failure",
        "is_made",
        "is_over",
        "is_saved",
        "is_stopped",
        "readers",
        "stop_reason",
        "task",
        "timer",
        "writer",
    )

    def __init__(self, writer: RunWriter, abort: Callable[[str | None], None]) -> None:
        self.writer = writer
        self.readers = 0
        """The number of readers in this process."""
        self.is_stopped = False
        self.stop_reason: str | None = None
        self.is_saved: bool | None = None
        """Whether the run was saved; None before that was tried."""
        self.task: asyncio.Task[EndState] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_made = False
        """Whether the run has its end and saving was tried, so that only the log must record the end."""
        self.is_over = False
        """Whether the run is over."""
        self.failure: BaseException | None = None
        """The failure of the run, when its frames do not tell it."""
        self._abort = abort
        writer.on_stop = self._heed

    @property
    def info(self) -> RunInfo:
        """The run as it is now."""
        return self.writer.info

    def stop(self, reason: str | None = None) -> None:
        """End the run now. A second call does nothing."""
        if self.is_stopped:
            return
        self.is_stopped = True
        self.stop_reason = reason
        try:
            self._abort(reason)
        except Exception:
            logger.exception("stopping a run failed")

    def _heed(self) -> None:
        # Later: the caller may be in the middle of writing.
        asyncio.get_running_loop().call_soon(self._stop_as_asked)

    def _stop_as_asked(self) -> None:
        if not self.is_over:
            self.stop(self.writer.stop_reason)

    @property
    def is_full(self) -> bool:
        """Whether it is doubtful whose the run is. A log never waits for readers."""
        return self.writer.is_full

    def append(self, data: bytes) -> None:
        """Write frames to the log. A full log stops the run."""
        try:
            self.writer.append(data)
        except RunError as error:
            # Frames that do not fit are left out. Smaller ones after them, as the legal end, may fit again.
            self.stop("full" if error.code == "full" else "lost")

    async def room(self) -> None:
        """Wait for a while until it is known whose the run is."""
        await self.writer.room()

    def end(self, error: BaseException | None = None) -> None:
        """Record that all frames are written.

        Args:
            error: The failure of the run, when its frames do not tell it.
        """
        self.failure = error
        # Why an answer failed has been logged where it failed.
        if error is not None and not isinstance(error, AnswerFailedError):
            logger.error("a run failed", exc_info=error)

    async def wait(self) -> EndState:
        """Wait for the end and return how the run ended; ``lost`` when another process took it."""
        assert self.task is not None
        return await asyncio.shield(self.task)

    def close(self) -> None:
        """Let go of what makes the run, which is over: its readers hold this handle."""
        self.is_over = True
        self.clear_timer()
        self._abort = ignore

    def clear_timer(self) -> None:
        """Cancel the timer: the run is read, or is over."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def ignore(_reason: str | None) -> None:
    """Do nothing: what is over cannot be ended."""


async def make_run(handle: RunHandle, make: Make) -> EndState:
    """Make a run and return how it ended."""
    try:
        with Contained():
            await make(handle)
    except Exception:
        logger.exception("a run failed")
        return "failed"
    if handle.failure is not None:
        return "failed"
    return "aborted" if handle.is_stopped else "finished"
