"""A run that this process makes: written to its log, and asked to end early."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from usechat.errors import RunError
from usechat.guard import Contained
from usechat.runs.log import EndState, RunInfo, RunWriter

__all__ = ["Make", "RunHandle", "make_run"]

logger = logging.getLogger(__name__)

Make: TypeAlias = Callable[["RunHandle"], Awaitable[None]]
"""Makes a run: appends its frames to the handle, and returns after the last ones."""


class RunHandle:
    """A run that this process makes.

    Args:
        writer: The hold on its log.
        abort: Asks the frames' generator for a legal end.
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
        """Of this process."""
        self.is_stopped = False
        self.stop_reason: str | None = None
        self.is_saved: bool | None = None
        """Whether it could be saved, once that was tried."""
        self.task: asyncio.Task[EndState] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_made = False
        """Whether it has its end and was saved, or could not be: all that is left is that the log takes note of it."""
        self.is_over = False
        """Whether nothing more comes of it."""
        self.failure: BaseException | None = None
        """Why it failed, where its frames do not say so."""
        self._abort = abort
        writer.on_stop = self._heed

    @property
    def info(self) -> RunInfo:
        """The run as it is now."""
        return self.writer.info

    def stop(self, reason: str | None = None) -> None:
        """Have the run end now; does nothing the second time."""
        if self.is_stopped:
            return
        self.is_stopped = True
        self.stop_reason = reason
        try:
            self._abort(reason)
        except Exception:
            logger.exception("stopping a run failed")

    def _heed(self) -> None:
        # Later: who asks may be in the middle of writing.
        asyncio.get_running_loop().call_soon(self._stop_as_asked)

    def _stop_as_asked(self) -> None:
        if not self.is_over:
            self.stop(self.writer.stop_reason)

    is_full = False
    """A log takes whatever comes, whoever reads it."""

    def append(self, data: bytes) -> None:
        """Write frames to the log; what it does not take stops the run."""
        try:
            self.writer.append(data)
        except RunError as error:
            # What does not fit is left out; smaller frames after it, the legal end among them, may fit again.
            self.stop("full" if error.code == "full" else "lost")

    async def room(self) -> None:
        """There always is."""

    def end(self, error: BaseException | None = None) -> None:
        """Take note that the frames are all there.

        Args:
            error: What makes the run a failed one, though its frames do not say so.
        """
        self.failure = error
        if error is not None:
            logger.error("a run failed", exc_info=error)

    async def wait(self) -> EndState:
        """Return how the run ended, once it has; ``lost`` when it was taken from this process."""
        assert self.task is not None
        return await asyncio.shield(self.task)

    def clear_timer(self) -> None:
        """Somebody reads the run, or it is over."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


async def make_run(handle: RunHandle, make: Make) -> EndState:
    """Have a run made; return how that ended."""
    try:
        with Contained():
            await make(handle)
    except Exception:
        logger.exception("a run failed")
        return "failed"
    if handle.failure is not None:
        return "failed"
    return "aborted" if handle.is_stopped else "finished"
