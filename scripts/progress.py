"""Say which step of how many is running and for how long. Needs nothing but the standard library."""

from __future__ import annotations

import sys
import time
from pathlib import Path

__all__ = ["ROOT", "Progress"]

ROOT = Path(__file__).resolve().parent.parent


class Progress:
    """Number the steps of one run: ``[2/5] Installing Python packages ... done in 12 s``.

    Args:
        total: How many steps there are.
        done: How many of them have ended before.
    """

    def __init__(self, total: int, done: int = 0) -> None:
        self._total = total
        self._number = done
        self._label = ""
        self._started = 0.0
        self._live = sys.stdout.isatty()

    def start(self, title: str) -> None:
        """Announce the next step."""
        self._number += 1
        self._label = f"[{self._number}/{self._total}] {title} ... "
        self._started = time.monotonic()
        print(self._label, end="", flush=True)

    def tick(self, detail: str = "") -> None:
        """Show on a terminal that the step is alive; a log file gets no such lines."""
        if self._live:
            print(f"\r\033[K{self._label}{self.seconds():.0f} s{detail}", end="", flush=True)

    def end(self, outcome: str) -> None:
        """Close the step's line with its outcome."""
        if self._live:
            print(f"\r\033[K{self._label}", end="")
        print(outcome, flush=True)

    def seconds(self) -> float:
        """Return how long the current step has been running."""
        return time.monotonic() - self._started
