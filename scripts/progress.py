"""Says which step of how many is running and for how long, and keeps what its tools print in a log.

Knows no step by name; needs nothing but the standard library, because it runs before anything is installed.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["ROOT", "Command", "Progress", "StepFailedError", "run_logged", "tail"]

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / ".cache" / "logs"

_TAIL_LINES = 300
_TICK_SECONDS = 0.2
_PERCENT = re.compile(rb"\[ *(\d+)%\]")


class StepFailedError(Exception):
    """A step could not be carried out; the text is for the person at the terminal."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """What to start, where, and with which variables on top of this process's own."""

    arguments: Sequence[str | Path]
    folder: Path = ROOT
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    time_limit: float = 1200
    """Seconds after which the command counts as hung and is ended."""

    def environment(self) -> dict[str, str]:
        """This process's variables with the command's own on top."""
        return {**os.environ, **self.variables}


class Progress:
    """Numbers the steps of one run: ``[2/5] Installing Python packages ... done in 12 s``."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0
        self._label = ""
        self._started = 0.0
        self._live = sys.stdout.isatty()

    def start(self, title: str) -> None:
        """Announce the next step."""
        self._number += 1
        self._label = f"[{self._number}/{self._total}] {title} ... "
        self._started = time.monotonic()
        print(self._label, end="", flush=True)

    def tick(self, detail: str) -> None:
        """Show on a terminal that the step is alive; a log file gets no such lines."""
        if self._live:
            print(f"\r\033[K{self._label}{self.seconds():.0f} s{detail}", end="", flush=True)

    def end(self, outcome: str) -> None:
        """Close the step's line with what came of it."""
        if self._live:
            print(f"\r\033[K{self._label}", end="")
        print(outcome, flush=True)

    def seconds(self) -> float:
        """How long the current step has been running."""
        return time.monotonic() - self._started


def run_logged(command: Command, log: Path, tick: Callable[[str], None]) -> int:
    """Run a command with its output appended to ``log``; return its exit code, 124 when it ran into its time limit.

    Args:
        command: What to run.
        log: Where its output goes.
        tick: Called all the while with how far it is; what it raises ends the command.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {' '.join(map(str, command.arguments))}\n".encode())
        output.flush()
        process = subprocess.Popen(
            command.arguments,
            cwd=command.folder,
            env=command.environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return _wait(process, command.time_limit, log, tick)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def tail(log: Path) -> str:
    """The end of a log, enough to see what went wrong."""
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_TAIL_LINES:])


def _wait(process: subprocess.Popen[bytes], time_limit: float, log: Path, tick: Callable[[str], None]) -> int:
    started = time.monotonic()
    while time.monotonic() - started < time_limit:
        try:
            return process.wait(timeout=_TICK_SECONDS)
        except subprocess.TimeoutExpired:
            tick(_percent(log))
    with log.open("a") as output:
        output.write(f"\nEnded: it ran for more than {time_limit:.0f} s.\n")
    return 124


def _percent(log: Path) -> str:
    """How far pytest says it is."""
    with log.open("rb") as written:
        written.seek(max(0, log.stat().st_size - 400))
        found = _PERCENT.findall(written.read())
    return f", {found[-1].decode()}%" if found else ""
