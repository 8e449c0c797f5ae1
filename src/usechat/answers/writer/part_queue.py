"""Parts on their way from whoever makes them, on this event loop or on a thread, to the one who reads them."""

from __future__ import annotations

import asyncio
import threading

from usechat.parts import Part

__all__ = ["PartQueue"]

MANY = 256
"""How many parts may wait before `drain` holds the maker up."""


class PartQueue:
    """Takes parts at once and hands over all that wait in one batch. Made on the reader's event loop."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.is_closed = False
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.arrived = asyncio.Event()
        self.has_room = asyncio.Event()
        self.has_room.set()

    def put(self, part: Part) -> None:
        """Add a part; from any thread."""
        if threading.get_ident() == self.thread:
            self._put(part)
        else:
            self.loop.call_soon_threadsafe(self._put, part)

    def _put(self, part: Part) -> None:
        self.parts.append(part)
        self.arrived.set()
        if len(self.parts) >= MANY:
            self.has_room.clear()

    async def drain(self) -> None:
        """Wait while the reader is far behind, so that what waits for it cannot grow without bound."""
        await self.has_room.wait()

    def close(self) -> None:
        """Say that nothing more comes."""
        self.is_closed = True
        self.arrived.set()

    async def take(self) -> list[Part] | None:
        """Return all parts that wait, or else the next; None at the end."""
        while not self.parts:
            if self.is_closed:
                return None
            self.arrived.clear()
            await self.arrived.wait()
        batch, self.parts = self.parts, []
        self.has_room.set()
        return batch
