"""A pool of HTTP/1.1 connections for streams: each read of the socket becomes one piece of the body.

General clients use more CPU for each event of a stream than all later processing of the event. This client has no
proxies, redirects, cookies or retries; the caller does those. The pool chooses the connection for a request;
`usechat.http1.connection` sends and reads over it. Knows no provider.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from usechat.http1.connection import Connection
from usechat.http1.errors import ConnectError, Http1TimeoutError
from usechat.http1.request import Limits, Origin, Request

__all__ = ["Pool", "Response", "ResponseBody"]

_MAX_IDLE_CONNECTIONS = 100
"""Idle connections kept for each origin."""
_MAX_IDLE_SECONDS = 30.0
"""Load balancers drop idle connections after 60 s or more; a request must not be sent over a dropped one."""
_NEXT_ADDRESS_SECONDS = 0.25
"""Seconds after which the next address is tried in parallel with one that has not answered (RFC 8305, section 5)."""
_KEEPALIVE_OPTIONS = {"TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5, "TCP_KEEPIDLE": 60}
"""Seconds and a count. Without keep-alive probes, routers forget a connection that is silent while a model thinks for
minutes."""
_NO_LIMITS = Limits(None, None, None)


class Pool:
    """A pool of connections. Each open response holds one; their number has no limit.

    Args:
        new_tls: Makes the TLS context that verifies servers; called once, in a thread. The default is the standard
            library's.
        max_idle: The maximum number of idle connections for each origin.
        idle_seconds: Seconds after which an idle connection is closed.
    """

    def __init__(
        self,
        new_tls: Callable[[], ssl.SSLContext] = ssl.create_default_context,
        *,
        max_idle: int = _MAX_IDLE_CONNECTIONS,
        idle_seconds: float = _MAX_IDLE_SECONDS,
    ) -> None:
        self._new_tls = new_tls
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._tls: ssl.SSLContext | None = None
        self.connections: set[Connection] = set()
        """All open connections, idle ones included."""
        self._idle: dict[Origin, list[Connection]] = {}

    async def send(self, request: Request, limits: Limits = _NO_LIMITS) -> Response:
        """Send a request and return its response as soon as the head has arrived.

        Raises:
            Http1Error: The server cannot be reached, exceeds a limit, or does not answer in HTTP.
        """
        encoded = request.encode()
        connection = self._maybe_idle(request.origin) or await self._connect(request.origin, limits.connect)
        try:
            response = await connection.send(encoded, is_head=request.is_head, limits=limits)
        except BaseException:
            connection.abort()
            raise
        if request.is_last:
            response.keeps_alive = False
        return Response(response.status, response.detach_headers(), ResponseBody(connection, self._return_connection))

    async def aclose(self) -> None:
        """Close all connections, also those in use."""
        for connection in list(self.connections):
            connection.abort()

    def _maybe_idle(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin, [])
        while idle:
            connection = idle.pop()
            if connection.is_open:
                connection.wake()
                return connection
        return None

    def _return_connection(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.origin, [])
        if connection.is_reusable and len(idle) < self._max_idle:
            connection.rest(self._idle_seconds)
            idle.append(connection)
        else:
            connection.abort()

    def _forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        with suppress(ValueError):
            self._idle.get(connection.origin, []).remove(connection)

    async def _connect(self, origin: Origin, limit: float | None) -> Connection:
        try:
            async with asyncio.timeout(limit):
                connection = await self._open(origin)
        except TimeoutError as error:
            raise Http1TimeoutError(f"no connection within {limit} s") from error
        except (OSError, UnicodeError) as error:
            raise ConnectError(str(error)) from error
        self.connections.add(connection)
        return connection

    async def _open(self, origin: Origin) -> Connection:
        is_secure = origin.scheme == "https"
        if is_secure and self._tls is None:
            # In a thread, because it reads some hundred certificates and would block the event loop.
            self._tls = await asyncio.to_thread(self._new_tls)
            self._tls.set_alpn_protocols(["http/1.1"])
        opened = await _open_socket(origin.host, origin.port)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(origin, self._forget),
                sock=opened,
                ssl=self._tls if is_secure else None,
                server_hostname=origin.host if is_secure else None,
            )
        except BaseException:
            opened.close()
            raise
        return connection


class Response(NamedTuple):
    """A response whose head has arrived."""

    status: int
    headers: list[tuple[bytes, bytes]]
    """Names and values as the server sent them."""
    body: ResponseBody

    def header(self, name: bytes) -> bytes:
        """Return the value of a header: several values joined by commas, empty bytes if the header is missing.

        Args:
            name: The name in lower case.
        """
        return b", ".join(value for key, value in self.headers if key.lower() == name)


class ResponseBody:
    """The body of a response. It holds the connection until it is closed."""

    __slots__ = ("_connection", "_give_back")

    def __init__(self, connection: Connection, give_back: Callable[[Connection], None]) -> None:
        self._connection: Connection | None = connection
        self._give_back = give_back

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        """Yield pieces of the body as they arrive."""
        while data := await self.read():
            yield data

    def read(self) -> Awaitable[bytes]:
        """Return the bytes that have arrived; empty bytes at the end of the body.

        Raises:
            Http1Error: The connection broke, or was silent longer than its read limit.
        """
        assert self._connection is not None
        return self._connection.read()

    async def aclose(self) -> None:
        """Return the connection to the pool; close it at once if the response is unfinished."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._give_back(connection)


async def _open_socket(host: str, port: int) -> socket.socket:
    # uvloop's `create_connection` tries one address after the other: a dead address would use up the whole time limit.
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    opened = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE_OPTIONS.items():
        if (option := getattr(socket, name, None)) is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
    return opened
