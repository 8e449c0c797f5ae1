"""A turn: the whole state of an answer in the making, without I/O, event loop or clock.

A turn returns an ask (`usechat.answers.loop.asks`) for the next action. The driver executes the ask, does all the
waiting and feeds the result to the turn. The turn holds the parts to show. Modelled on h11's ``Connection``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

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
        """The parts to show next, in order. `take` empties the list."""
        self._script: Script[None] | None = None

    @abstractmethod
    def script(self) -> Script[None]:
        """Make the answer from its beginning to its end. Called once."""

    @property
    def timeout(self) -> Timeout | None:
        """Return the caller's time limits; None when there are none."""
        return None

    @abstractmethod
    def outcome(self) -> Outcome:
        """Return how far the answer has come."""

    def late_parts(self) -> list[Part]:
        """Remove and return the parts that came after the answer was stopped. Called when nothing runs any more."""
        return []

    @property
    def unbegun(self) -> Mapping[str, str]:
        """The model's words for the calls that the end of the answer kept from beginning, by call id."""
        return {}

    def begin(self) -> Ask | None:
        """Return the first ask; None when there is none."""
        self._script = self.script()
        return next(self._script, None)

    def go_on(self, result: object = None) -> Ask | None:
        """Feed the result of the last ask. Return the next ask, or None at the end."""
        assert self._script is not None
        try:
            return self._script.send(result)
        except StopIteration:
            return None

    def fail(self, error: Exception) -> Ask | None:
        """Feed the error of the last ask. Return the next ask, or None at the end.

        Raises:
            Exception: The error, when the turn does not handle it.
        """
        assert self._script is not None
        try:
            return self._script.throw(error)
        except StopIteration:
            return None

    def take(self) -> list[Part]:
        """Remove and return the parts to show now."""
        parts, self.parts = self.parts, []
        return parts

    def end(self) -> None:
        """End the turn: nothing more is made."""
        if self._script is not None:
            self._script.close()
