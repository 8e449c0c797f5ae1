"""HTTP/1.1 for the ``anthropic`` package's client, made for streams: what one read of the socket brought is one piece.

The package's own transports cost more for each token than all that we do with it. This one is a pool of connections
(`usechat.models.anthropic_connection`) behind ``httpx2``'s interface, so that keys, retries, redirects and errors
stay the package's. It has no proxies: see `can_reach_directly`. Knows nothing of messages or events.

Facts from ``anthropic`` 2.12 (``_base_client.py``: limits and socket options) and ``httpcore2`` 2.16.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import urllib.request
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import httpx2
from aiohappyeyeballs import start_connection  # pyright: ignore[reportUnknownVariableType]

from usechat.models.anthropic_connection import Connection, Origin
from usechat.models.anthropic_response import ResponseReader

__all__ = ["BODY", "TRY", "Exchange", "RequestHead", "ResponseBody", "StreamingTransport", "can_reach_directly"]

BODY = "usechat.body"
"""The extension of a response that holds its `ResponseBody`, without the layers around it."""
TRY = "usechat.try"
"""The extension of a request that was sent already: a function that gives its `Exchange`, once, or raises what failed.
The second time it gives None, for a request that follows a redirect has the first one's extensions."""

_MAX_IDLE_CONNECTIONS = 100
"""For each origin; as many as the package's own transport keeps."""
_MAX_IDLE_SECONDS = 30.0
"""Load balancers drop idle connections after 60 s and more; a request must not meet a dropped one."""
_NEXT_ADDRESS_SECONDS = 0.25
"""When the next address is tried beside one that has not answered (RFC 8305, section 5)."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_KEEPALIVE_OPTIONS = {"TCP_KEEPINTVL": 60, "TCP_KEEPCNT": 5, "TCP_KEEPIDLE": 60}
"""As the package sets them: routers forget a connection on which a model thinks for minutes."""


def can_reach_directly() -> bool:
    """Whether the system names no proxy: neither the environment nor, on macOS and Windows, the settings."""
    return urllib.request.getproxies().keys().isdisjoint({"http", "https", "all"})


class StreamingTransport(httpx2.AsyncBaseTransport):
    """A pool of connections, of which each open answer holds one; their number has no limit.

    Args:
        tls: How servers are verified; by default as ``httpx2`` does it, with ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self.connections: set[Connection] = set()
        """Those that are open, idle ones included."""
        self._idle: dict[Origin, list[Connection]] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; return its response as soon as its head has come.

        Raises:
            httpx2.TransportError: The server cannot be reached, takes too long, or answers with something else than
                HTTP.
        """
        maybe_take: Callable[[], Exchange | None] = request.extensions.get(TRY, _nothing)
        exchange = maybe_take() or await self.exchange(RequestHead(request), await request.aread())
        return httpx2.Response(
            exchange.response.status,
            headers=exchange.response.take_headers(),
            stream=exchange.body,
            extensions={"http_version": b"HTTP/1.1", BODY: exchange.body},
        )

    async def exchange(self, head: RequestHead, content: bytes) -> Exchange:
        """Send a request; return as soon as the head of its response has come.

        Raises:
            httpx2.TransportError: As for `handle_async_request`.
        """
        connection = self._maybe_idle(head.origin) or await self._connect(head.origin, head.limits.get("connect"))
        try:
            response = await connection.send(head.encode(content), is_head=head.is_head, limits=head.limits)
        except BaseException:
            connection.abort()
            raise
        if head.is_last:
            response.keeps_alive = False
        return Exchange(response, ResponseBody(connection, self._take_back))

    async def aclose(self) -> None:
        """Close all connections, those in use included."""
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

    def _take_back(self, connection: Connection) -> None:
        idle = self._idle.setdefault(connection.origin, [])
        if connection.is_reusable and len(idle) < _MAX_IDLE_CONNECTIONS:
            connection.rest(_MAX_IDLE_SECONDS)
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
            raise httpx2.ConnectTimeout(f"no connection within {limit} s") from error
        except (OSError, UnicodeError) as error:
            raise httpx2.ConnectError(str(error)) from error
        self.connections.add(connection)
        return connection

    async def _open(self, origin: Origin) -> Connection:
        scheme, host, port, server_name = origin
        is_secure = scheme == "https"
        if is_secure and self._tls is None:
            # In a thread: it reads some hundred certificates.
            self._tls = await asyncio.to_thread(_new_tls)
        opened = await _open_socket(host, port)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(origin, self._forget),
                sock=opened,
                ssl=self._tls if is_secure else None,
                server_hostname=server_name if is_secure else None,
            )
        except BaseException:
            opened.close()
            raise
        return connection


class RequestHead:
    """A request without its body, as it goes over the wire; serves any number of requests that differ in body alone.

    Args:
        request: One of them. That it says how long its body is, or that it does not, holds for all.

    Raises:
        httpx2.UnsupportedProtocol: Its URL is neither of http nor of https.
        httpx2.LocalProtocolError: A header holds a line end.
    """

    __slots__ = ("_is_chunked", "_lines", "_tells_length", "is_head", "is_last", "limits", "origin")

    def __init__(self, request: httpx2.Request) -> None:
        self.origin = _origin(request)
        self.limits: Mapping[str, float | None] = request.extensions.get("timeout", {})
        self.is_head = request.method == "HEAD"
        """Whether its method is HEAD."""
        self.is_last = "close" in request.headers.get("connection", "").lower()
        """Whether no other request is to follow on its connection."""
        self._is_chunked = "transfer-encoding" in request.headers
        self._tells_length = "content-length" in request.headers
        self._lines = _head_lines(request)

    def encode(self, body: bytes) -> bytes:
        """The request with a body."""
        if self._is_chunked:
            # What `httpx2` says of a body whose length it did not know.
            chunk = b"%x\r\n%s\r\n" % (len(body), body) if body else b""
            return b"%s\r\n%s0\r\n\r\n" % (self._lines, chunk)
        length = b"content-length: %d\r\n" % len(body) if self._tells_length else b""
        return b"%s%s\r\n%s" % (self._lines, length, body)


class Exchange(NamedTuple):
    """A request that was sent, and its response so far."""

    response: ResponseReader
    body: ResponseBody


class ResponseBody(httpx2.AsyncByteStream):
    """The body of a response, which holds the connection until it is closed."""

    def __init__(self, connection: Connection, give_back: Callable[[Connection], None]) -> None:
        self._connection: Connection | None = connection
        self._give_back = give_back

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        """As much at a time as has come."""
        while data := await self.read():
            yield data

    def read(self) -> Awaitable[bytes]:
        """What has come; nothing at the end."""
        assert self._connection is not None
        return self._connection.read()

    async def aclose(self) -> None:
        """Give the connection back; one with an unfinished response is closed at once."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            self._give_back(connection)


