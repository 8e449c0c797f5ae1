"""Our HTTP/1.1 client behind ``httpx2``'s interface, for requests that only the ``anthropic`` package can send.

Only the package can send requests whose token it obtains (profiles, workload identity), that are redirected, or whose
body it encodes. `usechat.models.claude.direct` sends all others. This module also bounds the size of error bodies.
"""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import AsyncGenerator

import httpx2

from usechat.errors import ConfigurationError
from usechat.http1 import Body, Limits, Origin, Pool, Request, inflated, read_at_most

__all__ = ["MAX_ERROR_BYTES", "PoolTransport", "can_reach_directly", "make_origin", "new_pool"]

MAX_ERROR_BYTES = 2**20
"""The maximum number of bytes read from the body of an error response."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_ENCODING_HEADERS = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


def can_reach_directly() -> bool:
    """Return whether no proxy is set, in the environment or, on macOS and Windows, in the system's settings."""
    return urllib.request.getproxies().keys().isdisjoint({"http", "https", "all"})


def new_pool() -> Pool:
    """Return a pool that trusts the same certificates as ``httpx2``, with ``SSL_CERT_FILE`` and ``SSL_CERT_DIR``."""
    return Pool(_new_tls)


def _new_tls() -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def make_origin(url: httpx2.URL) -> Origin:
    """Return the origin of a URL.

    Raises:
        ConfigurationError: The URL is not of http or https.
    """
    if url.scheme not in _DEFAULT_PORTS or not url.raw_host:
        raise ConfigurationError(f"the provider's address begins with neither http:// nor https:// but {url.scheme!r}")
    return Origin(url.scheme, url.raw_host.decode("ascii"), url.port or _DEFAULT_PORTS[url.scheme])


class PoolTransport(httpx2.AsyncBaseTransport):
    """A transport that sends the package's requests through a pool. It does not close the pool.

    Args:
        pool: The connections to use.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and return its response as soon as the head has arrived.

        Raises:
            Http1Error: The server cannot be reached, exceeds a limit, or does not answer in HTTP.
        """
        limits = request.extensions.get("timeout", {})
        response = await self._pool.send(
            Request(
                make_origin(request.url),
                request.method.encode("ascii"),
                request.url.raw_path,
                request.headers.raw,
                await request.aread(),
            ),
            Limits(limits.get("connect"), limits.get("read"), limits.get("write")),
        )
        body = inflated(response.body, response.header(b"content-encoding"))
        headers = [header for header in response.headers if header[0].lower() not in _ENCODING_HEADERS]
        stream = _ErrorStream(body) if response.status >= 300 else _Stream(body)
        return httpx2.Response(
            response.status, headers=headers, stream=stream, extensions={"http_version": b"HTTP/1.1"}
        )


class _Stream(httpx2.AsyncByteStream):
    def __init__(self, body: Body) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        while data := await self._body.read():
            yield data

    async def aclose(self) -> None:
        await self._body.aclose()


class _ErrorStream(_Stream):
    """The body of an error, which the package reads completely, so its size is bounded."""

    async def __aiter__(self) -> AsyncGenerator[bytes]:
        yield await read_at_most(self._body, MAX_ERROR_BYTES)
