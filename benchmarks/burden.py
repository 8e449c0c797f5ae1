"""What a large request costs those who did not send it: how long `/healthz` waits meanwhile, and how the cost grows.

Each body is posted to a server of its own process, while another connection asks `/healthz` again and again. Times are
those of the wall clock, since waiting is what is measured: they want a machine that does nothing else.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from benchmarks.machine import cpu_seconds
from benchmarks.programs import BenchmarkError
from benchmarks.servers import Server
from tests.support.hostile_bodies import BYTES_PER_VALUE, CHATS, LAST_IS_THEIRS, LISTS, is_one_message, make_chat

__all__ = ["GROWING", "Burden", "Watcher", "largest_bodies", "measure_burden", "post"]

_TIMEOUT_SECONDS: Final = 300
_PAUSE_SECONDS: Final = 0.002
MESSAGES: Final = 19_990
PARTS: Final = 9_990
BYTES: Final = 19 * 10**6
VALUES: Final = 499_000
DECISIONS: Final = 990


@dataclass
class Watcher:
    """Asks `/healthz` on a connection of its own while the block lasts, and notes how long each answer took."""

    port: int
    waits: list[float] = field(default_factory=list[float])
    _is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Ask until it is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_SECONDS)
        while not self._is_over.is_set():
            began = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            self.waits.append(time.perf_counter() - began)
            time.sleep(_PAUSE_SECONDS)
        connection.close()

    @contextmanager
    def watching(self) -> Generator[None]:
        """Ask meanwhile."""
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            thread.join()


@dataclass(frozen=True, kw_only=True)
class Burden:
    """What one request cost."""

    status: int
    seconds: float
    """Until its answer was read to the end."""
    cpu: float
    """Of the server, in seconds."""
    longest_wait: float
    """Of anybody who asked `/healthz` meanwhile, in seconds."""


def post(port: int, path: str, body: bytes, method: str = "POST") -> tuple[int, bytes]:
    """Send a body and read its answer to the end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request(method, path, body, {"content-type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    except (BrokenPipeError, ConnectionResetError):
        # It was refused before it was read.
        return 413, b""
    finally:
        connection.close()


def measure_burden(server: Server, path: str, body: bytes) -> Burden:
    """Post a body and see how long others wait."""
    watcher = Watcher(server.port)
    with watcher.watching():
        while len(watcher.waits) < 3:
            time.sleep(_PAUSE_SECONDS)
        watcher.waits.clear()
        cpu, began = cpu_seconds(server.pid), time.perf_counter()
        status, _ = post(server.port, path, body)
        seconds = time.perf_counter() - began
        # What is freed at its end counts, too.
        time.sleep(0.1)
    if status >= 500:
        raise BenchmarkError(f"the server answered with {status}")
    return Burden(
        status=status, seconds=seconds, cpu=cpu_seconds(server.pid) - cpu, longest_wait=max(watcher.waits, default=0)
    )


def largest_bodies() -> Mapping[str, Callable[[], bytes]]:
    """The largest bodies of each kind: those that are taken, and those that a limit refuses."""
    bodies: dict[str, Callable[[], bytes]] = {}
    for name, make in LISTS.items():
        bodies[name] = partial(make_listed, make, PARTS if is_one_message(name) else MESSAGES)
    for name, make in LAST_IS_THEIRS.items():
        bodies[name] = partial(make_listed, make, PARTS if "answer" in name else DECISIONS, asks=False)
    for name, make in CHATS.items():
        bodies[name] = partial(make, BYTES)
    for name, size in BYTES_PER_VALUE.items():
        bodies[f"{name}, as many as may be"] = partial(CHATS[name], int(size * VALUES))
    return bodies


def make_listed(make: Callable[[int], list[Mapping[str, Any]]], count: int, *, asks: bool = True) -> bytes:
    return make_chat(make(count), asks=asks)


GROWING: Final[Mapping[str, tuple[tuple[int, ...], Callable[[int], bytes]]]] = {
    "messages": ((4_000, 8_000, 16_000), partial(make_listed, LISTS["messages in turn"])),
    "parts": ((2_000, 4_000, 8_000), partial(make_listed, LISTS["text parts"])),
    "tool calls": ((2_000, 4_000, 8_000), partial(make_listed, LISTS["calls in one answer"])),
    "bytes of text": ((4_000_000, 8_000_000, 16_000_000), CHATS["text of letters"]),
}
"""What there is more and more of: twice as much must cost no more than twice as much."""
