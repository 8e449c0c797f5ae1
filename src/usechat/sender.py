"""Hands an answer's bytes to the ASGI server, notices that the reader leaves, and breaks silences.

Knows how bytes get to a reader; what they are and what makes them is the caller's affair.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final, TypeAlias

from starlette.types import Receive, Scope, Send

__all__ = ["BODIES", "MAX_SEND_BYTES", "SendBody", "Sender", "is_left"]

logger = logging.getLogger(__name__)

MAX_SEND_BYTES: Final = 64 * 2**10
"""The most that is handed to the server in one piece, so that one stream's burst does not hold up the others."""

SendBody: TypeAlias = Callable[[Receive, Send], Awaitable[None]]
"""Sends the body of an answer whose head is sent."""

BODIES: Final = "usechat.bodies"
"""In a request's scope: a list of `SendBody` that takes the answer's.

Set by an outer middleware that calls it once the application within has returned, and knows that nothing in between
looks at bodies: a delta then need not pass that, and none of it is held for as long as the answer is open.
"""


def is_left(scope: Scope, body: SendBody) -> bool:
    """Leave the sending of a body to who is further out; whether somebody is there for it."""
    bodies: list[SendBody] | None = scope.get(BODIES)
    if bodies is not None:
        bodies.append(body)
    return bodies is not None


class Sender:
    """Send one answer.

    The bytes are sent by a task of their own, while the one that the server has made waits for the reader's leaving: a
    delta then wakes nothing of what stands between the server and the route.

    Args:
        receive: The server's; tells of the reader's leaving.
        send: The server's.
        heartbeat_seconds: The longest silence; None for any.
    """

    __slots__ = (
        "aside",
        "heartbeat_seconds",
        "is_called_back",
        "is_sending",
        "last_sent",
        "listener",
        "loop",
        "pump",
        "receive",
        "send",
        "timer",
    )

    def __init__(self, receive: Receive, send: Send, heartbeat_seconds: float | None) -> None:
        self.receive = receive
        self.send = send
        self.heartbeat_seconds = heartbeat_seconds
        self.loop = asyncio.get_running_loop()
        self.last_sent = self.loop.time()
        self.is_sending = False
        self.timer: asyncio.TimerHandle | None = None
        self.pump: asyncio.Task[None] | None = None
        self.aside: asyncio.Task[None] | None = None
        """Sends a heartbeat, which must not get into the middle of a frame."""
        self.listener: asyncio.Task[Any] | None = None
        self.is_called_back = False
        """Whether the task that listened was cancelled because all is sent."""

    async def send_all(self, data: AsyncGenerator[bytes], heartbeat: bytes | None) -> None:
        """Send it all, or as much as the reader stays for, and close it."""
        self.pump = pump = asyncio.create_task(self._pump(data))
        if heartbeat is not None and self.heartbeat_seconds is not None:
            self._listen_for_silence(heartbeat, self.heartbeat_seconds)
        try:
            await self._listen(pump)
        finally:
            reader_left = not pump.done()
            if self.timer is not None:
                self.timer.cancel()
            await end(pump, self.aside)
            # Its error, if it has one, refers to the calls that led to it, and these to this object.
            self.pump = None
        if not (reader_left and pump.cancelled()):
            pump.result()

    async def _pump(self, data: AsyncGenerator[bytes]) -> None:
        async with aclosing(data):
            async for piece in data:
                await self._clear()
                self.is_sending = True
                await self._send_piece(piece)
                self.is_sending = False
                self.last_sent = self.loop.time()
        await self._clear()
        self.is_sending = True
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _clear(self) -> None:
        """Wait until nothing is being sent aside."""
        while self.aside is not None:
            await asyncio.wait({self.aside})

    async def _send_piece(self, piece: bytes) -> None:
        for part in (piece,) if len(piece) <= MAX_SEND_BYTES else slices(piece):
            await self.send({"type": "http.response.body", "body": part, "more_body": True})

    # -- the reader -----------------------------------------------------------------------------------------------

    async def _listen(self, pump: asyncio.Task[None]) -> None:
        """Wait until the reader leaves or all is sent."""
        self.listener = task = asyncio.current_task()
        assert task is not None
        cancellations = task.cancelling()
        pump.add_done_callback(self._call_back)
        try:
            while (await self.receive())["type"] != "http.disconnect":
                pass
        except asyncio.CancelledError:
            if not self.is_called_back:
                raise
        except Exception:
            logger.exception("the server's channel broke")
        finally:
            self.listener = None
        if self.is_called_back and task.uncancel() > cancellations:
            raise asyncio.CancelledError

    def _call_back(self, _: asyncio.Task[None]) -> None:
        # Some servers say at an answer's end that the reader has left; the others are not asked any more.
        if self.listener is not None:
            self.is_called_back = True
            self.listener.cancel()

    def _listen_for_silence(self, heartbeat: bytes, interval: float) -> None:
        silence = self.loop.time() - self.last_sent
        if self.is_sending or self.aside is not None:
            # The reader is slow: what it is being sent breaks the silence.
            seconds = interval / 2
        elif silence < interval:
            seconds = interval - silence
        else:
            seconds = interval
            self.aside = asyncio.create_task(self._beat(heartbeat))
        self.timer = self.loop.call_later(seconds, self._listen_for_silence, heartbeat, interval)

    async def _beat(self, heartbeat: bytes) -> None:
        try:
            await self.send({"type": "http.response.body", "body": heartbeat, "more_body": True})
        except Exception:
            logger.debug("a heartbeat could not be sent", exc_info=True)
        finally:
            self.last_sent = self.loop.time()
            self.aside = None


async def end(*tasks: asyncio.Task[None] | None) -> None:
    """Cancel what still runs, and wait for it."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


def slices(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), MAX_SEND_BYTES):
        yield data[start : start + MAX_SEND_BYTES]
