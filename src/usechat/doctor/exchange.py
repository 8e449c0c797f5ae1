"""One request and what came back of it: what a browser has of the body after each piece, and when."""

from __future__ import annotations

import asyncio
import time
import zlib
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple

import httpx

__all__ = ["Arrival", "Exchange"]

MAX_BODY_BYTES = 16 * 2**20
FAILURES = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, zlib.error)


class Arrival(NamedTuple):
    """Bytes of a body, decompressed, that arrived together."""

    seconds: float
    """Since the request was sent."""
    data: bytes


class Exchange:
    """A request and its response, as far as it has been read.

    Args:
        seconds: Time for all of it.
    """

    def __init__(self, seconds: float) -> None:
        self.status: int | None = None
        """None if no response came."""
        self.headers = httpx.Headers()
        self.arrivals: list[Arrival] = []
        self.failure = ""
        """Why there is no response, or why its body has no end."""
        self.has_ended = False
        """Whether the body came to its end."""
        self.over: float | None = None
        """Seconds after which it came to its end or failed; None while it has done neither."""
        self.is_out_of_time = False
        """Whether it failed because its time was over."""
        self._size = 0
        self._sent = time.perf_counter()
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._response: httpx.Response | None = None
        self._pieces: AsyncGenerator[bytes] | None = None
        self._inflate: Callable[[bytes], bytes] = bytes

    @property
    def body(self) -> bytes:
        """What has arrived of the body, decompressed."""
        return b"".join(arrival.data for arrival in self.arrivals)

    @property
    def last_silence(self) -> float:
        """Seconds for which nothing had come when it ended or failed."""
        last = self.arrivals[-1].seconds if self.arrivals else 0.0
        return 0.0 if self.over is None else self.over - last

    @property
    def media_type(self) -> str:
        """The content type without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def trace(self, event: str, info: Any) -> None:
        """Note when the request begins: to connect is no part of the backend's time."""
        if event.endswith("send_request_headers.started"):
            self._sent = time.perf_counter()

    async def send(self, client: httpx.AsyncClient, request: httpx.Request) -> None:
        """Send the request and take the response's head. What hinders that becomes the `failure`."""
        request.extensions["trace"] = self.trace
        try:
            async with asyncio.timeout_at(self._deadline):
                self._response = await client.send(request, stream=True)
        except FAILURES as error:
            self._fail(error)
            return
        self.status = self._response.status_code
        self.headers = self._response.headers
        self._inflate = make_inflater(self.headers.get("content-encoding", "").strip().lower())
        self._pieces = read_raw(self._response)

    async def read(self, is_enough: Callable[[bytes], bool] | None = None) -> None:
        """Read the body to its end. What hinders that becomes the `failure`.

        Args:
            is_enough: Gets each piece of the body; after one for which it returns True, nothing more is read.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                while (data := await self._read_piece()) is not None:
                    if data and is_enough is not None and is_enough(data):
                        return
        except FAILURES as error:
            self._fail(error)

    async def close(self) -> None:
        """Leave, with the body read or not."""
        if self._pieces is not None:
            await self._pieces.aclose()
        if self._response is not None:
            await self._response.aclose()

    async def _read_piece(self) -> bytes | None:
        if self._pieces is None or self.has_ended or self.failure:
            return None
        raw = await anext(self._pieces, None)
        if raw is None:
            self.has_ended = True
            self.over = self._elapsed()
            return None
        data = self._inflate(raw)
        self._size += len(data)
        if self._size > MAX_BODY_BYTES:
            self.failure = f"more than {MAX_BODY_BYTES >> 20} MB came"
            return None
        # A compressor's header, or what it holds back, is nothing that the browser could show.
        if data:
            self.arrivals.append(Arrival(self._elapsed(), data))
        return data

    def _elapsed(self) -> float:
        return time.perf_counter() - self._sent

    def _fail(self, error: Exception) -> None:
        self.is_out_of_time = isinstance(error, TimeoutError | httpx.TimeoutException)
        self.failure = "its time was over" if self.is_out_of_time else str(error) or type(error).__name__
        self.over = self._elapsed()


async def read_raw(response: httpx.Response) -> AsyncGenerator[bytes]:
    async for piece in response.aiter_raw():
        yield piece


def make_inflater(encoding: str) -> Callable[[bytes], bytes]:
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        return bytes
    decoder = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    return lambda data: decoder.decompress(data, MAX_BODY_BYTES + 1)
