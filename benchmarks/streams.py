"""`make streams`: ten thousand answers open at once on one machine.

One worker keeps chats in SQLite; several share PostgreSQL and Redis. Several clients, each a process of its own, open
their share of the streams one after the other, and read every answer to its end. All answers are longer than it takes
to open them, so there is a time in which all are open. It takes some eight minutes, ends by itself, and prints what
each part took of memory and CPU; the exit status is 1 where an answer did not come whole, or where never all were open.

What the system keeps for sockets is in no process's memory: two connections for each stream.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any, Final

from benchmarks.bodies import body_file
from benchmarks.machine import cpu_seconds, describe, proportional_bytes
from benchmarks.measure import take_sample
from benchmarks.programs import BenchmarkError, LoadPlan, LoadResult, read_result, start_load, upstream
from benchmarks.results import revision
from benchmarks.servers import running
from benchmarks.stores import shared_stores
from benchmarks.targets import OURS

LOOK_SECONDS: Final = 2.0
ROOM_SECONDS: Final = 60.0
"""How much longer an answer lasts than it takes to open all."""
PATIENCE_SECONDS: Final = 300
FILES: Final = 60_000
CLIENT: Final = "clients"
HEADS: Final = ("part", "MiB before", "MiB at most", "KiB a stream", "CPU, ms a stream", "cores while all are open")
SETTINGS: Final = {"USECHAT_MAX_ANSWERS": "0", "USECHAT_LOG_LEVEL": "warning"}


@dataclass(frozen=True)
class Look:
    """What there was at one moment."""

    time: float
    streams: int
    """Connections of the clients, also those that wait for their answer to begin."""
    cpu: Mapping[str, float]
    memory: Mapping[str, int]


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    streams: int
    workers: int
    clients: int
    pace: float
    ramp: float

    @property
    def deltas(self) -> int:
        """Of an answer."""
        return int((self.ramp + ROOM_SECONDS) / self.pace) + 1

    @property
    def plan(self) -> LoadPlan:
        """One client's."""
        share = self.streams // self.clients
        return LoadPlan(
            answer=f"bench:{self.deltas}:{int(self.pace * 1e6)}",
            streams=share,
            requests=share,
            ramp_ms=int(self.ramp * 1000),
            timeout_s=int(self.ramp + self.deltas * self.pace) + PATIENCE_SECONDS,
        )


