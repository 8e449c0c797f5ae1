"""`make load`: one worker with everything on, twice the clients that it can hold, and clients as no server wants them.

First it is found out how many streams the worker holds. A worker that takes no more than that is then asked by twice
as many clients at once; what follows are readers that hardly read, readers that never do, half heads, bodies that
trickle, and 10,000 connections. Beside each of these some clients read as they should, and it is measured how they
fare. It takes three minutes, and ends with a table; the exit status is 1 where something was lost, refused without
`Retry-After`, took more memory than it may, or was not given back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Final, TypeAlias

import uvloop

from benchmarks.machine import describe, on_load_core
from benchmarks.programs import KEY, BenchmarkError, upstream
from benchmarks.servers import running
from benchmarks.targets import OURS
from tests.support.load_clients import (
    Answer,
    Site,
    State,
    ask,
    chat_body,
    close_all,
    count_ended,
    look,
    open_socket,
    until_idle,
)

LEVELS: Final = (50, 100, 150, 200, 300, 400, 500, 600)
LARGEST_GAP: Final = 0.04
"""Seconds between two deltas, at the 99th percentile, up to which a worker holds its streams; they come after 0.02."""
DELTAS_A_SECOND: Final = 50
LIMIT_SECONDS: Final = 4
"""For heads and bodies."""
CONNECTIONS: Final = 10_000
READERS: Final = 4
RESUMING: Final = 500
SMALLEST_ROOM: Final = 4096
OVERLOAD_SECONDS: Final = 20.0
PHASE_SECONDS: Final = 10
MAX_GROWTH: Final = 2**30
"""Bytes of memory beyond an idle worker's."""
KEPT_BYTES: Final = 2**27
"""Bytes of ended answers, which can be read for a while (`USECHAT_KEEP_BYTES`)."""
PLACE_BYTES: Final = 2**17
"""Bytes for each stream that a worker holds at once: Python and the C library give back whole pieces only."""
MODEL_FILES: Final = 110
"""Connections to the model that are kept for half a minute, and a few of the database."""
FEW_FILES: Final = 10
MIB: Final = 2**20

SETTINGS: Final = {
    "USECHAT_API_KEYS": KEY,
    "USECHAT_METRICS": "true",
    "USECHAT_REQUESTS_PER_MINUTE": "1000000",
    "USECHAT_TOKENS_PER_DAY": "1000000000",
    "USECHAT_HEAD_SECONDS": str(LIMIT_SECONDS),
    "USECHAT_BODY_SECONDS": str(LIMIT_SECONDS),
    "USECHAT_LOG_LEVEL": "warning",
}


@dataclass
class Row:
    """What became of one kind of load."""

    name: str
    asked: int = 0
    taken: int = 0
    refused: str = "none"
    answers: list[Answer] = field(default_factory=list[Answer])
    """Those whose clients read as they should."""
    growth: int = 0
    """The most bytes of memory meanwhile, beyond an idle worker's."""
    state: State | None = None

    def cells(self, idle: State) -> list[str]:
        """Return its cells of the table."""
        gaps = sorted(gap for answer in self.answers for gap in answer.gaps)
        state = self.state
        rest = "not idle" if state is None else f"idle, {state.files - idle.files:+d} files, {state.memory // MIB} MiB"
        counts = [str(self.asked), str(self.taken), self.refused, str(len(self.answers))]
        return [self.name, *counts, spread(gaps), f"{self.growth // MIB} MiB", rest]


HEADS: Final = (
    "clients",
    "asked for",
    "taken",
    "refused or ended",
    "good readers",
    "ms between deltas: p50, p99, most",
    "more memory, at most",
    "after it",
)
Hostile: TypeAlias = "Callable[[Trial], AsyncGenerator[list[socket.socket]]]"


