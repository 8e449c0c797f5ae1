"""Notices that this process stood still: it was stopped, its machine was asleep, or something held its event loop."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

__all__ = ["Heartbeat"]

BEATS = 5
"""Beats in a lease."""
LONGEST_GAP = 0.6
"""The longest time between two beats, as a share of the lease, after which the lease is still taken to hold."""


class Heartbeat:
    """A beat of the event loop, by the monotonic clock.

    Args:
        lease: Seconds after which others take this process for dead.
        on_gap: Called when it stood still for a good part of that, before any task goes on.
    """

    def __init__(self, lease: float, on_gap: Callable[[], None]) -> None:
        self._interval = lease / BEATS
        self._longest = lease * LONGEST_GAP
        self._on_gap = on_gap
        self._beat_at = math.inf
        self._awake_since = -math.inf
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to beat. A second call does nothing."""
        if self._timer is None:
            self._beat_at = time.monotonic()
            self._wait()

    def check(self) -> None:
        """Notice a gap that has just ended, in code that may run in the same turn of the loop as the gap."""
        now = time.monotonic()
        if now - self._beat_at > self._longest:
            self._beat_at = self._awake_since = now
            self._on_gap()

    @property
    def seconds_awake(self) -> float:
        """Seconds since the last gap ended; infinite when there was none."""
        self.check()
        return time.monotonic() - self._awake_since

    def _wait(self) -> None:
        # No task: the loop calls its timers before it goes on with any task that data has woken after the gap.
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._beat)

    def _beat(self) -> None:
        self._wait()
        self.check()
        self._beat_at = time.monotonic()

    def close(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
