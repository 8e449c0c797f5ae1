"""A Redis server of the tests' own, on a free port of loopback."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from tests.support.programs import hold_port
from tests.support.waiting import PATIENCE

__all__ = ["RedisServer", "noted_commands"]

_START_SECONDS = 60.0
_ANSWER_SECONDS = 60.0


class RedisServer:
    """Debian's redis-server.

    Args:
        folder: Where it works.
        keeps: Whether it has its data again after a restart.
        socket_path: A socket of the system that it listens on, too; at most 100 characters.
    """

    def __init__(self, folder: Path, *, keeps: bool = False, socket_path: str | None = None) -> None:
        self._socket_path = socket_path
        self._folder = folder
        self._keeps = keeps
        self._held = hold_port()
        self.port: int = self._held.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers."""
        arguments = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder), "--save", ""]
        if self._keeps:
            arguments += ["--appendonly", "yes", "--appendfsync", "always"]
        if self._socket_path is not None:
            arguments += ["--unixsocket", self._socket_path]
        with (self._folder / "redis.log").open("ab") as output:
            self._process = subprocess.Popen(["redis-server", *arguments], stdout=output, stderr=output)
        end = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self._folder / "redis.log").read_text())

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self.ask("PING").startswith(b"+PONG")
        return False

    def ask(self, *words: str) -> bytes:
        """What it answers to a command, as it comes over the wire."""
        with socket.create_connection(("127.0.0.1", self.port), _ANSWER_SECONDS) as connection:
            connection.sendall((" ".join(words) + "\r\nQUIT\r\n").encode())
            return b"".join(iter(lambda: connection.recv(65536), b""))

    def kill(self) -> None:
        """End it at once, as a loss of power does."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def pause(self) -> None:
        """Stop it where it is: what it is sent waits, and is done when it goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        if self._process is not None and self._process.poll() is None:
            self.kill()
        self._held.close()


@contextmanager
def noted_commands(server: RedisServer, prefix: str) -> Generator[list[str]]:
    """Note what clients ask of a key with the prefix; what scripts do is not among it."""
    redis_module: Any = redis
    # By itself it gives up after seconds in which nobody asks anything.
    client = redis_module.Redis.from_url(server.url, socket_timeout=PATIENCE)
    noted: list[str] = []

    def note() -> None:
        for told in monitor.listen():
            if told["client_type"] != "lua" and prefix in told["command"]:
                noted.append(told["command"])
            if told["command"] == f"ECHO {prefix} ends":
                return

    with client, client.monitor() as monitor, ThreadPoolExecutor(1) as executor:
        noting = executor.submit(note)
        try:
            yield noted
        finally:
            client.echo(f"{prefix} ends")
            noting.result(PATIENCE)
