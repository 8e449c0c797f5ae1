"""A connection to a server: sends a request, hands on its response in the pieces that the socket brought.

What waits unread is bounded, each silence has its limit, and a connection that is dropped is gone at once. What the
bytes mean is `usechat.http1.response`' job; which connection serves which request is `usechat.http1.pool`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from usechat.http1.errors import Http1Error, Http1TimeoutError, ReadError, RemoteProtocolError
from usechat.http1.request import Limits, Origin
from usechat.http1.response import ResponseReader

__all__ = ["Connection"]

_MAX_UNREAD_BYTES = 256 * 2**10
"""How much may wait for its reader before the socket is left unread."""


class Connection(asyncio.Protocol):
    """One connection, and the response that is coming over it.

    Args:
        origin: What it is connected to.
        on_lost: Told when it has ended, for whatever reason.
    """

    __slots__ = (
        "_alarm",
        "_deadline",
        "_error",
        "_is_clogged",
        "_limit",
        "_loop",
        "_on_lost",
        "_read_limit",
        "_response",
        "_transport",
        "_waiter",
        "is_held",
        "origin",
        "unread",
    )

    def __init__(self, origin: Origin, on_lost: Callable[[Connection], None]) -> None:
        self.origin = origin
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._response: ResponseReader | None = None
        self._error: Exception | None = None
        self.unread = 0
        """How many bytes have come since the last `read`."""
        self.is_held = False
        """Whether the socket is left unread, for its reader is slow."""
        self._is_clogged = False
        """Whether the request is more than the socket takes at once."""
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._limit: float | None = None
        self._read_limit: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent over it, as far as is known."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_reusable(self) -> bool:
        """Whether the last response is whole and another request can follow."""
        response = self._response
        is_whole = response is not None and response.is_complete and response.keeps_alive
        return is_whole and self.is_open and self._error is None and not self.is_held

    async def send(self, request: bytes, *, is_head: bool = False, limits: Limits) -> ResponseReader:
        """Send a request; return its response when the head has come.

        Args:
            request: Head and body.
            is_head: Whether its method is HEAD.
            limits: How long nothing may happen.

        Raises:
            Http1Error: The connection broke, or something took too long.
        """
        self._response = response = ResponseReader(is_to_head=is_head)
        self._read_limit = limits.read
        self.unread = 0
        assert self._transport is not None
        self._transport.write(request)
        # A server may answer a request that it refuses before it has read it.
        while self._is_clogged and not response.has_head:
            await self._wait(limits.write)
        while not response.has_head:
            await self._wait(self._read_limit)
        return response

    async def read(self) -> bytes:
        """Return what has come of the body; nothing at its end.

        Raises:
            Http1Error: The connection broke, or was silent for too long.
        """
        response = self._response
        assert response is not None
        pieces = response.pieces
        while not pieces:
            if response.is_complete:
                return b""
            await self._wait(self._read_limit)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.unread = 0
        if self.is_held:
            self.is_held = False
            assert self._transport is not None
            self._transport.resume_reading()
        return data

    def rest(self, seconds: float) -> None:
        """The response is over: wait so long for `wake`, then close."""
        self._response = None
        self._silence()
        self._alarm = self._loop.call_later(seconds, self.abort)

    def wake(self) -> None:
        """Another request follows."""
        self._silence()

    def abort(self) -> None:
        """Drop the connection, whatever is still to come over it.

        Not ``close``, which with TLS waits for the server's farewell while the server goes on sending.
        """
        self._silence()
        assert self._transport is not None
        self._transport.abort()

    def _wait(self, limit: float | None) -> asyncio.Future[None]:
        """Anything that happens, to be awaited at once; no coroutine, for one would be held while an answer is open."""
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._loop.create_future()
        self._limit = limit
        if limit is not None:
            self._deadline = self._loop.time() + limit
            # An alarm that rings too early is set anew then: to do it now, for each token, would cost more than to
            # read the token.
            if self._alarm is None or self._alarm.when() > self._deadline:
                self._set_alarm()
        return waiter

    def _set_alarm(self) -> None:
        self._silence()
        self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ring(self) -> None:
        self._alarm = None
        if self._waiter is None or self._waiter.done() or self._limit is None:
            # Nobody waits: who reads is busy with what has come.
            return
        if self._loop.time() < self._deadline:
            self._set_alarm()
        else:
            self._fail(Http1TimeoutError(f"nothing happened for {self._limit:g} s"))

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self._tell()

    def _tell(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """One read of the socket."""
        response = self._response
        if response is None:
            # Nobody has asked for anything.
            self.abort()
            return
        try:
            response.feed(data)
        except RemoteProtocolError as error:
            self._fail(error)
            return
        self.unread += len(data)
        if self.unread > _MAX_UNREAD_BYTES and response.has_head and not (response.pieces or response.is_complete):
            self._fail(RemoteProtocolError("the answer has more framing than content"))
            return
        if self.unread > _MAX_UNREAD_BYTES and not self.is_held and self._transport is not None:
            self.is_held = True
            self._transport.pause_reading()
        self._tell()

    def pause_writing(self) -> None:
        """The socket does not take all of the request yet."""
        self._is_clogged = True

    def resume_writing(self) -> None:
        """It has taken most of it."""
        self._is_clogged = False
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        self._silence()
        self._on_lost(self)
        if self._response is None:
            return
        try:
            if exc is not None and not self._response.is_complete:
                raise ReadError(str(exc) or type(exc).__name__) from exc
            self._response.feed_end()
        except Http1Error as error:
            self._fail(error)
        else:
            self._tell()