@dataclass
class Trial:
    """A worker, and what it can do."""

    site: Site
    held: int
    idle: State
    rows: list[Row] = field(default_factory=list[Row])
    problems: list[str] = field(default_factory=list[str])
    chats: int = 0

    def chat(self, deltas: int, pace_us: int = 10**6 // DELTAS_A_SECOND, kind: str = "", address: str = "") -> bytes:
        """Return a request for an answer in a chat of its own, from an address of its own if none is given."""
        self.chats += 1
        body = chat_body(f"load-{self.chats}", f"bench:{deltas}:{pace_us}{kind}")
        mine = f"10.{self.chats >> 16}.{self.chats >> 8 & 255}.{self.chats & 255}"
        return self.site.request("POST", "/api/chat", body, address=address or mine)

    def check(self, is_right: bool, problem: str) -> None:
        """Note what is wrong."""
        if not is_right:
            self.problems.append(problem)

    @asynccontextmanager
    async def row(self, name: str) -> AsyncGenerator[Row]:
        """Measure one kind of load, and wait until nothing of it is left."""
        print(f"  {name} ...", flush=True)
        row = Row(name)
        self.site.forget_peak()
        yield row
        row.growth = self.site.peak() - self.idle.memory
        self.check(row.growth < MAX_GROWTH, f"{name}: {row.growth // MIB} MiB of memory")
        try:
            row.state = await until_idle(self.site, self.idle.files + MODEL_FILES, within=30)
        except AssertionError as error:
            self.problems.append(f"{name}: not idle again: {error}")
        self.rows.append(row)


# Clients that read


async def read_many(trial: Trial, count: int, deltas: int, ramp: float = 1.0) -> list[Answer]:
    """Let clients begin one after the other, each read an answer to its end, and return what each read."""

    async def one(number: int) -> Answer:
        await asyncio.sleep(ramp * number / count)
        answer = await ask(trial.site, trial.chat(deltas))
        await answer.over
        return answer

    return await asyncio.gather(*map(one, range(count)))


async def holds(trial: Trial, level: int) -> bool:
    """Return whether the worker keeps the pace of so many streams."""
    answers = await read_many(trial, level, 3 * DELTAS_A_SECOND)
    gaps = sorted(gap for answer in answers for gap in answer.gaps)
    await until_idle(trial.site, trial.idle.files + level + MODEL_FILES)
    return all(answer.is_whole(3 * DELTAS_A_SECOND) for answer in answers) and quantile(gaps, 0.99) < LARGEST_GAP


async def find_held(trial: Trial) -> int:
    """Return the most streams that the worker holds."""
    held = 0
    for level in LEVELS:
        # Once more when it fails: a neighbour on the machine can lower the figure, none can raise it.
        if not (await holds(trial, level) or await holds(trial, level)):
            break
        held = level
    return max(held, LEVELS[0])


async def overload(trial: Trial) -> None:
    """Ask with twice as many clients as are held, half of them of one address that may have a quarter of the room."""
    deltas = 4 * DELTAS_A_SECOND
    end = perf_counter() + OVERLOAD_SECONDS
    refusals: list[Answer] = []
    asked = 0

    async def insist(number: int, row: Row, address: str) -> None:
        nonlocal asked
        await asyncio.sleep(2.0 * number / (2 * trial.held))
        while perf_counter() < end:
            asked += 1
            answer = await ask(trial.site, trial.chat(deltas, address=address))
            await answer.over
            if answer.status == 200:
                row.answers.append(answer)
            else:
                refusals.append(answer)
                await asyncio.sleep(answer.retry_after or 1)

    async with trial.row(f"{2 * trial.held} clients for {trial.held} places") as row:
        greedy = ["" if number % 2 else "192.0.2.7" for number in range(2 * trial.held)]
        await asyncio.gather(*(insist(number, row, address) for number, address in enumerate(greedy)))
        statuses = [sum(answer.status == status for answer in refusals) for status in (503, 429)]
        waits = sorted(answer.waited for answer in refusals)
        row.asked, row.taken = asked, len(row.answers)
        row.refused = f"{statuses[0]} × 503, {statuses[1]} × 429 in {spread(waits)} ms"
        whole = sum(answer.is_whole(deltas) for answer in row.answers)
        trial.check(whole == row.taken, f"{row.name}: {row.taken - whole} answers were not whole")
        trial.check(sum(statuses) == len(refusals), f"{row.name}: other refusals than 503 and 429")
        trial.check(min(statuses) > 0, f"{row.name}: nobody was refused with 503, or with 429")
        trial.check(all(answer.retry_after for answer in refusals), f"{row.name}: a refusal without Retry-After")


# Clients that do not


async def slow_readers(trial: Trial) -> AsyncGenerator[list[socket.socket]]:
    """Read a byte a second of answers that come as fast as they are read."""
    opened = [await open_socket(trial.site, big(trial), room=SMALLEST_ROOM) for _ in range(READERS)]
    loop = asyncio.get_running_loop()

    async def read(each: socket.socket) -> None:
        with suppress(OSError):
            while await loop.sock_recv(each, 1):  # noqa: ASYNC110 - so slow is the reader
                await asyncio.sleep(1)

    readers = [asyncio.ensure_future(read(each)) for each in opened]
    yield opened
    for reader in readers:
        reader.cancel()
    await asyncio.gather(*readers, return_exceptions=True)


async def deaf_readers(trial: Trial) -> AsyncGenerator[list[socket.socket]]:
    """Read nothing of large answers, nor of one that many resume from its beginning."""
    opened = [await open_socket(trial.site, big(trial), room=SMALLEST_ROOM) for _ in range(READERS)]
    # The last of them is made.
    await asyncio.sleep(PHASE_SECONDS / 2)
    resuming = trial.site.request("GET", f"/api/chat/load-{trial.chats}/stream?cursor=0", address="192.0.2.8")
    opened += [await open_socket(trial.site, resuming, room=SMALLEST_ROOM) for _ in range(RESUMING)]
    yield opened


def big(trial: Trial) -> bytes:
    """Return a request for an answer of 6 MB, more than the system takes for a client that does not read."""
    return trial.chat(20_000, 0, ":t:64")


async def half_heads(trial: Trial) -> AsyncGenerator[list[socket.socket]]:
    """Send half a head each; every other client sends nothing at all, and says that nothing will come."""
    half = trial.site.request("POST", "/api/chat")[:60]
    opened = [await open_socket(trial.site, half if number % 2 else b"") for number in range(2000)]
    for each in opened[::2]:
        each.shutdown(socket.SHUT_WR)
    yield opened


async def silent_connections(trial: Trial) -> AsyncGenerator[list[socket.socket]]:
    """Connect, and say nothing."""
    count = min(CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000)
    yield [await open_socket(trial.site) for _ in range(count)]


async def slow_bodies(trial: Trial) -> AsyncGenerator[list[socket.socket]]:
    """Send a byte a second of a body."""
    head = trial.site.request("POST", "/api/chat", b"{", length=100_000)
    opened = [await open_socket(trial.site, head) for _ in range(1000)]
    loop = asyncio.get_running_loop()

    async def write(each: socket.socket) -> None:
        with suppress(OSError):
            while True:
                await asyncio.sleep(1)
                await loop.sock_sendall(each, b" ")

    writers = [asyncio.ensure_future(write(each)) for each in opened]
    yield opened
    for writer in writers:
        writer.cancel()
    await asyncio.gather(*writers, return_exceptions=True)


HOSTILE: Final[dict[str, Hostile]] = {
    "readers of a byte a second": slow_readers,
    "readers that never read": deaf_readers,
    "half a head, or the end of one": half_heads,
    "connections that say nothing": silent_connections,
    "bodies of a byte a second": slow_bodies,
}


async def stand(trial: Trial, name: str, hostile: Hostile) -> None:
    """Let clients read as they should, and others do what they should not meanwhile."""
    deltas = PHASE_SECONDS * DELTAS_A_SECOND
    async with trial.row(name) as row:
        company = asyncio.ensure_future(read_many(trial, max(trial.held // 4, 1), deltas))
        await asyncio.sleep(1.5)
        sockets = hostile(trial)
        opened = await anext(sockets)
        row.answers = await company
        is_reading = hostile in (slow_readers, deaf_readers)
        row.asked, ended = len(opened), 0 if is_reading else count_ended(opened)
        row.taken = (await look(trial.site)).readers
        if ended:
            row.refused = f"{ended}, {count_ended(opened, b'HTTP/1.1 408')} of them with 408"
        await anext(sockets, None)
        close_all(opened)
        whole = sum(answer.is_whole(deltas) for answer in row.answers)
        trial.check(whole == len(row.answers), f"{name}: {len(row.answers) - whole} answers of others were not whole")
        trial.check(is_reading or ended == row.asked, f"{name}: {row.asked - ended} were let stay")


# The program


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which this share of all values is."""
    return ordered[int((len(ordered) - 1) * share)] if ordered else 0.0


def spread(ordered: Sequence[float]) -> str:
    """Return the median, the 99th percentile and the largest of some seconds, in milliseconds."""
    return ", ".join(f"{quantile(ordered, share) * 1000:.1f}" for share in (0.5, 0.99, 1))


@contextmanager
def worker(upstream_port: int, **more: str) -> Generator[Site]:
    """A worker with everything on, and this process on the other core."""
    target = replace(OURS, variables={**OURS.variables, **SETTINGS, **more})
    with running(target, upstream_port, name="load") as server, on_load_core():
        yield Site(server.port, server.pid, KEY)


async def rested(site: Site, held: int) -> Trial:
    """Return a trial of a worker that has loaded all that it loads late."""
    trial = Trial(site, held, await look(site))
    answers = await read_many(trial, 8, 20, ramp=0.1)
    if not all(answer.is_whole(20) for answer in answers):
        raise BenchmarkError(f"the worker does not answer: {bytes(answers[0].received[:500])!r}")
    trial.idle = await until_idle(site, trial.idle.files + MODEL_FILES)
    return trial


async def measure_held(site: Site) -> int:
    """Return how many streams a worker without a ceiling holds."""
    return await find_held(await rested(site, 0))


async def measure(site: Site, held: int) -> Trial:
    """Put all kinds of load on a worker, one after the other."""
    trial = await rested(site, held)
    await overload(trial)
    for name, hostile in HOSTILE.items():
        await stand(trial, name, hostile)
    print("  until connections to the model are given back ...", flush=True)
    try:
        left = (await until_idle(site, trial.idle.files + FEW_FILES, within=45)).memory - trial.idle.memory
        print(f"  {left // MIB} MiB more than before are left.", flush=True)
        trial.check(left < KEPT_BYTES + held * PLACE_BYTES, f"{left // MIB} MiB of memory were not given back")
    except AssertionError as error:
        trial.problems.append(f"file descriptors were not given back: {error}")
    return trial


def main() -> int:
    """Measure, print a table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--held", type=int, default=0, help="how many streams one worker holds; found out without it")
    held: int = parser.parse_args().held
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    began = perf_counter()
    with upstream() as port:
        if not held:
            print("How many streams does one worker hold?", flush=True)
            with worker(port, USECHAT_MAX_ANSWERS="0") as site:
                held = uvloop.run(measure_held(site))
            print(f"It holds {held}.", flush=True)
        with worker(port, USECHAT_MAX_ANSWERS=str(held), USECHAT_ANSWERS_EACH=str(held // 4)) as site:
            trial = uvloop.run(measure(site, held))
    print(f"\n{json.dumps(describe())}, {perf_counter() - began:.0f} s in all")
    print(f"An idle worker has {trial.idle.memory // MIB} MiB.\n")
    for cells in (list(HEADS), ["---"] * len(HEADS), *(row.cells(trial.idle) for row in trial.rows)):
        print(f"| {' | '.join(cells)} |")
    for problem in trial.problems:
        print(f"WRONG: {problem}")
    return 1 if trial.problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped.")
