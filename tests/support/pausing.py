"""Stops processes where they are, and lets them go on: what a sleeping host, a debugger or a frozen container does."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["paused", "processes_of"]


def processes_of(pid: int) -> list[int]:
    """Return a process and all that come from it, parents first."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            # The name before it may hold anything, even a bracket.
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    found = [pid]
    for one in found:
        found.extend(child for child, parent in parents.items() if parent == one)
    return found


@contextmanager
def paused(*pids: int) -> Generator[None]:
    """Stop processes and all that come from them; they go on at the end."""
    stopped: list[int] = []
    try:
        for pid in pids:
            # A parent that is stopped makes no further ones.
            for one in processes_of(pid):
                with suppress(ProcessLookupError):
                    os.kill(one, signal.SIGSTOP)
                    stopped.append(one)
        yield
    finally:
        for one in reversed(stopped):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGCONT)
