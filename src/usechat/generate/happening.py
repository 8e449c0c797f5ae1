"""Something that happens once in an answer, and is seldom waited for."""

from __future__ import annotations

import asyncio

__all__ = ["Happening"]


class Happening:
    """Whether it has happened. An `asyncio.Event`, which takes nearly a kilobyte, is made for who asks for one."""

    __slots__ = ("_event", "has_happened")

    def __init__(self) -> None:
        self.has_happened = False
        self._event: asyncio.Event | None = None

    def set(self) -> None:
        """It has."""
        self.has_happened = True
        if self._event is not None:
            self._event.set()

    @property
    def event(self) -> asyncio.Event:
        """The same one each time; set once it has happened."""
        if self._event is None:
            self._event = asyncio.Event()
            if self.has_happened:
                self._event.set()
        return self._event
