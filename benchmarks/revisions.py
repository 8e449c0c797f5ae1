"""Our server in two revisions, side by side: whether a change made it lighter."""

from __future__ import annotations

import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks.bench import Effort, text_case
from benchmarks.bodies import body_file, long_body_file
from benchmarks.measure import Case, Figure, interleave, warm_up
from benchmarks.programs import CACHE, BenchmarkError, LoadPlan, upstream
from benchmarks.results import revision
from benchmarks.servers import Server, running
from benchmarks.targets import OURS
from scripts.progress import ROOT, Progress

__all__ = ["checked_out", "compare_with"]

_PLANS = {
    "burst, text": LoadPlan(answer="bench:500:0", streams=16, requests=20_000),
    "burst, thinking": LoadPlan(answer="bench:500:0:r", streams=16, requests=20_000),
    "burst, tool input": LoadPlan(answer="bench:500:0:j", streams=16, requests=20_000),
    "burst, 50,000 deltas": LoadPlan(answer="bench:50000:0", streams=2, requests=4),
    "paced": LoadPlan(answer="bench:100:20000", streams=40, requests=40, ramp_ms=20),
}
_REQUEST = LoadPlan(answer="bench:1:0", streams=4, requests=20_000)
_WARM_UP = LoadPlan(answer="bench:500:0", streams=8, requests=24)


def compare_with(name: str, effort: Effort) -> None:
    """Measure this checkout and the revision of that name in turn, and print both.

    Raises:
        BenchmarkError: There is no such revision, or one of the servers does not answer.
    """
    progress = Progress(len(_PLANS) + 3)
    with checked_out(name) as folder, ExitStack() as stack:
        upstream_port = stack.enter_context(upstream())
        sides = {f"{name} ({revision(folder)})": folder, f"this checkout ({revision()})": ROOT}
        servers = [
            stack.enter_context(running(OURS, upstream_port, name=side, source=source))
            for side, source in sides.items()
        ]
        for server in servers:
            warm_up(server, body_file("ui", _WARM_UP.answer), _WARM_UP, effort.warm_up_s)
        for title, cases in _questions(servers):
            progress.start(title)
            figures, problems = interleave(
                cases,
                rounds=effort.rounds,
                cpu_budget_s=effort.cpu_budget_s,
                announce=lambda text: progress.tick(f", {text}"),
            )
            progress.end(_sentence(figures, problems))


def _questions(servers: list[Server]) -> Generator[tuple[str, list[Case]]]:
    for title, plan in _PLANS.items():
        yield title, [text_case(server, plan, lambda sample: sample.us_per_delta, "µs/delta") for server in servers]
    v4 = _PLANS["burst, text"]
    cases = [text_case(server, v4, lambda sample: sample.us_per_delta, "µs/delta") for server in servers]
    yield "burst, AI SDK 4", [replace(case, body=body_file("v4", v4.answer)) for case in cases]
    cases = [text_case(server, _REQUEST, lambda sample: sample.ms_per_request, "ms/request") for server in servers]
    yield "request", cases
    yield "request after 50 messages", [replace(case, body=long_body_file(_REQUEST.answer)) for case in cases]


def _sentence(figures: dict[str, Figure], problems: dict[str, str]) -> str:
    if problems:
        return "; ".join(f"{row}: {reason}" for row, reason in problems.items())
    before, after = figures.values()
    spreads = [f"{row} {one.median:.2f} ({one.low:.2f} to {one.high:.2f})" for row, one in figures.items()]
    change = (after.median / before.median - 1) * 100
    return f"{', '.join(spreads)} {before.unit}: {change:+.1f} %"


@contextmanager
def checked_out(name: str) -> Generator[Path]:
    """The files of a revision, in a worktree of their own, whose folder has the name of its commit.

    Raises:
        BenchmarkError: There is no such revision.
    """
    found = _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}")
    if found.returncode != 0:
        raise BenchmarkError(f"there is no revision {name!r} here")
    folder = CACHE / "revisions" / found.stdout.strip()[:12]
    if not folder.exists():
        added = _git("worktree", "add", "--detach", "--quiet", str(folder), found.stdout.strip())
        if added.returncode != 0:
            raise BenchmarkError(f"the revision cannot be checked out: {added.stderr.strip()}")
    try:
        yield folder
    finally:
        _git("worktree", "remove", "--force", str(folder))


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
