"""``usechat serve`` as a process of its own, as people run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

START_SECONDS = 60.0
"""On a machine that does much else at the same time."""
USECHAT = Path(sys.executable).with_name("usechat")


@dataclass(frozen=True)
class RunningServer:
    """A server that listens."""

    client: httpx.Client
    process: subprocess.Popen[str]
    first_line: str
    """What it said when it began to listen."""
    log: Path

    def stop(self, within: float = 20) -> int:
        """Tell it to stop; return its exit code."""
        self.process.terminate()
        return self.process.wait(within)


@contextmanager
def serving(folder: Path, *arguments: str, **variables: str) -> Generator[RunningServer]:
    """Start a server in a folder on a free port; yield it once it answers.

    Args:
        folder: Where it runs and looks for a .env file.
        arguments: Further ones of ``usechat serve``.
        variables: Its settings.
    """
    log = folder / "server.log"
    with log.open("a") as errors:
        process = subprocess.Popen(
            [USECHAT, "serve", "--port", "0", *arguments],
            cwd=folder,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            # Its workers are ended with it.
            start_new_session=True,
        )
    assert process.stdout is not None
    try:
        first_line = process.stdout.readline()
        assert "http://" in first_line, log.read_text()
        url = first_line[first_line.index("http://") :].split()[0]
        # To load certificates that plain HTTP does not need takes a client longer than most tests.
        with httpx.Client(base_url=url, timeout=20, verify=False) as client:
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
    """Run the command to its end."""
    return subprocess.run(
        [USECHAT, *arguments],
        cwd=folder,
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without any of the server's own, but with these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("USECHAT_", "ANTHROPIC_"))}
    return {**inherited, **variables}
