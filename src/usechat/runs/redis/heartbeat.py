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
        on_gap: Called when it stood still for a good part of that, before anything else is done.
    """

    def __init__(self, lease: float, on_gap: Callable[[], None]) -> None:
        self._interval = lease / BEATS
        self._longest = lease * LONGEST_GAP
        self._on_gap = on_gap
        self._beat_at = math.inf
        self._awake_since = -math.inf
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to beat. A second call does nothing."""
        if self._task is None:
            self._beat_at = time.monotonic()
            self._task = asyncio.create_task(self._beat_for_ever())

    def check(self) -> None:
        """Notice a gap that has just ended: whoever runs first after it calls this before it acts."""
        now = time.monotonic()
        if now - self._beat_at > self._longest:
            self._beat_at = self._awake_since = now
            self._on_gap()

    @property
    def seconds_awake(self) -> float:
        """Seconds since the last gap ended; infinite when there was none."""
        self.check()
        return time.monotonic() - self._awake_since

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            self.check()
            self._beat_at = time.monotonic()

    async def aclose(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