def _origin(request: httpx2.Request) -> Origin:
    url = request.url
    if url.scheme not in _DEFAULT_PORTS:
        raise httpx2.UnsupportedProtocol(f"the URL begins with neither http:// nor https:// but {url.scheme!r}")
    host = url.raw_host.decode("ascii")
    return url.scheme, host, url.port or _DEFAULT_PORTS[url.scheme], request.extensions.get("sni_hostname") or host


def _head_lines(request: httpx2.Request) -> bytes:
    """The request's first line and its headers, but for the length of a body."""
    lines = [b"%s %s HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw if header[0].lower() != b"content-length"]
    if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
        # It would be read as further headers.
        raise httpx2.LocalProtocolError("a header holds a line end")
    return b"\r\n".join(lines) + b"\r\n"


def _nothing() -> None:
    return None


def _new_tls() -> ssl.SSLContext:
    context = httpx2.create_ssl_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


async def _open_socket(host: str, port: int) -> socket.socket:
    # uvloop's own `create_connection` tries one address after the other: a dead one would take all the time there is.
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    opened = await start_connection(found, happy_eyeballs_delay=_NEXT_ADDRESS_SECONDS, interleave=1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE_OPTIONS.items():
        if (option := getattr(socket, name, None)) is not None:
            opened.setsockopt(socket.IPPROTO_TCP, option, value)
    return opened
