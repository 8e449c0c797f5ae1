"""`make turns`: saved turns of one worker and of two, on PostgreSQL and Redis.

Each turn is the first message of a new chat, answered with 50 deltas as fast as they are read: the chat is looked up,
the turn begun and ended in PostgreSQL, and the answer's frames go to Redis. The servers wait beside each other and are
asked in turn, each with a database of its own. Printed are answers a second, and the CPU time that a turn takes of the
workers, PostgreSQL, Redis and the load (the clients and the stand-in for Anthropic), which all run on the same cores.
Where others use some of those meanwhile, answers a second say nothing, and CPU time is larger than it would be.
It takes two minutes; the exit status is 1 where an answer did not come whole.

With ``--cores-per-worker 0.4`` the kernel holds each worker to that much of a core (as root, on Linux). The stores and
the load then have what they need, as on a larger machine, and answers a second say what a second worker brings.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from benchmarks.bodies import body_file
from benchmarks.machine import busy_seconds, cpu_seconds, describe, held_to
from benchmarks.measure import Figure, take_sample
from benchmarks.programs import BenchmarkError, LoadPlan, upstream
from benchmarks.report import show
from benchmarks.results import revision
from benchmarks.revisions import checked_out
from benchmarks.servers import Server, running
from benchmarks.stores import Stores, shared_stores
from benchmarks.targets import OURS
from scripts.progress import ROOT

WORKERS: Final = (1, 2)
PLAN: Final = LoadPlan(answer="bench:50:0", streams=32, requests=600)
SETTINGS: Final = {"USECHAT_MAX_ANSWERS": "0", "USECHAT_LOG_LEVEL": "warning"}
SETTLE_SECONDS: Final = 0.2
"""How long the stores may go on working after the last answer."""
LOAD: Final = "load"
PARTS: Final = ("workers", "PostgreSQL", "Redis", LOAD)
HEADS: Final = ("", "answers a second", *(f"{part}, CPU ms a turn" for part in PARTS), "cores in use", "by others")


@dataclass
class Row:
    """A server, and what was measured of it."""

    name: str
    server: Server
    stores: Stores
    rate: Figure = field(default_factory=lambda: Figure("answers/s"))
    cpu: dict[str, Figure] = field(default_factory=lambda: {part: Figure("ms/turn") for part in PARTS})
    cores: Figure = field(default_factory=lambda: Figure("cores"))
    others: Figure = field(default_factory=lambda: Figure("cores"))

    def look(self) -> dict[str, float]:
        """Return the CPU seconds that each part has taken so far."""
        pids = (self.server.pid, self.stores.postgres.pid, self.stores.redis.pid)
        spent = dict(zip(PARTS, map(cpu_seconds, pids), strict=False))
        # The rest of all that this process has started: the other servers have nothing to do meanwhile.
        return {**spent, LOAD: cpu_seconds(os.getpid()) - sum(spent.values())}

    def sample(self) -> None:
        """Have one sample's turns answered."""
        before, busy = self.look(), busy_seconds()
        load = take_sample(self.server, body_file("ui", PLAN.answer), PLAN).load
        time.sleep(SETTLE_SECONDS)
        spent = {part: seconds - before[part] for part, seconds in self.look().items()}
        self.rate.values.append(load.whole / load.wall_s)
        own = sum(spent.values())
        self.cores.values.append(own / load.wall_s)
        self.others.values.append(max(busy_seconds() - busy - own, 0.0) / (load.wall_s + SETTLE_SECONDS))
        for part, seconds in spent.items():
            self.cpu[part].values.append(seconds * 1000 / load.whole)

    def cells(self) -> list[str]:
        """Return its cells of the table."""
        return [self.name, *map(show, (self.rate, *self.cpu.values(), self.cores, self.others))]


def start(stack: ExitStack, sources: Sequence[Path], cores_per_worker: float | None) -> list[Row]:
    """Start the servers of each checkout, and have them answer until they have loaded all."""
    upstream_port = stack.enter_context(upstream())
    stores = stack.enter_context(shared_stores())
    rows: list[Row] = []
    for source in sources:
        for workers in WORKERS:
            name = f"{revision(source)}, {workers} worker{'s' * (workers > 1)}"
            target = replace(OURS, variables={**OURS.variables, **SETTINGS, **stores.variables(len(rows))})
            server = running(
                target,
                upstream_port,
                name=f"turns-{len(rows)}",
                source=source,
                arguments=("--workers", str(workers)),
                is_pinned=False,
            )
            row = Row(name, stack.enter_context(server), stores)
            take_sample(row.server, body_file("ui", PLAN.answer), PLAN)
            if cores_per_worker:
                stack.enter_context(held_to(workers * cores_per_worker, row.server.pid))
            rows.append(row)
    return rows


def measure(
    sources: Sequence[Path], rounds: int, cores_per_worker: float | None, say: Callable[[str], None]
) -> list[Row]:
    """Measure the servers of each checkout in turn, some rounds long."""
    with ExitStack() as stack:
        rows = start(stack, sources, cores_per_worker)
        for number in range(1, rounds + 1):
            for row in rows:
                row.sample()
                say(f"round {number} of {rounds}, {row.name}: {row.rate.values[-1]:.0f} answers a second")
        return rows


def report(rows: Sequence[Row]) -> str:
    """Return the table, how many times the answers of one worker two give, and how many the machine's cores hold."""
    cells = (HEADS, ["---"] * len(HEADS), *(row.cells() for row in rows))
    lines = [f"| {' | '.join(each)} |" for each in cells]
    cores = int(describe()["cores"])
    for one, two in zip(rows[::2], rows[1::2], strict=True):
        ratio = Figure("times", [more / less for less, more in zip(one.rate.values, two.rate.values, strict=True)])
        everything = sum(figure.median for figure in two.cpu.values())
        most = f"{cores} cores hold {cores * 1000 / everything:.0f} turns of {everything:.2f} ms (all parts) a second"
        lines.append(f"\n{two.name}: {show(ratio)} times the answers of one worker; {most}.")
    return "\n".join(lines)


def main() -> int:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.turns", description=__doc__)
    parser.add_argument("--rounds", type=int, default=8, help="samples of each server")
    parser.add_argument("--cores-per-worker", type=float, metavar="CORES", help="hold each worker to a part of a core")
    parser.add_argument("--against", metavar="REVISION", help="measure another revision of usechat beside this one")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        others = [stack.enter_context(checked_out(arguments.against))] if arguments.against else []
        rows = measure(
            [*others, ROOT], arguments.rounds, arguments.cores_per_worker, lambda text: print(f"  {text}", flush=True)
        )
    print(f"\n{json.dumps(describe())}\nMedians, with the smallest and the largest value.\n\n{report(rows)}")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (BenchmarkError, OSError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
