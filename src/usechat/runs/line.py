"""The line of those who wait for a chat, in their order.

A place in a line belongs to a message that waits. Who holds one stands in the line again and again; a place that was
not stood in for some seconds is its neighbour's: its process has died, or its client has left.
"""

from __future__ import annotations

import time
from typing import Final, Protocol

__all__ = ["PLACE_SECONDS", "Line", "MemoryLine"]

PLACE_SECONDS: Final = 10.0
"""Seconds for which a place is kept for who stands in it."""


class Line(Protocol):
    """The lines of all chats. Its methods raise `RunError` ``unavailable`` when the log cannot be reached.

    Implemented by: `MemoryLine`, `usechat.runs.redis.line.RedisLine`.
    """

    async def stand(self, chat_id: str, place: str) -> int:
        """Take a place at the end of the chat's line, or keep it. Return how many stand before it.

        Args:
            chat_id: The chat.
            place: The place, an id of the caller's making.
        """
        ...

    async def leave(self, chat_id: str, place: str) -> None:
        """Give a place up."""
        ...


class MemoryLine:
    """The lines of the chats of one process."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, float]] = {}
        """Until when each place is kept, in the order of the line, by chat."""

    async def stand(self, chat_id: str, place: str) -> int:
        """Take a place at the end of the chat's line, or keep it. Return how many stand before it."""
        now = time.monotonic()
        line = self._places.setdefault(chat_id, {})
        line[place] = now + PLACE_SECONDS
        for late in [other for other, until in line.items() if until < now]:
            del line[late]
        return [*line].index(place)

    async def leave(self, chat_id: str, place: str) -> None:
        """Give a place up."""
        line = self._places.get(chat_id, {})
        line.pop(place, None)
        if not line:
            self._places.pop(chat_id, None)
