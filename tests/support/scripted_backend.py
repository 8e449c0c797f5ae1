"""A backend of useChat that answers as it is told, also wrongly: plain asyncio, in the test's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.listener import Listener

__all__ = ["CHUNKS", "EVENT_HEADERS", "Answer", "Behaviour", "ScriptedBackend", "frame"]

EVENT_HEADERS: Mapping[str, str] = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache",
    "x-vercel-ai-ui-message-stream": "v1",
}
CHUNKS: Sequence[Mapping[str, Any]] = (
    {"type": "start", "messageId": "a1"},
    {"type": "start-step"},
    {"type": "text-start", "id": "t"},
    *({"type": "text-delta", "id": "t", "delta": f"Wave {number}. "} for number in range(6)),
    {"type": "text-end", "id": "t"},
    {"type": "finish-step"},
    {"type": "finish"},
)


def frame(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: str = "200 OK"
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    pieces: Sequence[bytes] = ()
    pause: float = 0
    """Seconds before each piece."""
    is_whole: bool = False
    """Whether it has a content-length and is sent when all pauses are over."""
    is_cut: bool = False
    """Whether it has no end."""
    is_held: bool = False
    """Whether nothing comes after the pieces, and the connection stays open."""
    is_kept: bool = False
    """Whether the connection is kept, and closed at the next request."""


@dataclass(frozen=True)
class Behaviour:
    """What a backend does; as it stands, all is right and nothing can be resumed."""

    answer: Answer = field(
        default_factory=lambda: Answer("200 OK", EVENT_HEADERS, [*map(frame, CHUNKS), b"data: [DONE]\n\n"], 0.1)
    )
    unreadable: Answer = field(default_factory=lambda: Answer("400 Bad Request", {}, [b"The body is no JSON."]))
    stream: Answer = field(default_factory=lambda: Answer("404 Not Found"))
    options: Answer = field(default_factory=lambda: Answer("405 Method Not Allowed"))

    def answering(self, **changes: Any) -> Behaviour:
        """Return one whose answer differs."""
        return replace(self, answer=replace(self.answer, **changes))

    def with_chunks(self, *chunks: Mapping[str, Any]) -> Behaviour:
        """Return one whose answer has these chunks and the terminator, without pauses."""
        return self.answering(pieces=[*map(frame, chunks), b"data: [DONE]\n\n"], pause=0)

    def choose(self, method: str, body: bytes) -> Answer:
        if method == "OPTIONS":
            return self.options
        if method == "GET":
            return self.stream
        try:
            json.loads(body)
        except ValueError:
            return self.unreadable
        return self.answer


class ScriptedBackend(Listener):
    """A server of a behaviour.

    Args:
        behaviour: What it does.
    """

    def __init__(self, behaviour: Behaviour) -> None:
        super().__init__()
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        """Method, path, headers and body of each request."""
        self._behaviour = behaviour

    @property
    def origin(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL of its chat route."""
        return f"{self.origin}/api/chat"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answer(reader, writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, version = head[0].split(" ", 2)
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append((method, path, headers, body))
        answer = self._behaviour.choose(method, body)
        # RFC 9110: a 204 has neither length nor body. RFC 9112: HTTP/1.0 knows no chunks, and its bodies end with the
        # connection, so that a proxy cannot tell where a piece ends.
        is_chunked = version != "HTTP/1.0" and bool(answer.pieces) and not answer.is_whole
        framing = {"transfer-encoding": "chunked"} if is_chunked else {}
        if answer.is_whole or not (answer.pieces or answer.status.startswith("204")):
            framing = {"content-length": str(sum(map(len, answer.pieces)))}
        kept = {"connection": "keep-alive" if answer.is_kept else "close"}
        lines = [f"{name}: {value}" for name, value in {**answer.headers, **framing, **kept}.items()]
        first = "\r\n".join([f"HTTP/1.1 {answer.status}", *lines, "", ""]).encode("latin-1")
        if answer.is_whole:
            await asyncio.sleep(answer.pause * len(answer.pieces))
            writer.write(first + b"".join(answer.pieces))
        else:
            writer.write(first)
            for piece in answer.pieces:
                await asyncio.sleep(answer.pause)
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
                await writer.drain()
            if answer.is_held:
                await reader.read()
            writer.write(b"0\r\n\r\n" if is_chunked and not answer.is_cut else b"")
        await writer.drain()
        if answer.is_kept:
            await reader.read(1)
