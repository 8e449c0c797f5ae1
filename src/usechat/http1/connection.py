"""Send a request over one connection, and return its response in the pieces that the socket delivers.

Unread data is bounded, each silence has a time limit, and a dropped connection closes at once.
`usechat.http1.response` parses the bytes; `usechat.http1.pool` chooses the connection for a request.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import cast

from usechat.http1.errors import Http1Error, Http1TimeoutError, ReadError, RemoteProtocolError
from usechat.http1.request import Limits, Origin
from usechat.http1.response import ResponseReader

__all__ = ["Connection"]

_MAX_UNREAD_BYTES = 256 * 2**10
"""Bytes that may wait for the reader before the connection stops reading from the socket."""


class Connection(asyncio.Protocol):
    """One connection and its current response.

    Args:
        origin: The server at the other end.
        on_lost: Called with this connection when it has ended, for any reason.
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
        "_rings_at",
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
        """Number of bytes that have arrived since the last `read`."""
        self.is_held = False
        """Whether reading from the socket is paused, because the reader of the response is slow."""
        self._is_clogged = False
        """Whether the socket's send buffer is full and part of the request still waits."""
        self._waiter: asyncio.Future[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_at = math.inf
        """When the alarm rings, if it guards a wait."""
        self._deadline = 0.0
        self._limit: float | None = None
        self._read_limit: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request can be sent, as far as this side knows."""
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_reusable(self) -> bool:
        """Whether the last response is complete and another request can follow."""
        response = self._response
        is_whole = response is not None and response.is_complete and response.keeps_alive
        return is_whole and self.is_open and self._error is None and not self.is_held

    async def send(self, request: bytes, *, is_head: bool = False, limits: Limits) -> ResponseReader:
        """Send a request and return its response as soon as the head has arrived.

        Args:
            request: The bytes of the head and the body.
            is_head: Whether the method is HEAD, whose response has no body.
            limits: Seconds of silence after which the request fails.

        Raises:
            Http1Error: The connection broke, or a limit was exceeded.
        """
        self._response = response = ResponseReader(is_to_head=is_head)
        self._read_limit = limits.read
        self.unread = 0
        assert self._transport is not None
        self._transport.write(request)
        # A server that refuses a request may answer before it has read all of it.
        while self._is_clogged and not response.has_head:
            await self._wait(limits.write)
        while not response.has_head:
            await self._wait(self._read_limit)
        return response

    async def read(self) -> bytes:
        """Return the bytes of the body that have arrived; empty bytes at its end.

        Raises:
            Http1Error: The connection broke, or was silent longer than its read limit.
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
        """Mark the connection idle, and close it unless `wake` is called within this many seconds."""
        self._response = None
        self._silence()
        self._alarm = self._loop.call_later(seconds, self.abort)

    def wake(self) -> None:
        """Stop the idle timer, because another request follows."""
        self._silence()

    def abort(self) -> None:
        """Drop the connection at once and discard unread data.

        ``close`` is not used: with TLS it waits for the server's closing message, while the server continues to send.
        """
        self._silence()
        assert self._transport is not None
        self._transport.abort()

    def _wait(self, limit: float | None) -> asyncio.Future[None]:
        """Return a future of the next event on the connection; await it at once.

        A future and not a coroutine: the coroutine's frame would be held in memory for as long as an answer is open.
        """
        if self._error is not None:
            raise self._error
        self._waiter = waiter = self._loop.create_future()
        self._limit = limit
        if limit is not None:
            self._deadline = self._loop.time() + limit
            # An alarm that rings too early is set again when it rings. Setting it here, for each token, would cost
            # more than reading the token.
            if self._rings_at > self._deadline:
                self._set_alarm()
        return waiter

    def _set_alarm(self) -> None:
        self._silence()
        self._rings_at = self._deadline
        self._alarm = self._loop.call_at(self._deadline, self._ring)

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
            self._rings_at = math.inf

    def _ring(self) -> None:
        self._alarm = None
        self._rings_at = math.inf
        if self._waiter is None or self._waiter.done() or self._limit is None:
            # No call waits: the reader is still busy with data that has arrived.
            return
        if self._loop.time() < self._deadline:
            self._set_alarm()
        else:
            self._fail(Http1TimeoutError(f"nothing happened for {self._limit:g} s"))

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            # The traceback holds a frame that refers to this object: a cycle, which would live until the garbage
            # collector runs.
            self._error = error.with_traceback(None)
        self._wake_waiter()

    def _wake_waiter(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The methods of asyncio.Protocol, which the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the new connection."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse the bytes of one read of the socket, and wake the reader."""
        response = self._response
        if response is None:
            # No request is open, so the server must not send.
            self.abort()
            return
        try:
            response.feed(data)
        except RemoteProtocolError as error:
            self._fail(error)
            return
        self.unread += len(data)
        if self.unread > _MAX_UNREAD_BYTES:
            if response.has_head and not (response.pieces or response.is_complete):
                self._fail(RemoteProtocolError("the answer has more framing than content"))
                return
            if not self.is_held and self._transport is not None:
                self.is_held = True
                self._transport.pause_reading()
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def pause_writing(self) -> None:
        """Note that the send buffer is full."""
        self._is_clogged = True

    def resume_writing(self) -> None:
        """Note that the send buffer has room again, and wake the sender."""
        self._is_clogged = False
        self._wake_waiter()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the pool, and end its response."""
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
            self._wake_waiter()
