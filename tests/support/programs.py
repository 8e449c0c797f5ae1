"""Programs in processes of their own that tests start: `usechat serve`, nginx, any that say when they are ready."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.support.forks import ForkedCommand, fork

__all__ = ["REFUSING_PORT", "ROOT", "Program", "find_program", "hold_port", "nginx", "usechat_serve"]

ROOT = Path(__file__).resolve().parents[2]

REFUSING_PORT = 1
"""A port on which nobody listens: the system gives it to no program that asks for any port."""

_START_SECONDS = 60.0
_END_SECONDS = 20.0
_OTHERS = ("ANTHROPIC_", "USECHAT_", "NODE_ENV")

_NGINX = """\
daemon off;
error_log stderr notice;
pid {folder}/nginx.pid;
user {user};
worker_processes 1;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    gzip on;
    gzip_types *;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream backends {{ {backends} }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://backends;
            proxy_http_version {version};
            add_header X-Served-By $upstream_addr always;
            proxy_set_header Host $http_host;
            proxy_read_timeout 25s;
        }}
    }}
}}
"""


class Program:
    """A running program that says when it is ready.

    Args:
        arguments: Its command line.
        ready: What it prints when it can be used; a group in it is the program's address.
        held: Keeps the port on which it listens, and is closed with it.
        variables: Its environment, on top of this process's own, which gives nothing away of models and settings.
        folder: Where it runs.
        log: Where its output is kept.
        is_forked: Whether it is ``usechat`` and need not import what another process has (`tests.support.forks`).

    Raises:
        AssertionError: It has ended, or has not become ready in time; with the end of its output.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        *,
        ready: str,
        folder: Path,
        log: Path,
        held: socket.socket | None = None,
        variables: Mapping[str, str] | None = None,
        is_forked: bool = False,
    ) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        environment = {**inherited, **(variables or {})}
        self._log = log
        self._held = held
        self._process: subprocess.Popen[str] | ForkedCommand
        log.write_text("")
        if is_forked:
            with log.open("a") as errors:
                self._process = fork([*map(str, arguments)], folder, environment, errors)
        else:
            self._process = start(arguments, folder, environment)
        self._said_ready: Future[str] = Future()
        self._reader = threading.Thread(target=self._read, args=[re.compile(ready)], daemon=True)
        self._reader.start()
        try:
            self.url = self._said_ready.result(_START_SECONDS)
            """What the group in ``ready`` matched."""
        except (TimeoutError, EOFError) as error:
            self.close()
            raise AssertionError(f"{arguments[0]} did not start:\n{self.output()}") from error

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def close(self) -> None:
        """Stop it, with force when asking does not help."""
        self._process.terminate()
        self.wait(_END_SECONDS)

    def wait(self, seconds: float) -> None:
        """Let it end by itself, with force after so many seconds."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(_END_SECONDS)
        if self._held is not None:
            self._held.close()

    def kill(self) -> None:
        """End it at once, as a loss of power does."""
        self._process.kill()
        self.wait(_END_SECONDS)

    def terminate(self) -> None:
        """Ask it to stop, without waiting for that."""
        self._process.terminate()

    def output(self) -> str:
        """The end of what it has printed."""
        return self._log.read_text(errors="replace")[-4000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self, ready: re.Pattern[str]) -> None:
        assert self._process.stdout is not None
        # What one that is forked has to complain of is written there, too.
        with self._log.open("a") as log, self._process.stdout as output:
            for line in output:
                log.write(line)
                log.flush()
                found = ready.search(line)
                if found is not None and not self._said_ready.done():
                    self._said_ready.set_result(found[1] if ready.groups else "")
        if not self._said_ready.done():
            self._said_ready.set_exception(EOFError())


def start(arguments: Sequence[str | Path], folder: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )


def usechat_serve(*arguments: str, folder: Path, port: int = 0, is_forked: bool = False, **variables: str) -> Program:
    """``usechat serve`` with these arguments and variables, away from anybody's ``.env``."""
    command = [Path(sys.executable).with_name("usechat"), "serve", "--port", str(port), *arguments]
    return Program(
        command,
        ready=r"listens on (http://\S+)",
        folder=folder,
        log=folder / f"usechat-{len([*folder.iterdir()])}.log",
        # What is still being streamed at the end of a test is nobody's loss.
        variables={"USECHAT_SHUTDOWN_SECONDS": "1", **variables},
        is_forked=is_forked,
    )


def nginx(*backends: str, folder: Path, http_version: str = "1.0") -> Program:
    """Debian's nginx before some backends: it buffers as it does by default, and compresses what may be compressed.

    It gives up sooner than by default, after 25 seconds of silence, so that only heartbeats keep a stream alive.

    Args:
        backends: Their addresses; requests go to them in turn.
        folder: Where it runs.
        http_version: What it speaks to them. With 1.0, its default, an answer whose process died looks whole.
    """
    held = hold_port()
    port = held.getsockname()[1]
    configuration = folder / "nginx.conf"
    # One that has failed is asked again at once: it may be back.
    servers = " ".join(f"server {urlsplit(backend).netloc} max_fails=0;" for backend in backends)
    text = _NGINX.format(folder=folder, port=port, backends=servers, version=http_version, user=getpass.getuser())
    configuration.write_text(text)
    server = Program(
        [find_program("nginx"), "-e", "stderr", "-p", folder, "-c", configuration],
        ready="start worker process ",
        folder=folder,
        log=folder / "nginx.log",
        held=held,
    )
    server.url = f"http://127.0.0.1:{port}"
    return server


def hold_port(port: int = 0) -> socket.socket:
    """A socket that keeps a port of loopback for those who listen on it time and again; closed, it keeps it no more.

    While nobody listens, the system could give the port to a client's end of some connection.

    Raises:
        OSError: The port is taken.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        raise
    return held


def find_program(name: str) -> str:
    """Where a program of the system is, also among those that only root has on its path.

    Raises:
        AssertionError: It is not installed.
    """
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    assert found, f"{name} is missing; on Debian: sudo apt-get install {name}"
    return found
