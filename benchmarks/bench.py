"""What the phases share: the servers that run meanwhile, how much to measure, where figures go."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace

from benchmarks.bodies import body_file
from benchmarks.measure import Case, Reading, interleave, warm_up
from benchmarks.programs import BenchmarkError, LoadPlan
from benchmarks.results import Results
from benchmarks.servers import Server, running
from benchmarks.targets import Target

__all__ = ["FULL", "QUICK", "Bench", "Effort", "text_case"]

_WARM_UP = LoadPlan(answer="bench:500:0", streams=8, requests=24)


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much to measure."""

    rounds: int
    cpu_budget_s: float
    """CPU time of the server in one sample."""
    warm_up_s: float


FULL = Effort(rounds=5, cpu_budget_s=0.6, warm_up_s=2.5)
QUICK = Effort(rounds=3, cpu_budget_s=0.3, warm_up_s=0.5)


@dataclass
class Bench:
    """One run of the suite."""

    targets: Sequence[Target]
    effort: Effort
    upstream_port: int
    results: Results
    announce: Callable[[str], None]
    stack: ExitStack
    """Ends the servers."""
    servers: dict[str, Server] = field(default_factory=dict[str, Server])
    missing: dict[str, str] = field(default_factory=dict[str, str])
    """Servers that did not start or answer, and why."""

    def server(self, target: Target) -> Server | None:
        """The target, started and warmed up; None when that failed."""
        if target.name not in self.servers and target.name not in self.missing:
            self.announce(f"starting {target.name}")
            try:
                started = self.stack.enter_context(running(target, self.upstream_port))
                warm_up(started, body_file(target.client, _WARM_UP.answer), _WARM_UP, self.effort.warm_up_s)
                self.servers[target.name] = started
            except BenchmarkError as error:
                self.missing[target.name] = str(error)
        return self.servers.get(target.name)

    def started(self) -> list[Server]:
        """All targets that run."""
        return [server for server in map(self.server, self.targets) if server is not None]

    @contextmanager
    def fresh(self, target: Target, *arguments: str, is_pinned: bool = True) -> Generator[Server]:
        """A server of its own, for as long as the block lasts."""
        with running(target, self.upstream_port, arguments=arguments, is_pinned=is_pinned) as server:
            yield server

    def compare(self, phase: str, cases: Sequence[Case], *, rounds: int | None = None) -> None:
        """Measure cases in turn, and file what came of it."""
        figures, problems = interleave(
            cases,
            rounds=rounds or self.effort.rounds,
            cpu_budget_s=self.effort.cpu_budget_s,
            announce=self.announce,
        )
        self.results.add(phase, figures, {**problems, **self.missing})


def text_case(server: Server, plan: LoadPlan, reading: Reading, unit: str, *, row: str | None = None) -> Case:
    """A short conversation with a server."""
    body = body_file(server.target.client, plan.answer)
    return Case(row=row or server.name, server=server, body=body, plan=replace(plan), reading=reading, unit=unit)