def count_sockets(pid: int) -> int:
    """Return how many connections a process has open; none when it has just ended."""
    found = 0
    with suppress(FileNotFoundError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208 - ten thousand paths are to be made in no time
            with suppress(FileNotFoundError):
                found += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")  # noqa: PTH115
    return found


def look(parts: Mapping[str, int], clients: Sequence[int] = ()) -> Look:
    """Return what there is now."""
    cpu = {part: cpu_seconds(pid) for part, pid in parts.items()}
    cpu[CLIENT] = sum(map(cpu_seconds, clients))
    memory = {part: proportional_bytes(pid) for part, pid in parts.items()}
    return Look(time.monotonic(), sum(map(count_sockets, clients)), cpu, memory)


def open_all(
    wanted: Wanted, port: int, parts: Mapping[str, int], say: Callable[[str], None]
) -> tuple[list[Look], list[LoadResult]]:
    """Let the clients read their answers; return what there was meanwhile, and what they had."""
    body = body_file("ui", wanted.plan.answer)
    with ExitStack() as stack:
        clients: list[Any] = []
        for _ in range(wanted.clients):
            clients.append(stack.enter_context(start_load(port, "/api/chat", body, wanted.plan)))
            # Each names its chats by the microsecond in which it began: none may begin where another still counts.
            time.sleep(1)
        pids = [client.pid for client in clients]
        looks: list[Look] = []
        while all(client.poll() is None for client in clients):
            looks.append(look(parts, pids))
            say(f"{looks[-1].streams} connections")
            time.sleep(LOOK_SECONDS)
        return looks, [read_result(client, wanted.plan) for client in clients]


def all_open(looks: Sequence[Look], loads: Sequence[LoadResult]) -> list[Look]:
    """Return the looks between the moment when each answer had begun, and the first end."""
    if not all(load.all_since_us for load in loads):
        return []
    since = max(load.all_since_us for load in loads) / 1e6
    until = min(load.first_end_us for load in loads) / 1e6
    return [each for each in looks if since <= each.time <= until]


def table(wanted: Wanted, idle: Look, looks: Sequence[Look], full: Sequence[Look]) -> str:
    """Return what each part took."""
    first, last = full[0], full[-1]
    seconds = last.time - first.time
    lines = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    for part in looks[-1].cpu:
        whole = (looks[-1].cpu[part] - idle.cpu.get(part, 0.0)) * 1000 / wanted.streams
        cores = (last.cpu[part] - first.cpu[part]) / seconds if seconds else 0.0
        cells = ["", "", ""]
        if part in idle.memory:
            most = max(each.memory[part] for each in looks)
            cells = [f"{idle.memory[part] / 2**20:.0f}", f"{most / 2**20:.0f}"]
            cells.append(f"{(most - idle.memory[part]) / 1024 / wanted.streams:.1f}")
        lines.append(f"| {' | '.join([part, *cells, f'{whole:.2f}', f'{cores:.2f}'])} |")
    return "\n".join(lines)


def measure(wanted: Wanted, say: Callable[[str], None]) -> int:
    """Measure, print, and return the exit status."""
    with upstream() as upstream_port, ExitStack() as stack:
        stores = stack.enter_context(shared_stores()) if wanted.workers > 1 else None
        variables = {**OURS.variables, **SETTINGS, **(stores.variables() if stores else {})}
        arguments = ("--workers", str(wanted.workers))
        server = stack.enter_context(
            running(
                replace(OURS, name="streams", variables=variables), upstream_port, arguments=arguments, is_pinned=False
            )
        )
        few = LoadPlan(answer="bench:50:0", streams=8, requests=200)
        take_sample(server, body_file("ui", few.answer), few)
        parts = {"workers": server.pid}
        if stores:
            parts |= {"PostgreSQL": stores.postgres.pid, "Redis": stores.redis.pid}
        idle = look(parts)
        looks, loads = open_all(wanted, server.port, parts, say)
    return report(wanted, idle, looks, loads)


def report(wanted: Wanted, idle: Look, looks: Sequence[Look], loads: Sequence[LoadResult]) -> int:
    """Print what there was, and return the exit status."""
    whole, asked = sum(load.whole for load in loads), sum(load.requests for load in loads)
    full = all_open(looks, loads)
    print(f"\nRevision {revision()}; {json.dumps(describe())}")
    print(
        f"{asked} answers of {wanted.deltas} deltas, one every {wanted.pace:g} s, by {wanted.clients} clients on"
        f" {wanted.workers} workers: {whole} arrived whole ({sum(load.deltas for load in loads)} deltas)."
    )
    gaps = {quantile: max(load.gap_us[quantile] for load in loads) / 1e6 for quantile in ("p50", "p99", "max")}
    print("Seconds between two deltas: " + ", ".join(f"{name} {value:.2f}" for name, value in gaps.items()))
    if not full or whole < asked:
        print(f"WRONG: {next((load.first_error for load in loads if load.first_error), 'they were never all open')}")
        return 1
    print(f"All were open at once for {full[-1].time - full[0].time:.0f} s.")
    print(f"\n{table(wanted, idle, looks, full)}")
    return 0


def main() -> int:
    """Read the command line, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--streams", type=int, default=10_000, help="how many")
    parser.add_argument("--workers", type=int, default=2, help="of the server")
    parser.add_argument("--clients", type=int, default=4, help="processes that read")
    parser.add_argument("--pace", type=float, default=10.0, help="seconds from one delta of an answer to the next")
    parser.add_argument("--ramp", type=float, default=180.0, help="seconds in which they are opened")
    wanted = Wanted(**vars(parser.parse_args()))
    raise_limit()
    return measure(wanted, lambda text: print(f"  {text}", flush=True))


def raise_limit() -> None:
    """Let this process and those that it starts open as many files as the system lets them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, FILES), max(hard, FILES)))
    except (OSError, ValueError):
        # Only root may have more than it was given.
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
