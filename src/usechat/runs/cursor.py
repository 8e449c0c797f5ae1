"""Cursors: where a reader stands in a run, in a form that it can keep and come back with.

A cursor names its run. A chat's next answer is another run, and what a reader had of the last one is no place in it.
"""

from __future__ import annotations

from typing import Self

import msgspec

__all__ = ["Cursor"]

END = "end"
MAX_DIGITS = 18
MAX_LENGTH = 200


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a run; as text ``RUN:ENTRIES``, or ``RUN:end`` after its end, as an event's ``id:`` has it."""

    run_id: str | None = None
    """None: the chat's newest one, whichever that is. Such a cursor is a bare number, which a reader thinks of that
    has nothing yet (``0``)."""
    after: int = 0
    """How many of the run's entries the reader has."""
    is_end: bool = False
    """Whether it has all there are, and their end."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The cursor that a reader gives.

        Raises:
            ValueError: It is none.
        """
        run_id, _, place = text.rpartition(":")
        if len(text) > MAX_LENGTH or not (run_id or place == text):
            raise ValueError("no cursor")
        if run_id and place == END:
            return cls(run_id=run_id, is_end=True)
        if not (place.isascii() and place.isdecimal()) or len(place) > MAX_DIGITS:
            raise ValueError("no cursor")
        return cls(run_id=run_id or None, after=int(place))

    def __str__(self) -> str:
        place = END if self.is_end else str(self.after)
        return place if self.run_id is None else f"{self.run_id}:{place}"
