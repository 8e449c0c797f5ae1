"""Runs several jobs at once and says how far each is, without mixing up what they print.

Knows nothing of what the jobs do.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

__all__ = ["Board", "Job", "run_side_by_side"]

_SECONDS_BETWEEN_LINES = 30.0
_LONGEST_LINE = 118


class _StoppedError(Exception):
    """Whoever started the jobs wants no more of them."""


class Board:
    """What a terminal shows of jobs that run at the same time: a line for each that has ended, one for all others.

    On a terminal the last line moves; a log file gets such a line twice a minute.

    Args:
        total: How many jobs there are.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._ended = 0
        self._started: dict[str, float] = {}
        self._details: dict[str, str] = {}
        self._last_line = time.monotonic()
        self._live = sys.stdout.isatty()
        self._stopped = False
        self._lock = threading.Lock()

    def start(self, name: str) -> None:
        """Note that a job has begun."""
        with self._lock:
            self._started[name] = time.monotonic()
            self._details[name] = ""

    def tick(self, name: str, detail: str) -> None:
        """Show that a job is alive, and how far it is.

        Raises:
            Exception: It is to end, because all are.
        """
        with self._lock:
            if self._stopped:
                raise _StoppedError
            self._details[name] = detail
            if self._live:
                print(f"\r\033[K{self._line()[:_LONGEST_LINE]}", end="", flush=True)
            elif time.monotonic() - self._last_line > _SECONDS_BETWEEN_LINES:
                self._last_line = time.monotonic()
                print(f"      {self._line()}", flush=True)

    def end(self, name: str, outcome: str) -> None:
        """Close a job with what came of it, in one line or many."""
        with self._lock:
            self._ended += 1
            del self._started[name], self._details[name]
            cleared = "\r\033[K" if self._live else ""
            print(f"{cleared}[{self._ended}/{self._total}] {name}: {outcome}", flush=True)

    def seconds(self, name: str) -> float:
        """How long a job has been running."""
        return time.monotonic() - self._started[name]

    def stop(self) -> None:
        """Have all jobs end at their next tick."""
        with self._lock:
            self._stopped = True

    def _line(self) -> str:
        running = (f"{name} {self.seconds(name):.0f} s{detail}" for name, detail in self._details.items())
        return f"running: {'; '.join(running)}"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One thing to do beside others."""

    name: str
    work: Callable[[], None]
    writes_to: str = ""
    """What only one job at a time may write to."""


def run_side_by_side(jobs: Sequence[Job], board: Board, *, at_once: int) -> None:
    """Do all jobs, so many at the same time, the first ones first; interrupted, end them all.

    Raises:
        KeyboardInterrupt: As in whoever called.
    """
    locks = {job.writes_to: threading.Lock() for job in jobs}

    def do(job: Job) -> None:
        with locks[job.writes_to] if job.writes_to else nullcontext():
            job.work()

    with ThreadPoolExecutor(at_once) as pool:
        running = [pool.submit(do, job) for job in jobs]
        try:
            for future in running:
                future.result()
        except BaseException:
            board.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
