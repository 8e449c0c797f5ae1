"""A TCP proxy that cuts a connection on which the backend has sent nothing for some time, as load balancers do."""

from __future__ import annotations

import asyncio
import contextlib
from urllib.parse import urlsplit, urlunsplit

from tests.support.listener import Listener

__all__ = ["CuttingProxy"]


class CuttingProxy(Listener):
    """A proxy before a backend.

    Args:
        url: What it stands before.
        seconds: How long the backend may be silent.
    """

    def __init__(self, url: str, *, seconds: float) -> None:
        super().__init__()
        self._parts = urlsplit(url)
        self._seconds = seconds

    @property
    def url(self) -> str:
        """The backend's URL by way of the proxy."""
        return urlunsplit(self._parts._replace(netloc=f"127.0.0.1:{self.port}"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection's bytes both ways."""
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
