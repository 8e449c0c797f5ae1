"""One measurement: a server under a known load, its own CPU time, and whether every answer arrived whole."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from benchmarks.machine import cpu_seconds
from benchmarks.programs import BenchmarkError, LoadPlan, LoadResult, run_load
from benchmarks.servers import Server

__all__ = ["Case", "Figure", "Sample", "calibrate", "interleave", "take_sample", "warm_up"]

_MOST_REQUESTS = 20_000
_SETTLE_SECONDS = 0.03
"""How long a server may go on working after its last byte has arrived."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A run of the load generator, with what it cost the server."""

    cpu_s: float
    load: LoadResult

    @property
    def us_per_delta(self) -> float:
        """The server's CPU time, in microseconds."""
        return self.cpu_s * 1e6 / max(1, self.load.deltas)

    @property
    def ms_per_request(self) -> float:
        """The server's CPU time, in milliseconds."""
        return self.cpu_s * 1e3 / max(1, self.load.whole)


Reading: TypeAlias = Callable[[Sample], float]
"""What of a sample is the figure."""


@dataclass
class Figure:
    """Several readings of the same thing."""

    unit: str
    values: list[float] = field(default_factory=list[float])

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The smallest."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The largest."""
        return max(self.values)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A server and what it is asked."""

    row: str
    """What its figure is filed under."""
    server: Server
    body: Path
    plan: LoadPlan
    """Its ``requests`` are the most that one sample may ask for."""
    reading: Reading
    unit: str


def take_sample(server: Server, body: Path, plan: LoadPlan) -> Sample:
    """Run the load once.

    Raises:
        BenchmarkError: An answer did not arrive, or not whole.
    """
    before = cpu_seconds(server.pid)
    load = run_load(server.port, server.path, body, plan)
    time.sleep(_SETTLE_SECONDS)
    spent = cpu_seconds(server.pid) - before
    if load.whole != load.requests:
        raise BenchmarkError(f"{load.whole} of {load.requests} answers arrived whole: {load.first_error}")
    return Sample(cpu_s=spent, load=load)


def calibrate(case: Case, cpu_budget_s: float) -> LoadPlan:
    """The plan with as many requests as cost the server about ``cpu_budget_s``."""
    plan = case.plan
    first = take_sample(case.server, case.body, replace(plan, requests=plan.streams))
    affordable = int(cpu_budget_s / max(first.cpu_s / first.load.requests, 1e-6))
    return replace(plan, requests=max(plan.streams, min(affordable, plan.requests, _MOST_REQUESTS)))


def warm_up(server: Server, body: Path, plan: LoadPlan, seconds: float) -> None:
    """Answer until a compiler that learns while it runs has learnt."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        take_sample(server, body, plan)


def interleave(
    cases: Sequence[Case],
    *,
    rounds: int,
    cpu_budget_s: float,
    announce: Callable[[str], None],
) -> tuple[dict[str, Figure], dict[str, str]]:
    """Measure all cases in turn, ``rounds`` times over, so that what disturbs the machine disturbs all alike.

    Returns:
        The figures, and for cases that failed why, both by row.
    """
    plans: dict[str, LoadPlan] = {}
    figures: dict[str, Figure] = {}
    failures: dict[str, str] = {}
    for number in range(rounds):
        for case in cases:
            if case.row in failures:
                continue
            try:
                if case.row not in plans:
                    plans[case.row] = calibrate(case, cpu_budget_s)
                sample = take_sample(case.server, case.body, plans[case.row])
            except BenchmarkError as error:
                failures[case.row] = str(error)
                figures.pop(case.row, None)
                announce(f"{case.row}: {error}")
                continue
            figure = figures.setdefault(case.row, Figure(case.unit))
            figure.values.append(case.reading(sample))
            announce(f"{case.row}: {figure.values[-1]:.2f} {case.unit} (round {number + 1} of {rounds})")
    return figures, failures
