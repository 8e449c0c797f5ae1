"""An answer's response for frameworks that are not built on Starlette: a status, headers, and an iterator of bytes.

It runs the response as an ASGI server would, so heartbeats, refusals, broken streams and readers that leave are what
they are everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol, TypeAlias

from starlette.types import ASGIApp, Message, Scope

from usechat.errors import UsechatError

__all__ = ["AnswerBody", "AnswerStream", "RequestHeaders", "open_stream"]


RESPONSES: set[asyncio.Task[None]] = set()
"""Running responses. The event loop itself keeps no strong reference to a task."""


class HeaderItems(Protocol):
    """Headers of any framework: names and values, in any case."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return names with their values."""
        ...


RequestHeaders: TypeAlias = HeaderItems | Mapping[str, str]


class AnswerStream(NamedTuple):
    """A response whose body comes while it is sent."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: AnswerBody


class Channel:
    """The link from a response to its body: the ASGI functions of the response, and one piece on its way."""

    def __init__(self) -> None:
        self.start: Message = {}
        self.piece = b""
        self.changed = asyncio.Event()
        """Set when a piece has come, or the response has begun or ended."""
        self.taken = asyncio.Event()
        """Set when the piece was taken."""
        self.gone = asyncio.Event()
        """Set when the reader has left."""

    async def receive(self) -> Message:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.start = message
            self.changed.set()
        elif message["body"] and not self.gone.is_set():
            self.piece = message["body"]
            self.taken.clear()
            self.changed.set()
            await self.taken.wait()

    def take(self) -> bytes:
        piece, self.piece = self.piece, b""
        self.changed.clear()
        self.taken.set()
        return piece

    def leave(self) -> None:
        self.gone.set()
        self.taken.set()


class AnswerBody:
    """The bytes of a response, as they come: an asynchronous iterator to read once.

    The reader leaves by closing it, cancelling a read or letting go of it. A read raises `AnswerFailedError` when the
    answer failed and its format cannot tell so: let it pass, so that the connection breaks.
    """

    def __init__(self, channel: Channel, task: asyncio.Task[None]) -> None:
        self._channel = channel
        self._task = task
        self._loop = asyncio.get_running_loop()

    def __aiter__(self) -> AnswerBody:
        """Return this object."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next bytes.

        Raises:
            AnswerFailedError: The connection must break; see the class.
        """
        channel = self._channel
        try:
            while not channel.piece:
                if self._task.done():
                    if not channel.gone.is_set():
                        self._task.result()
                    raise StopAsyncIteration
                channel.changed.clear()
                await channel.changed.wait()
        except asyncio.CancelledError:
            channel.leave()
            raise
        return channel.take()

    async def aclose(self) -> None:
        """Leave. Return once everything that ends with this reader has ended."""
        self._channel.leave()
        self._channel.take()
        await asyncio.wait({self._task})

    def __del__(self) -> None:
        # Some frameworks let go of a body whose client has left, without closing it.
        if not self._task.done():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._channel.leave)


async def open_stream(app: ASGIApp, headers: RequestHeaders | None = None) -> AnswerStream:
    """Begin a response and return it once its status is known.

    Args:
        app: The response.
        headers: The request's.
    """
    given = () if headers is None else headers.items()
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1", "replace")) for name, value in given]
    scope: Scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": raw}
    channel = Channel()

    async def run() -> None:
        try:
            await app(scope, channel.receive, channel.send)
        finally:
            channel.changed.set()

    task = asyncio.create_task(run())
    RESPONSES.add(task)
    task.add_done_callback(let_go)
    try:
        await channel.changed.wait()
    except asyncio.CancelledError:
        channel.leave()
        raise
    if not channel.start:
        await task
        raise UsechatError("the response has no status")
    own = {name.decode("latin-1"): value.decode("latin-1") for name, value in channel.start["headers"]}
    # It is about one connection, which is the server's to know: HTTP/2 forbids it.
    own.pop("connection", None)
    return AnswerStream(channel.start["status"], own, AnswerBody(channel, task))


def let_go(task: asyncio.Task[None]) -> None:
    RESPONSES.discard(task)
    if not task.cancelled():
        # The reader has it, or has left.
        task.exception()
