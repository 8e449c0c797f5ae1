"""A TCP proxy that cuts a connection on which the backend has sent nothing for some time, as load balancers do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit, urlunsplit

__all__ = ["CuttingProxy"]


class CuttingProxy:
    """A proxy on a free port of loopback, in the test's own event loop.

    Args:
        url: What it stands before.
        seconds: How long the backend may be silent.
    """

    def __init__(self, url: str, *, seconds: float) -> None:
        self._parts = urlsplit(url)
        self._seconds = seconds
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = urlunsplit(self._parts._replace(netloc=f"127.0.0.1:{port}"))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._connect(reader, writer)
        finally:
            writer.close()
            self._connections.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        asking = asyncio.create_task(carry(reader, far_writer, seconds=None))
        try:
            await carry(far_reader, writer, seconds=self._seconds)
        finally:
            asking.cancel()
            far_writer.close()


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, seconds: float | None) -> None:
    """Hand on what comes, until the end or a silence of so many seconds."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        while data := await asyncio.wait_for(reader.read(65536), seconds):
            writer.write(data)
            await writer.drain()
