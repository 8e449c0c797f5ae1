"""Where an answer's parts are read from: the raw body of a response, or events that the package has read itself.

An open answer may last for minutes, and a server holds hundreds: what was needed to open it (the request with the whole
conversation, the package's and ``httpx2``'s objects, headers) is let go of here, where only the connection is kept.
What the bytes mean is `usechat.models.anthropic_events`' job.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable
from typing import TYPE_CHECKING, Protocol

from usechat.models.anthropic_errors import mapped_errors
from usechat.models.anthropic_events import AnthropicStream
from usechat.parts import DeltaRun, ModelPart
from usechat.sink import Taker

if TYPE_CHECKING:
    from anthropic import AsyncStream

    from usechat.models.anthropic_transport import ResponseBody

__all__ = ["Source", "make_source"]

_AWS_EVENT_STREAM = "application/vnd.amazon.eventstream"
_DRAIN_SECONDS = 1.0
"""How long the connection may take to end after ``message_stop``; one that does not is closed, not kept."""


class Source(Protocol):
    """Gives an answer's parts, in the batches that its connection brings."""

    async def read(self) -> list[ModelPart | DeltaRun] | None:
        """The parts of the next read, which may be none; None when nothing more will come.

        Raises:
            ProviderError: The connection broke.
        """
        ...

    def divert(self, taker: Taker[list[ModelPart | DeltaRun]]) -> None:
        """Offer ``taker`` each batch that comes while somebody waits for it, where the connection is our own."""
        ...

    async def aclose(self) -> None:
        """Let go of the connection; one that is not at its end is closed at once."""
        ...


def make_source(connection: ResponseBody | AsyncStream[object], stream: AnthropicStream) -> Source:
    """The source of a response that has begun.

    Args:
        connection: Its events as they come, or the response as the package gives it.
        stream: Reads what comes.
    """
    from usechat.models.anthropic_transport import BODY, ResponseBody

    if isinstance(connection, ResponseBody):
        return _OwnBody(connection, stream)
    response = connection.response
    if response.headers.get("content-type", "").startswith(_AWS_EVENT_STREAM):
        return _PackageEvents(connection, stream)
    own: ResponseBody | None = response.extensions.get(BODY)
    if own is None or "content-encoding" in response.headers:
        return _RawBody(_PackageBody(connection), stream)
    return _OwnBody(own, stream)


class _Body(Protocol):
    def read(self) -> Awaitable[bytes]:
        """What has come; nothing at the end."""
        ...

    async def aclose(self) -> None: ...


class _PackageBody:
    """A body that comes through the package's own transport, or is compressed."""

    def __init__(self, connection: AsyncStream[object]) -> None:
        self._connection = connection
        response = connection.response
        is_encoded = "content-encoding" in response.headers
        self._reads: AsyncGenerator[bytes] = response.aiter_bytes() if is_encoded else response.aiter_raw()

    async def read(self) -> bytes:
        return await anext(self._reads, b"")

    async def aclose(self) -> None:
        await self._reads.aclose()
        await self._connection.close()


class _RawBody:
    """Reads the body by itself, because the package's event objects cost thirty times as much."""

    __slots__ = ("_body", "_is_drained", "_stream")

    def __init__(self, body: _Body, stream: AnthropicStream) -> None:
        self._body: _Body = body
        self._stream = stream
        self._is_drained = False

    async def read(self) -> list[ModelPart | DeltaRun] | None:
        if self._stream.is_complete:
            return None if self._is_drained else await self._drain()
        with mapped_errors(is_reading=True):
            data = await self._body.read()
        return self._stream.gather(data) if data else None

    def divert(self, taker: Taker[list[ModelPart | DeltaRun]]) -> None:
        """Nothing: what comes through the package's own transport has to be waited for."""

    async def _drain(self) -> list[ModelPart | DeltaRun]:
        """Read to the end of a message that is complete, so that its connection can serve the next."""
        self._is_drained = True
        parts: list[ModelPart | DeltaRun] = []
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while data := await self._body.read():
                    parts += self._stream.gather(data)
        return parts

    async def aclose(self) -> None:
        await self._body.aclose()


class _OwnBody(_RawBody):
    """Reads a body that comes through our own transport, which can call instead of being waited for."""

    __slots__ = ("_error", "_made", "_own", "_taker")

    def __init__(self, body: ResponseBody, stream: AnthropicStream) -> None:
        super().__init__(body, stream)
        self._own = body
        self._taker: Taker[list[ModelPart | DeltaRun]] | None = None
        self._made: list[ModelPart | DeltaRun] | None = None
        """What was made of the last bytes and not taken."""
        self._error: Exception | None = None

    async def read(self) -> list[ModelPart | DeltaRun] | None:
        if self._stream.is_complete:
            self._own.divert(None)
            parts = await super().read()
        else:
            # Not by `super`: a coroutine less for as long as the answer is open.
            with mapped_errors(is_reading=True):
                data = await self._own.read()
            parts = self._stream.gather(data) if data else None
        made, self._made = self._made, None
        if self._error is not None:
            raise self._error
        return parts if made is None else made + (parts or [])

    def divert(self, taker: Taker[list[ModelPart | DeltaRun]]) -> None:
        self._taker = taker
        self._own.divert(self._take)

    def _take(self, data: bytes) -> bool:
        assert self._taker is not None
        try:
            parts = self._stream.gather(data)
        except Exception as error:  # noqa: BLE001 - raised where the answer is read
            self._error = error
            return False
        if not self._stream.is_complete and (not parts or self._taker(parts)):
            return True
        self._made = parts
        return False


class _PackageEvents:
    """Events in a framing that the package reads."""

    def __init__(self, connection: AsyncStream[object], stream: AnthropicStream) -> None:
        self._connection = connection
        self._events = aiter(connection)
        self._stream = stream

    async def read(self) -> list[ModelPart | DeltaRun] | None:
        with mapped_errors(is_reading=True):
            event = await anext(self._events, None)
        return None if event is None else [*self._stream.feed_event(event)]

    def divert(self, taker: Taker[list[ModelPart | DeltaRun]]) -> None:
        """Nothing: the package reads by itself."""

    async def aclose(self) -> None:
        await self._connection.close()
