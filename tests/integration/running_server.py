"""``usechat serve`` as a process of its own, as people run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx

from tests.support.forks import ForkedCommand, fork

START_SECONDS = 60.0
"""On a machine that does much else at the same time."""
USECHAT = Path(sys.executable).with_name("usechat")


@dataclass(frozen=True)
class RunningServer:
    """A server that listens."""

    client: httpx.Client
    process: subprocess.Popen[str] | ForkedCommand
    first_line: str
    """What it said when it began to listen."""
    log: Path

    def stop(self, within: float = 20) -> int:
        """Tell it to stop; return its exit code."""
        self.process.terminate()
        return self.process.wait(within)


def _start(
    folder: Path, arguments: Sequence[str], variables: Mapping[str, str], errors: IO[str], *, is_forked: bool
) -> ForkedCommand | subprocess.Popen[str]:
    """Start ``usechat serve`` in a session of its own, with which its workers are ended."""
    command = [str(USECHAT), "serve", "--port", "0", *arguments]
    if is_forked:
        return fork(command, folder, variables, errors)
    return subprocess.Popen(
        command,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        start_new_session=True,
    )


def serving(folder: Path, *arguments: str, **variables: str) -> AbstractContextManager[RunningServer]:
    """Start a server in a folder on a free port; yield it once it answers.

    One without workers is forked from a process that has imported all.

    Args:
        folder: Where it runs and looks for a .env file.
        arguments: Further ones of ``usechat serve``.
        variables: Its settings.
    """
    workers = arguments[arguments.index("--workers") + 1] if "--workers" in arguments else "1"
    is_one = workers == variables.get("USECHAT_WORKERS", "1") == "1" and "--reload" not in arguments
    return _serving(folder, arguments, variables, is_forked=is_one)


def serving_program(folder: Path, *arguments: str, **variables: str) -> AbstractContextManager[RunningServer]:
    """Start a server as people do; all else is as for `serving`."""
    return _serving(folder, arguments, variables, is_forked=False)


@contextmanager
def _serving(
    folder: Path, arguments: Sequence[str], variables: Mapping[str, str], *, is_forked: bool
) -> Generator[RunningServer]:
    log = folder / "server.log"
    with log.open("a") as errors:
        process = _start(folder, arguments, environment(**variables), errors, is_forked=is_forked)
    assert process.stdout is not None
    try:
        first_line = process.stdout.readline()
        assert "http://" in first_line, log.read_text()
        url = first_line[first_line.index("http://") :].split()[0]
        # To load certificates that plain HTTP does not need takes a client longer than most tests.
        with httpx.Client(base_url=url, timeout=60, verify=False) as client:
            await_start(client, log)
            yield RunningServer(client, process, first_line, log)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def await_start(client: httpx.Client, log: Path) -> None:
    """See that it answers, as its first line says."""
    try:
        assert client.get("/healthz", timeout=START_SECONDS).status_code == 200
    except httpx.TransportError:
        raise AssertionError(f"the server did not start:\n{log.read_text()}") from None


def run(folder: Path, arguments: Sequence[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, forked from a process that has imported all."""
    with tempfile.TemporaryFile("w+") as errors:
        process = fork([str(USECHAT), *arguments], folder, environment(**variables), errors)
        assert process.stdout is not None
        with process.stdout as printed:
            output = printed.read()
        code = process.wait(START_SECONDS)
        errors.seek(0)
        return subprocess.CompletedProcess([*arguments], code, output, errors.read())


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without any of the server's own, but with these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("USECHAT_", "ANTHROPIC_"))}
    return {**inherited, **variables}


def workers_of(server: RunningServer) -> set[int]:
    """Return the processes that answer, of a server with several workers."""
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    found: set[int] = set()
    for child in children:
        # One may end meanwhile.
        with suppress(FileNotFoundError, ProcessLookupError):
            if b"--multiprocessing-fork" in Path(f"/proc/{child}/cmdline").read_bytes():
                found.add(int(child))
    return found
