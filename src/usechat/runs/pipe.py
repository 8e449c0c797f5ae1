"""A run that one reader reads while it is made. Its log forgets the frames that were read, so it cannot be resumed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any

from usechat.runs.log import Entry

__all__ = ["OnlyReader", "Pipe"]


class Pipe:
    """A log of frames for one reader."""

    __slots__ = ("_error", "_is_over", "_pieces", "_reader", "_writer", "count", "is_full")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.count = 0
        """The number of entries that were read."""
        self.is_full = False
        """Whether the reader was not waiting for the last frames: it is slow, and the answer must wait."""
        self._is_over = False
        self._error: BaseException | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def append(self, data: bytes) -> None:
        """Append frames and wake the reader."""
        self._pieces.append(data)
        self.is_full = not wake(self._reader)

    async def room(self) -> None:
        """Wait until the reader has taken all frames."""
        while self.is_full:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                # A cancelled future would refer to frames that refer to this object: a cycle.
                self._writer = None

    def end(self, error: BaseException | None = None) -> None:
        """Record that nothing more comes. Only the first end counts.

        Args:
            error: The error that the reader raises.
        """
        if not self._is_over:
            self._error = error
            self._is_over = True
            wake(self._reader)

    async def read(self) -> AsyncGenerator[Entry]:
        """Yield the frames to the end. Frames that have gathered are one entry.

        Raises:
            BaseException: The error that `end` was given.
        """
        while self._pieces or not self._is_over:
            if self._pieces:
                data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
                self._pieces.clear()
                self.is_full = False
                wake(self._writer)
                self.count += 1
                yield Entry(self.count, data)
            else:
                self._reader = asyncio.get_running_loop().create_future()
                try:
                    await self._reader
                finally:
                    self._reader = None
        if self._error is not None:
            raise self._error


class OnlyReader:
    """Make a run and be its only reader: the run ends when this reader leaves.

    Args:
        make: Makes the run: appends its frames to the pipe, to their legal end. It begins at once.
        abort: Ends ``make`` early, with a reason.
        close: Ends ``make`` early and waits for its end.
    """

    __slots__ = ("_abort", "_close", "_pipe", "_task")

    run_id = ""

    def __init__(
        self,
        make: Callable[[Pipe], Coroutine[Any, Any, None]],
        abort: Callable[[str | None], None],
        close: Callable[[], Awaitable[None]],
    ) -> None:
        self._pipe = Pipe()
        self._abort = abort
        self._close = close
        self._task = asyncio.create_task(make(self._pipe))
        self._task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        # The reader must not wait for ever, whatever failed.
        self._pipe.end(None if task.cancelled() else task.exception())

    def read(self) -> AsyncGenerator[Entry]:
        """Yield the run's entries; see `usechat.runs.reader.RunReader`."""
        return self._pipe.read()

    async def stop(self, reason: str) -> None:
        """End the run now."""
        self._abort(reason)

    async def leave(self) -> None:
        """End a running run, and wait until its callbacks were called."""
        await self._close()
        # A callback within the task cannot wait for the task's end.
        if self._task is not asyncio.current_task():
            await asyncio.wait({self._task})


def wake(waiter: asyncio.Future[None] | None) -> bool:
    if waiter is None or waiter.done():
        return False
    waiter.set_result(None)
    return True
