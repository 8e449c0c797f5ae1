"""A FastAPI app in a server process of its own, as a client meets it."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from tests.support.forks import fork_server

__all__ = ["Backend"]

_END_SECONDS = 20.0


class Backend:
    """uvicorn with an app, on a free port of loopback, its models pointed at a stand-in.

    Args:
        app: Where it is, ``tests.conformance.app:app``.
        upstream: The base URL of the Messages API.
        log: Where its output goes.
        variables: More of its environment.
    """

    def __init__(self, app: str, *, upstream: str, log: Path, **variables: str) -> None:
        self._log = log
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        """Without a slash at its end."""
        environment = {**os.environ, "ANTHROPIC_BASE_URL": upstream, "ANTHROPIC_API_KEY": "test", **variables}
        with listening, log.open("w") as output:
            self._process = fork_server("tests.support.serve", [app], listening, environment, output)

    def close(self) -> None:
        """Stop the server."""
        self._process.terminate()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def terminate(self, seconds: float) -> None:
        """Ask the server to stop, and wait until it has.

        Raises:
            subprocess.TimeoutExpired: It has not, after so many seconds.
        """
        self._process.terminate()
        self._process.wait(seconds)

    def output(self) -> str:
        """All that it has printed."""
        return self._log.read_text(errors="replace")

    def check(self) -> None:
        """Make sure that it runs.

        Raises:
            RuntimeError: It has ended; with what it printed.
        """
        if self._process.poll() is not None:
            raise RuntimeError(f"the server has ended:\n{self.output()[-3000:]}")
