"""A queue of parts from writers, on the event loop or on threads, to one reader."""

from __future__ import annotations

import asyncio
import threading

from usechat.parts import Part

__all__ = ["PartQueue"]

MANY = 256
"""The number of waiting parts from which `drain` waits."""


class PartQueue:
    """Queue that returns all waiting parts as one batch. Create it on the reader's event loop."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.is_closed = False
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.arrived = asyncio.Event()
        self.has_room = asyncio.Event()
        self.has_room.set()

    def put(self, part: Part) -> None:
        """Add a part. Callable from any thread."""
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
        """Wait while the reader is far behind, so that the queue cannot grow without bound."""
        await self.has_room.wait()

    def close(self) -> None:
        """Close the queue: no more parts come."""
        self.is_closed = True
        self.arrived.set()

    async def take(self) -> list[Part] | None:
        """Return all waiting parts, or wait for the next; None at the end."""
        while not self.parts:
            if self.is_closed:
                return None
            self.arrived.clear()
            await self.arrived.wait()
        batch, self.parts = self.parts, []
        self.has_room.set()
        return batch
