"""Servers under test: started on their core with a clean environment, and ended."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import free_port, on_server_core
from benchmarks.programs import CACHE, BenchmarkError, tokens, wait_until_open
from benchmarks.targets import Target
from scripts.progress import ROOT

__all__ = ["Server", "running"]

_STOP_SECONDS = 5
_FOREIGN = ("ANTHROPIC_", "USECHAT_", "PYTHON", "NODE_", "UVICORN_")
"""Variables that would change what is measured."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """One that answers."""

    name: str
    """What its figures are filed under."""
    target: Target
    port: int
    pid: int
    path: str = "/api/chat"


@contextmanager
def running(
    target: Target,
    upstream_port: int,
    *,
    name: str | None = None,
    source: Path = ROOT,
    arguments: tuple[str, ...] = (),
    is_pinned: bool = True,
) -> Generator[Server]:
    """A started server.

    Args:
        target: What to start.
        upstream_port: Where its model is.
        name: What its figures are filed under; the target's name without it.
        source: The checkout whose usechat and whose peers are run.
        arguments: Added to its command.
        is_pinned: Whether it is kept on the server's core.

    Raises:
        BenchmarkError: It does not start.
    """
    port = free_port()
    name = name or target.name
    command = [str(word).replace("{port}", str(port)) for word in [*target.command, *arguments]]
    log = CACHE / "logs" / f"{name.replace('/', '-')}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    data = CACHE / "data" / str(port)
    data.mkdir(parents=True)
    with log.open("wb") as output, on_server_core() if is_pinned else nullcontext():
        process = subprocess.Popen(
            command,
            cwd=source,
            env=_variables(target.variables, port, upstream_port, source, data),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, port, log)
        yield Server(name=name, target=target, port=port, pid=process.pid)
    finally:
        _stop(process)
        shutil.rmtree(data, ignore_errors=True)


def _variables(own: Mapping[str, str], port: int, upstream_port: int, source: Path, data: Path) -> dict[str, str]:
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_FOREIGN) and not name.lower().endswith("_proxy")
    }
    return {
        **inherited,
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{upstream_port}",
        "ANTHROPIC_API_KEY": "bench",
        "BENCH_TOKENS": tokens(),
        "PORT": str(port),
        "USECHAT_DATABASE_URL": f"sqlite:///{data / 'usechat.db'}",
        "PYTHONDONTWRITEBYTECODE": "1",
        # The checkout before what is installed, so that another revision's sources are the ones that run.
        "PYTHONPATH": f"{source / 'src'}{os.pathsep}{source}",
        **own,
    }


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    try:
        wait_until_open(process, port)
    except BenchmarkError as error:
        lines = log.read_text(errors="replace").splitlines()
        raise BenchmarkError(f"{error}: {lines[-1] if lines else 'no output'} ({log})") from None


def _stop(process: subprocess.Popen[bytes]) -> None:
    for sent in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, sent)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return
