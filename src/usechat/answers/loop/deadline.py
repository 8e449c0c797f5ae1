"""Ends waits of the driver that take too long. Knows no turn and no model."""

from __future__ import annotations

import asyncio
import math

__all__ = ["Deadline"]


class Deadline:
    """Cancels the current task when one of its waits takes too long.

    One timer serves all waits of an answer. A wait whose deadline comes after the timer's only notes it; a timer that
    rings too early is set anew. `asyncio.timeout_at`, which makes a timer for each wait, takes a sixth of the time of a
    delta that comes alone.
    """

    __slots__ = ("_cancelling", "_has_rung", "_loop", "_rings_at", "_task", "_timer", "_until")

    def __init__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        self._until = math.inf
        self._has_rung = False
        self._cancelling = 0

    def begin(self, until: float) -> None:
        """Begin a wait.

        Args:
            until: When it has taken too long, on the event loop's clock; infinity for no limit.
        """
        self._until = until
        self._cancelling = self._task.cancelling()
        if until < self._rings_at:
            self._set_timer(until)

    def has_cancelled(self) -> bool:
        """Return whether the task was cancelled because the wait took too long, and for no other reason.

        Call this when the wait was cancelled.
        """
        if not self._has_rung:
            return False
        self._has_rung = False
        return self._task.uncancel() <= self._cancelling

    def end(self) -> None:
        """End a wait."""
        self._until = math.inf
        if self._has_rung:
            # The application has swallowed the cancellation.
            self._has_rung = False
            self._task.uncancel()

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self, when: float) -> None:
        self.close()
        self._rings_at = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self._rings_at = math.inf
        if math.isinf(self._until):
            return
        if self._loop.time() < self._until:
            self._set_timer(self._until)
        else:
            self._has_rung = True
            self._task.cancel()
