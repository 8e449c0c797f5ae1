"""Where a test has bytes go that nobody is woken for."""

from __future__ import annotations

__all__ = ["Taking"]


class Taking:
    """A sink that takes what it is given while it is told to."""

    def __init__(self) -> None:
        self.is_ready = True
        self.taken: list[bytes] = []

    def push(self, piece: bytes) -> None:
        self.taken.append(piece)
