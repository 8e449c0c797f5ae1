"""The cheapest way to read a streamed response in Python: an asyncio protocol on httptools, with kept connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast
from urllib.parse import urlsplit

import httptools

__all__ = ["ByteClient"]

_MAX_BUFFERED = 256 * 2**10


class _Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.pieces: list[bytes] = []
        self.buffered = 0
        self.is_done = True
        self.is_closed = False
        self.is_paused = False
        self.waiter: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but name.
        self.transport = cast("asyncio.Transport", transport)

    def begin(self, request: bytes) -> None:
        """Send a request, and expect its response."""
        assert self.transport is not None
        self.parser = httptools.HttpResponseParser(self)
        self.is_done = False
        self.transport.write(request)

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self.pieces.append(body)
        self.buffered += len(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.is_done = True

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        self.parser.feed_data(data)
        if self.buffered > _MAX_BUFFERED and not self.is_paused:
            self.is_paused = True
            self.transport.pause_reading()
        if self.pieces or self.is_done:
            self.wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_closed = True
        self.wake()

    def wake(self) -> None:
        """Let the reader go on."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def read(self) -> AsyncIterator[bytes]:
        """The body, as much as has come at a time."""
        assert self.transport is not None
        while True:
            if self.pieces:
                pieces, self.pieces, self.buffered = self.pieces, [], 0
                if self.is_paused:
                    self.is_paused = False
                    self.transport.resume_reading()
                yield b"".join(pieces)
            elif self.is_done or self.is_closed:
                return
            else:
                self.waiter = asyncio.get_running_loop().create_future()
                await self.waiter
                self.waiter = None


class ByteClient:
    """Posts to one server."""

    def __init__(self, base_url: str) -> None:
        parts = urlsplit(base_url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.idle: list[_Connection] = []

    async def post(self, path: str, body: bytes, headers: dict[str, str]) -> AsyncIterator[bytes]:
        """The bytes of the response's body as they come."""
        connection = await self.connect()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {path} HTTP/1.1\r\nhost: {self.host}:{self.port}\r\n{lines}content-length: {len(body)}\r\n\r\n"
        connection.begin(head.encode() + body)
        try:
            async for data in connection.read():
                yield data
        finally:
            if connection.is_done and not connection.is_closed:
                self.idle.append(connection)
            elif connection.transport is not None:
                connection.transport.close()

    async def connect(self) -> _Connection:
        """A connection that nobody uses."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.is_closed:
                return connection
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        return connection
