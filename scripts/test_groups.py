"""`make test`: every group of checks, several at a time, whatever becomes of the others, and a table at the end.

The Makefile says what a group runs and needs; this module only runs several side by side and counts.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from scripts.progress import ROOT
from scripts.steps import prepare

_CACHE = ROOT / ".cache"
# The longest begin first, so that none runs alone at the end.
_GROUPS = (
    "lint",
    "type",
    "integration",
    "e2e",
    "unit",
    "clients",
    "conformance",
    "client-pages",
    "deploy-test",
    "chaos",
)
# Next writes its types and its builds into one folder: of these, one runs at a time.
_WRITE_TO_WEB = {"type", "e2e"}

_TIME_LIMIT = 1200
_END_SECONDS = 30
_LOOK_SECONDS = 0.2
_SECONDS_BETWEEN_LINES = 30.0
_LONGEST_LINE = 118
_TAIL_LINES = 300
_PERCENT = re.compile(rb"\[ *(\d+)%\]")


@dataclass
class Group:
    """A group of checks that runs, or has run."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float = field(default_factory=time.monotonic)
    seconds: float = 0
    passed: int = 0
    failed: int = 0
    skipped: list[str] = field(default_factory=list[str])
    """Each skipped test with its reason."""

    @classmethod
    def start(cls, name: str) -> Group:
        """Start `make NAME`, with its output in a log."""
        _report(name).unlink(missing_ok=True)
        log = _CACHE / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        # The chaos of `make chaos` is longer than what fits into a run of everything. Its tests wait most of the time.
        # Where groups run side by side, a second process of the unit tests only imports once more what the first has.
        command = ["make", "--no-print-directory", name, "LONG=--numprocesses=3", "WORKERS=0"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        return cls(name, process, log)

    def has_ended(self) -> bool:
        """Return whether it has ended, and end it if it hangs."""
        if self.process.poll() is None and time.monotonic() - self.started > _TIME_LIMIT:
            self.interrupt()
            self.kill()
            with self.log.open("a") as output:
                output.write(f"\nEnded: it ran for more than {_TIME_LIMIT} s.\n")
        return self.process.poll() is not None

    def interrupt(self) -> None:
        """Have it end its tests, with the servers and databases that they have started in sessions of their own."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it, if it does not end by itself."""
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def count(self) -> None:
        """Read what became of its tests. One that fails without a failed test to show for it counts as one failure."""
        self.seconds = time.monotonic() - self.started
        code, report = self.process.returncode, _report(self.name)
        if not report.exists():
            self.passed, self.failed = int(code == 0), int(code != 0)
            return
        cases = [*ET.parse(report).getroot().iter("testcase")]  # noqa: S314 - written by pytest a moment ago
        failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
        reasons = [(case.get("name"), case.find("skipped")) for case in cases]
        self.skipped = [f"{name}: {why.get('message')}" for name, why in reasons if why is not None]
        self.passed = len(cases) - failed - len(self.skipped)
        self.failed = failed or int(code != 0)

    def progress(self) -> str:
        """Return how far pytest says it is."""
        with self.log.open("rb") as written:
            written.seek(max(0, self.log.stat().st_size - 400))
            found = _PERCENT.findall(written.read())
        percent = f", {found[-1].decode()}%" if found else ""
        return f"{self.name} {time.monotonic() - self.started:.0f} s{percent}"

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {len(self.skipped)} skipped in {self.seconds:.0f} s"


def _report(name: str) -> Path:
    return _CACHE / "reports" / f"{name}.xml"


def _run_all() -> dict[str, Group]:
    """Run every group; show those that run on one line, all the time on a terminal and twice a minute in a log."""
    waiting = [*_GROUPS]
    running: list[Group] = []
    ended: dict[str, Group] = {}
    shown = time.monotonic()
    try:
        while waiting or running:
            running += _start_some(waiting, running)
            for group in [group for group in running if group.has_ended()]:
                running.remove(group)
                group.count()
                ended[group.name] = group
                _clear_line()
                print(f"[{len(ended)}/{len(_GROUPS)}]", *_describe(group), flush=True)
            if sys.stdout.isatty() or time.monotonic() - shown > _SECONDS_BETWEEN_LINES:
                shown = time.monotonic()
                _clear_line()
                line = f"      running: {'; '.join(group.progress() for group in running)}"[:_LONGEST_LINE]
                print(line, end="" if sys.stdout.isatty() else "\n", flush=True)
            time.sleep(_LOOK_SECONDS)
    finally:
        for group in running:
            group.interrupt()
        for group in running:
            group.kill()
        _clear_line()
    return ended


def _start_some(waiting: list[str], running: list[Group]) -> Iterator[Group]:
    """Start the first groups that may run now, one more than there are processors: tests often wait for something."""
    free = max(2, os.cpu_count() or 1) + 1 - len(running)
    names = {group.name for group in running}
    for name in [*waiting]:
        if free > 0 and not (name in _WRITE_TO_WEB and names & _WRITE_TO_WEB):
            waiting.remove(name)
            names.add(name)
            free -= 1
            yield Group.start(name)


def _clear_line() -> None:
    if sys.stdout.isatty():
        print("\r\033[K", end="")


def _describe(group: Group) -> Iterator[str]:
    yield f"{group.name}: {'FAILED: ' if group.failed else ''}{group}"
    yield from (f"\n    skipped: {skipped}" for skipped in group.skipped)
    if group.failed:
        lines = group.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
        yield "\n" + "\n".join([*lines, f"The whole log: {group.log}"])


def _summarise(ended: dict[str, Group]) -> int:
    """Print one line a group, the names of those that failed, and a total; return the exit code."""
    groups = [ended[name] for name in _GROUPS]
    print()
    for group in groups:
        print(f"{group.name:12} {group}")
    failing = [group.name for group in groups if group.failed]
    if failing:
        print(f"\nFailed: {', '.join(failing)}. One alone: make {failing[0]}")
    passed, failed = sum(group.passed for group in groups), sum(group.failed for group in groups)
    print(f"\n{passed} passed, {failed} failed, {sum(len(group.skipped) for group in groups)} skipped")
    return int(bool(failing))


def main() -> int:
    """Prepare the Makefile targets of the command line, then run all groups; one that lacks something says so."""
    os.chdir(ROOT)
    for name in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        os.environ.pop(name, None)
    # Who cancels a job sends this; groups then end as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    prepare(sys.argv[1:])
    return _summarise(_run_all())


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
