"""A turn: all that an answer is while it is made, as one object without I/O, event loop or clock.

It is asked what comes next and answers with a value (`usechat.answers.loop.asks`); it is told what came of that, and
holds the parts that are to be shown. Modelled on h11's ``Connection``. Whoever drives it does all the waiting.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from usechat.answers.callbacks import Outcome
from usechat.answers.loop.asks import Ask, Script
from usechat.models.base import Timeout
from usechat.parts import Part

__all__ = ["Turn"]


class Turn(ABC):
    """One answer in the making."""

    __slots__ = ("_script", "parts")

    def __init__(self) -> None:
        self.parts: list[Part] = []
        """What is to be shown next, in order; `take` empties it."""
        self._script: Script[None] | None = None

    @abstractmethod
    def script(self) -> Script[None]:
        """Make the answer from its beginning to its end. Called once."""

    @property
    def timeout(self) -> Timeout | None:
        """Return how long the answer may take; None where nobody has said."""
        return None

    @abstractmethod
    def outcome(self) -> Outcome:
        """Return how far the answer has come."""

    def begin(self) -> Ask | None:
        """Return what is to be done first; None when there is nothing."""
        self._script = self.script()
        return next(self._script, None)

    def go_on(self, answer: object = None) -> Ask | None:
        """Take what came of the last ask; return what is to be done next, or None at the end."""
        assert self._script is not None
        try:
            return self._script.send(answer)
        except StopIteration:
            return None

    def fail(self, error: Exception) -> Ask | None:
        """Take that the last ask failed; return what is to be done next, or None at the end.

        Raises:
            Exception: The error, where the turn knows no way on.
        """
        assert self._script is not None
        try:
            return self._script.throw(error)
        except StopIteration:
            return None

    def take(self) -> list[Part]:
        """Return the parts that are to be shown now."""
        parts, self.parts = self.parts, []
        return parts

    def end(self) -> None:
        """Nothing more is made."""
        if self._script is not None:
            self._script.close()
