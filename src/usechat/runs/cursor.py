"""Cursors: a reader's place in a run, as text that it can keep and send.

A cursor names its run: the chat's next answer is another run, in which this place means nothing.
"""

from __future__ import annotations

from typing import Self

import msgspec

__all__ = ["Cursor"]

END = "end"
MAX_DIGITS = 18
MAX_LENGTH = 200


class Cursor(msgspec.Struct, frozen=True, kw_only=True):
    """A place in a run.

    As text, and in an event's ``id:``, it is ``RUN:ENTRIES``, or ``RUN:end`` after the end.
    """

    run_id: str | None = None
    """The run; None for the chat's newest one. Such a cursor is a bare number: ``0`` for a reader with nothing."""
    after: int = 0
    """The number of the run's entries that the reader has."""
    is_end: bool = False
    """Whether the reader has the whole run and its end."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reader's cursor.

        Raises:
            ValueError: The text is not a cursor.
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
