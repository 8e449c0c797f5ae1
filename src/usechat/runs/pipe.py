"""The log of a run that one reader reads as it is made: it forgets what that has read, and nobody comes back to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

__all__ = ["Pipe"]


class Pipe:
    """Frames on their way to their only reader."""

    __slots__ = ("_error", "_is_over", "_pieces", "_reader", "_writer", "is_full")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self.is_full = False
        """Whether the reader was not waiting for what came last: it is slow, and the answer is to wait for it."""
        self._is_over = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    def append(self, data: bytes) -> None:
        """Add frames, and wake the reader."""
        self._pieces.append(data)
        self.is_full = not wake(self._reader)

    async def room(self) -> None:
        """Wait until the reader has taken what there is."""
        while self.is_full:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                await self._writer
            finally:
                # One that was cancelled refers to the calls that led here, and these to this object.
                self._writer = None

    def end(self, error: Exception | None = None) -> None:
        """Take note that nothing more comes.

        Args:
            error: What the reader is to raise.
        """
        self._error = error
        self._is_over = True
        wake(self._reader)

    async def read(self) -> AsyncGenerator[bytes]:
        """Yield what has come, in one piece each time, to the end.

        Raises:
            Exception: What `end` was given.
        """
        while self._pieces or not self._is_over:
            if self._pieces:
                data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
                self._pieces.clear()
                self.is_full = False
                wake(self._writer)
                yield data
            else:
                self._reader = asyncio.get_running_loop().create_future()
                try:
                    await self._reader
                finally:
                    self._reader = None
        if self._error is not None:
            raise self._error


def wake(waiter: asyncio.Future[None] | None) -> bool:
    if waiter is None or waiter.done():
        return False
    waiter.set_result(None)
    return True
