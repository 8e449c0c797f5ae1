"""Read an answer's parts from the raw body of a response, or from events that the ``anthropic`` package has read.

An answer may be open for minutes, and a server holds hundreds. So this module keeps only the connection, and releases
the objects that opened it (the request with the whole conversation, objects of the package and of ``httpx2``, headers).
It also bounds the size of an answer. `usechat.models.claude.response.events` parses the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

from usechat.errors import DecodeError, ProviderError, ProviderStreamError
from usechat.models.claude.errors import raise_mapped
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import ModelPart

if TYPE_CHECKING:
    from anthropic import AsyncStream

    from usechat.http1 import Body, Response

__all__ = ["MAX_CALL_BYTES", "Opened", "Source", "headers_of", "make_source", "read_parts"]

MAX_CALL_BYTES = 128 * 2**20
"""The maximum size of the response to one call, in inflated bytes.

The longest today (128,000 tokens, one an event) has some 20 MiB.
"""

_AWS_EVENT_STREAM = "application/vnd.amazon.eventstream"
_DRAIN_SECONDS = 1.0
"""Seconds to wait for the end of the body after ``message_stop``. Later the connection is closed and not reused."""


class Source(Protocol):
    """A reader of an answer's parts, in batches as they arrive on the connection.

    Implemented by: `_RawBody`, `_PackageEvents`.
    """

    async def read(self) -> list[ModelPart] | None:
        """Return the parts of the next read, which may be empty; ``None`` at the end.

        Raises:
            ProviderError: The connection broke.
        """
        ...

    async def aclose(self) -> None:
        """Release the connection. If the answer is not complete, the connection is closed at once."""
        ...


class Opened(NamedTuple):
    """An open answer."""

    source: Source
    stream: AnthropicStream
    first: list[ModelPart]
    """The first batch of parts; empty when the answer has already ended."""


async def read_parts(open_answer: Callable[[], Awaitable[Opened]]) -> AsyncGenerator[list[ModelPart]]:
    """Yield the parts of one call, from its first batch to the `ModelFinish`. Closing this closes the connection.

    Args:
        open_answer: Opens the answer; called when the first batch is read. Its errors are raised unchanged.
    """
    source, stream, first = await open_answer()
    # The function holds the request with the whole conversation.
    del open_answer
    try:
        if first:
            yield first
        while (parts := await source.read()) is not None:
            if parts:
                yield parts
    except ProviderError as error:
        yield stream.fail(error)
    finally:
        await source.aclose()
    yield stream.finish()


def make_source(opened: Response | AsyncStream[object], stream: AnthropicStream) -> Source:
    """Return the source of an open response.

    Args:
        opened: The response, of our HTTP client or of the package.
        stream: The parser of the events.
    """
    from usechat.http1 import Response, inflated

    if isinstance(opened, Response):
        return _RawBody(inflated(opened.body, opened.header(b"content-encoding")), stream)
    headers = opened.response.headers
    if headers.get("content-type", "").startswith(_AWS_EVENT_STREAM):
        return _PackageEvents(opened, stream)
    return _RawBody(inflated(_PackageBody(opened), headers.get("content-encoding", "").encode()), stream)


def headers_of(opened: Response | AsyncStream[object]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of an open response, as the server sent them."""
    from usechat.http1 import Response

    return tuple(opened.headers if isinstance(opened, Response) else opened.response.headers.raw)


class _PackageBody:
    """A response body that the package's client reads."""

    def __init__(self, connection: AsyncStream[object]) -> None:
        self._connection = connection
        self._reads = connection.response.aiter_raw()

    async def read(self) -> bytes:
        return await anext(self._reads, b"")

    async def aclose(self) -> None:
        await self._reads.aclose()
        await self._connection.close()


class _RawBody:
    """A source that parses the raw body, because the package's event objects cost thirty times as much."""

    __slots__ = ("_body", "_is_drained", "_size", "_stream")

    def __init__(self, body: Body, stream: AnthropicStream) -> None:
        self._body = body
        self._stream = stream
        self._size = 0
        self._is_drained = False

    async def read(self) -> list[ModelPart] | None:
        if self._stream.is_complete:
            return None if self._is_drained else await self._drain()
        try:
            data = await self._body.read()
        except Exception as error:
            raise_mapped(error, is_reading=True)
            raise
        return self._feed(data) if data else None

    def _feed(self, data: bytes) -> list[ModelPart]:
        self._size += len(data)
        if self._size > MAX_CALL_BYTES:
            raise _too_large(f"the answer is longer than {MAX_CALL_BYTES} bytes")
        try:
            return self._stream.feed(data)
        except DecodeError as error:
            raise _too_large(str(error)) from None

    async def _drain(self) -> list[ModelPart]:
        """Read to the end of the body after a complete message, so that the connection can be reused."""
        self._is_drained = True
        parts: list[ModelPart] = []
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while data := await self._body.read():
                    parts += self._feed(data)
        return parts

    async def aclose(self) -> None:
        await self._body.aclose()


class _PackageEvents:
    """A source for framings that only the package can read (Amazon's event stream)."""

    def __init__(self, connection: AsyncStream[object], stream: AnthropicStream) -> None:
        self._connection = connection
        self._events = aiter(connection)
        self._stream = stream

    async def read(self) -> list[ModelPart] | None:
        try:
            event = await anext(self._events, None)
        except Exception as error:
            raise_mapped(error, is_reading=True)
            raise
        return None if event is None else [*self._stream.feed_event(event)]

    async def aclose(self) -> None:
        await self._connection.close()


def _too_large(text: str) -> ProviderStreamError:
    return ProviderStreamError(text, provider="anthropic", code="too_large")
