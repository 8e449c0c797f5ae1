"""Clients of a server under load: those that read as they should, and sockets for what no client should do.

All of them live in one event loop, so that one process can be thousands of clients.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

from tests.support.waiting import PATIENCE

__all__ = [
    "Answer",
    "Site",
    "State",
    "ask",
    "chat_body",
    "close_all",
    "count_ended",
    "look",
    "open_socket",
    "until_idle",
]

DELTA = b'"text-delta"'
DONE = b"data: [DONE]"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Site:
    """A server of one process, with metrics."""

    port: int
    pid: int
    key: str

    def request(
        self, method: str, path: str, body: bytes = b"", *, address: str = "192.0.2.1", length: int | None = None
    ) -> bytes:
        """Return a request after which the server closes the connection.

        Args:
            method: Its method.
            path: Its path.
            body: As much of its body as is sent at once.
            address: The client's, as a proxy would tell it.
            length: What the head says of the body; the body's own length if it is left out.
        """
        return (
            f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{self.port}\r\nauthorization: Bearer {self.key}\r\n"
            f"x-forwarded-for: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body) if length is None else length}\r\n\r\n"
        ).encode() + body

    def forget_peak(self) -> None:
        """Let `peak` count from now on."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")

    def peak(self) -> int:
        """Return the most bytes of memory that the process has had since `forget_peak`."""
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        assert found is not None
        return int(found[1]) * 1024

    def files(self) -> int:
        """Return how many file descriptors the process has open."""
        return len([*Path(f"/proc/{self.pid}/fd").iterdir()])

    def memory(self) -> int:
        """Return the bytes of memory that the process has."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def chat_body(chat_id: str, text: str) -> bytes:
    """Return what `useChat` posts in a new chat."""
    message = {"id": "m1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return json.dumps({"id": chat_id, "trigger": "submit-message", "messages": [message]}).encode()


class Answer(asyncio.Protocol):
    """One request on a connection of its own, and what came back.

    Args:
        request: What is sent.
    """

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.received = bytearray()
        self.waited = 0.0
        """Seconds until the first bytes."""
        self.gaps: list[float] = []
        """Seconds between two reads that brought text."""
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the connection has ended."""
        self.sent_at = 0.0
        self._last = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.sent_at = perf_counter()
        # uvloop's are none of its subclasses.
        cast("asyncio.WriteTransport", transport).write(self.request)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and the time."""
        now = perf_counter()
        if not self.received:
            self.waited = now - self.sent_at
        self.received += data
        if DELTA in data:
            if self._last:
                self.gaps.append(now - self._last)
            self._last = now

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if not self.over.done():
            self.over.set_result(None)

    @property
    def status(self) -> int:
        """The status; 0 before there is one."""
        return int(self.received[9:12] or 0)

    @property
    def retry_after(self) -> int | None:
        """The seconds after which to come back, if a refusal says so."""
        found = re.search(rb"(?i)\r\nretry-after: (\d+)\r\n", self.received)
        return None if found is None else int(found[1])

    @property
    def deltas(self) -> int:
        """The number of deltas of text so far."""
        return self.received.count(DELTA)

    def is_whole(self, deltas: int) -> bool:
        """Return whether all of an answer of so many deltas has come."""
        return self.status == 200 and self.deltas == deltas and DONE in self.received[-64:]


async def ask(site: Site, request: bytes) -> Answer:
    """Send a request on a new connection, and return what reads its answer."""
    _, answer = await asyncio.get_running_loop().create_connection(lambda: Answer(request), "127.0.0.1", site.port)
    return answer


async def open_socket(site: Site, data: bytes = b"", *, room: int | None = None) -> socket.socket:
    """Return a connected socket that has sent these bytes, and reads nothing by itself.

    Args:
        site: The server.
        data: What is sent.
        room: Bytes that the system receives for it before anybody reads; by default as many as the system likes.
    """
    loop = asyncio.get_running_loop()
    opened = socket.socket()
    opened.setblocking(False)
    if room is not None:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    try:
        await loop.sock_connect(opened, ("127.0.0.1", site.port))
        await loop.sock_sendall(opened, data)
    except BaseException:
        opened.close()
        raise
    return opened


def count_ended(sockets: Iterable[socket.socket], beginning: bytes = b"") -> int:
    """Return how many the server has closed or answered, with bytes that begin so."""
    return sum(_has_ended(each, beginning) for each in sockets)


def _has_ended(opened: socket.socket, beginning: bytes) -> bool:
    try:
        # Left to be seen again.
        return opened.recv(64, socket.MSG_PEEK).startswith(beginning)
    except BlockingIOError:
        return False
    except ConnectionError:
        return not beginning


def close_all(sockets: Iterable[socket.socket]) -> None:
    """Close sockets."""
    for each in sockets:
        each.close()


@dataclass(frozen=True)
class State:
    """What a server does and holds."""

    answers: int
    """Answers that are being made."""
    readers: int
    """Responses that are being streamed."""
    runs: int
    files: int
    """Open file descriptors."""
    memory: int
    """Bytes."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing goes on."""
        return self.answers == self.readers == self.runs == 0


async def look(site: Site) -> State:
    """Return what a server does now, by its metrics and its system.

    Raises:
        TimeoutError: It does not answer.
    """
    answer = await ask(site, site.request("GET", "/metrics", address="192.0.2.255"))
    async with asyncio.timeout(PATIENCE):
        await answer.over
    values = dict(re.findall(r"^usechat_(\w+) (\S+)$", answer.received.decode(), re.MULTILINE))
    answers, readers, runs = (int(float(values[name])) for name in ("answers_running", "readers", "runs"))
    return State(answers, readers, runs, site.files(), site.memory())


async def until_idle(site: Site, most_files: int, *, within: float = PATIENCE) -> State:
    """Wait until a server does nothing any more and has closed its files; return what it holds then.

    Args:
        site: The server.
        most_files: File descriptors that it may keep.
        within: Seconds.

    Raises:
        AssertionError: It does not come to rest.
    """
    end = asyncio.get_running_loop().time() + within
    while True:
        state = await look(site)
        if state.is_idle and state.files <= most_files:
            return state
        assert asyncio.get_running_loop().time() < end, state
        await asyncio.sleep(_LOOK_SECONDS)
