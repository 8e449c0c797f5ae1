"""`usechat` and apps in processes of their own that need not import it: each is forked from one process that has.

What a server imports takes a processor more than a second, and tests start hundreds of servers. A forked one has its
own folder, environment, session, output and arguments, and ends as any other process; how a real one starts is told by
test_server_start.py, test_server_process.py and test_production.py.

As a program this is the process that forks, on a socket that it is given: ``python -m tests.support.forks 3``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Final

__all__ = ["ForkedCommand", "close", "fork", "fork_server"]

_ROOT: Final = Path(__file__).parents[2]
_IMPORTED: Final = (
    "usechat.cli",
    "usechat.server.app",
    "usechat.conversations.routes.router",
    "usechat.server.processes.entry",
    "usechat.server.processes.process",
    "usechat.server.access.connections.socket_protocol",
    "usechat.chats.sql.store",
    "usechat.chats.sql.sqlite",
    "usechat.chats.sql.migrations.migrate",
    "usechat.conversations.storage",
    "usechat.runs.redis.log",
    "usechat.models.claude.model",
    "usechat.models.claude.direct",
    "usechat.demo.model",
    "anthropic",
    "asyncpg",
    "pydantic.v1",
    "sqlalchemy.dialects.sqlite",
    "uvloop",
    "uvicorn.lifespan.on",
    "uvicorn.loops.auto",
    "uvicorn.protocols.http.httptools_impl",
)
_LENGTH_BYTES: Final = 4


class ForkedCommand:
    """A process that was forked, with the methods of `subprocess.Popen` that tests use.

    Args:
        forker: What has forked it.
        pid: Its id.
        life: The end of a pipe whose other end it holds for as long as it lives.
        stdout: What it prints, unless that goes to a log.
    """

    def __init__(self, forker: _Forker, pid: int, life: int, stdout: IO[str] | None = None) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._forker = forker
        self._life = life
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Return its exit code, negative for a signal; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code when it has ended.

        Raises:
            subprocess.TimeoutExpired: It has not, after so many seconds.
        """
        with self._lock:
            if self.returncode is None:
                if not select.select([self._life], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("usechat", timeout or 0)
                os.close(self._life)
                self.returncode = self._forker.ask({"await": self.pid})
            return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        # Nobody else has its id until its exit code is asked for.
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to stop."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


class _Forker:
    """The process that forks the others. It ends with this one, however that ends, and they end with it."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.forks", str(theirs.fileno())],
                cwd=_ROOT,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        self._lock = threading.Lock()

    def fork(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[str]
    ) -> ForkedCommand:
        life, held = os.pipe()
        output, printed = os.pipe()
        request = {"arguments": [*arguments], "folder": str(folder), "environment": {**environment}}
        pid = self.ask(request, [printed, log.fileno(), held])
        os.close(held)
        os.close(printed)
        return ForkedCommand(self, pid, life, os.fdopen(output))

    def fork_server(
        self,
        module: str,
        arguments: Sequence[str],
        listening: socket.socket,
        environment: Mapping[str, str],
        log: IO[str],
    ) -> ForkedCommand:
        life, held = os.pipe()
        request = {"module": module, "arguments": [*arguments], "folder": str(_ROOT), "environment": {**environment}}
        pid = self.ask(request, [log.fileno(), log.fileno(), held, listening.fileno()])
        os.close(held)
        return ForkedCommand(self, pid, life)

    def ask(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> int:
        with self._lock:
            _send(self._socket, request, descriptors)
            answer, _ = _receive(self._socket)
        return answer

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


_started: list[_Forker] = []
_starting = threading.Lock()


def fork(arguments: Sequence[str], folder: Path, environment: Mapping[str, str], log: IO[str]) -> ForkedCommand:
    """Start ``usechat`` in a session of its own.

    Args:
        arguments: Its command line, beginning with the path of the program.
        folder: Where it runs.
        environment: All of its environment.
        log: Where its stderr goes.
    """
    return _forker().fork(arguments, folder, environment, log)


def fork_server(
    module: str, arguments: Sequence[str], listening: socket.socket, environment: Mapping[str, str], log: IO[str]
) -> ForkedCommand:
    """Run the ``main`` of a module in a session of its own, with the socket's descriptor as its last argument.

    Args:
        module: ``tests.support.serve``, or another that serves.
        arguments: What else its ``main`` gets.
        listening: The socket whose connections it answers.
        environment: All of its environment.
        log: Where its output goes.
    """
    return _forker().fork_server(module, arguments, listening, environment, log)


def _forker() -> _Forker:
    with _starting:
        if not _started:
            _started.append(_Forker())
    return _started[0]


def close() -> None:
    """End the process that forks, if there is one, and what it has forked."""
    while _started:
        _started.pop().close()


def _send(to: socket.socket, message: Any, descriptors: Sequence[int] = ()) -> None:
    data = json.dumps(message).encode()
    socket.send_fds(to, [len(data).to_bytes(_LENGTH_BYTES)], descriptors)
    to.sendall(data)


def _receive(source: socket.socket) -> tuple[Any, list[int]]:
    """Return the next message, with the descriptors that came with it; None at the end."""
    head, descriptors, _, _ = socket.recv_fds(source, _LENGTH_BYTES, 4)
    if len(head) < _LENGTH_BYTES:
        return None, []
    data = b""
    while len(data) < (size := int.from_bytes(head)):
        data += source.recv(size - len(data))
    return json.loads(data), descriptors


def _serve(requests: socket.socket) -> None:
    """Fork for each request. This returns in the children, and at the end."""
    for name in _IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    # Nobody else has the id of one that nobody has waited for.
    running: set[int] = set()
    while True:
        request, descriptors = _receive(requests)
        if request is None:
            for pid in running:
                with suppress(ProcessLookupError):
                    os.killpg(pid, signal.SIGKILL)
            return
        if "await" in request:
            running.discard(request["await"])
            _send(requests, os.waitstatus_to_exitcode(os.waitpid(request["await"], 0)[1]))
            continue
        if (pid := os.fork()) == 0:
            requests.close()
            _prepare(request, descriptors)
            _run(request, *descriptors[3:])
            return
        running.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        _send(requests, pid)


def _prepare(request: dict[str, Any], descriptors: Sequence[int]) -> None:
    """Be a process of one's own. The third descriptor stays open until this process ends."""
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDONLY)
    for number, descriptor in enumerate((nowhere, *descriptors[:2])):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    gc.enable()


def _run(request: dict[str, Any], *listening: int) -> None:
    """Do what is asked for."""
    if listening:
        importlib.import_module(request["module"]).main(*request["arguments"], *listening)
        return
    sys.argv[:] = request["arguments"]
    # As for a program: its folder, and not the one of the process that forks.
    others = os.environ.get("PYTHONPATH")
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *(others.split(os.pathsep) if others else ())]
    importlib.import_module("usechat.cli").main()


if __name__ == "__main__":
    gc.disable()
    _serve(socket.socket(fileno=int(sys.argv[1])))
