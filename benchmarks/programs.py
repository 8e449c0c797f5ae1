"""The two C programs: the stand-in for Anthropic's API, and the load generator that reads and checks every answer.

The Makefile compiles them for its verbs.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import free_port, on_load_core
from scripts.progress import ROOT

__all__ = [
    "CACHE",
    "KEY",
    "BenchmarkError",
    "LoadPlan",
    "LoadResult",
    "read_result",
    "redis_server",
    "run_load",
    "start_load",
    "tokens",
    "upstream",
    "wait_until_open",
]

KEY = "load-key"
"""What the load generator shows to every server; those with keys ask for it."""
CACHE = ROOT / ".cache" / "bench"
_LAST_RESULT_SECONDS = 10
_START_SECONDS = 60


class BenchmarkError(Exception):
    """A measurement that cannot be made; the text says why, to the person at the terminal."""


def tokens() -> str:
    """The texts that answers are made of, as a JSON array."""
    return subprocess.run([CACHE / "upstream", "--tokens"], capture_output=True, text=True, check=True).stdout


@contextmanager
def upstream() -> Generator[int]:
    """The stand-in for Anthropic's API, on the load's core; gives its port."""
    port = free_port()
    with on_load_core():
        process = subprocess.Popen([CACHE / "upstream", str(port)])
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def redis_server() -> Generator[str]:
    """A Redis that keeps nothing on disk, on the load's core; gives its URL.

    Raises:
        BenchmarkError: There is none on this machine, or it does not start.
    """
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        raise BenchmarkError("there is no redis-server on this machine")
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    with on_load_core():
        process = subprocess.Popen([program, *options], cwd=CACHE, stdout=subprocess.DEVNULL)
    try:
        wait_until_open(process, port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def wait_until_open(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a process listens.

    Raises:
        BenchmarkError: It has ended, or takes too long.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BenchmarkError("it does not start")


@dataclass(frozen=True, kw_only=True)
class LoadPlan:
    """What one run of the load generator asks for."""

    answer: str
    """As native/answer.h says."""
    streams: int
    """Answers read at once."""
    requests: int
    ramp_ms: int = 0
    timeout_s: int = 120


@dataclass(frozen=True, kw_only=True)
class LoadResult:
    """What became of it. Times are in microseconds: their median, 99th percentile and maximum."""

    requests: int
    whole: int
    wall_s: float
    chunks: int
    """HTTP chunks of all answers."""
    deltas: int
    """Of the answers that arrived whole."""
    all_since_us: int
    """When each of all answers had its first delta, on the system's monotonic clock; 0 where that never was."""
    first_end_us: int
    """When the first answer ended."""
    first_delta_us: dict[str, int]
    """From the request's last byte."""
    gap_us: dict[str, int]
    """Between two reads that brought deltas; paced answers only."""
    delay_us: dict[str, int]
    """From the upstream's sending of the first delta to its arrival; answers of kind ``s`` only."""
    first_error: str


@contextmanager
def start_load(port: int, path: str, body: Path, plan: LoadPlan) -> Generator[subprocess.Popen[str]]:
    """The load generator at work, on its core."""
    numbers = (plan.streams, plan.requests, plan.ramp_ms, plan.timeout_s)
    command = [CACHE / "load", str(port), path, body, plan.answer, *map(str, numbers)]
    with on_load_core():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def run_load(port: int, path: str, body: Path, plan: LoadPlan, *, watch: Any = None) -> LoadResult:
    """Post ``body`` as often as the plan says, and read every answer to its end.

    Args:
        port: The server's.
        path: The route.
        body: The file that holds the request's body.
        plan: How often, how many at once.
        watch: Called every 50 ms meanwhile.
    """
    with start_load(port, path, body, plan) as process:
        deadline = time.monotonic() + plan.timeout_s + _LAST_RESULT_SECONDS
        while watch is not None and process.poll() is None and time.monotonic() < deadline:
            watch()
            time.sleep(0.05)
        return read_result(process, plan)


def read_result(process: subprocess.Popen[str], plan: LoadPlan) -> LoadResult:
    """Wait until the load generator has ended, and return what became of its run."""
    printed, _ = process.communicate(timeout=plan.timeout_s + _LAST_RESULT_SECONDS)
    values = json.loads(printed)
    return LoadResult(**{name: values[name] for name in LoadResult.__dataclass_fields__})
