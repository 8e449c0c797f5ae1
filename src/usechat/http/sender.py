"""Sends a run's entries through an ASGI server, notices when the reader leaves, and sends heartbeats.

Knows no wire format.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import Any, Final, TypeAlias

from starlette.types import Message, Receive, Scope, Send

from usechat.runs.log import Entry

__all__ = ["DEFERRED_BODIES", "MAX_SEND_BYTES", "Render", "SendBody", "Sender", "defer_body"]

logger = logging.getLogger(__name__)

MAX_SEND_BYTES: Final = 64 * 2**10
"""The most bytes of one send, so that one stream's burst does not delay others."""

Render: TypeAlias = Callable[[Entry], bytes]
"""Renders an entry to the bytes that are sent."""


SendBody: TypeAlias = Callable[[Receive, Send], Awaitable[None]]
"""Sends the body of a response whose head is sent."""

DEFERRED_BODIES: Final = "usechat.deferred_bodies"
"""The key of a request's scope under which an outer middleware keeps a list for one `SendBody`."""


def defer_body(scope: Scope, send_body: SendBody) -> bool:
    """Hand the body to an outer middleware and return whether one took it.

    Such a middleware knows that nothing inside of it looks at bodies, and calls ``send_body`` once the application has
    returned. So the call stacks of the application's middleware and routing are not held for as long as the answer is
    open: they are a fifth of an open stream's memory (docs/performance.md).
    """
    bodies: list[SendBody] | None = scope.get(DEFERRED_BODIES)
    if bodies is not None:
        bodies.append(send_body)
    return bodies is not None


class Sender:
    """Send one run to one reader.

    A task of its own sends the bytes, while the server's task waits for the reader to leave. So a delta wakes none of
    the coroutines between the server and the route.

    Args:
        receive: The server's; tells when the reader leaves.
        send: The server's.
        start: The message that begins the response.
        heartbeat: The frame to send in a silence; None when the format has none.
        heartbeat_seconds: The longest silence in seconds; None for no limit.
    """

    __slots__ = (
        "aside",
        "heartbeat",
        "heartbeat_seconds",
        "is_called_back",
        "is_sending",
        "last_sent",
        "listener",
        "loop",
        "pump",
        "receive",
        "send",
        "start",
        "timer",
    )

    def __init__(
        self,
        receive: Receive,
        send: Send,
        start: Message | None,
        heartbeat: bytes | None,
        heartbeat_seconds: float | None,
    ) -> None:
        self.receive = receive
        self.send = send
        self.start: Message | None = start
        """The message to send first; None once it is sent."""
        self.heartbeat = heartbeat
        self.heartbeat_seconds = heartbeat_seconds
        self.loop = asyncio.get_running_loop()
        self.last_sent = self.loop.time()
        self.is_sending = False
        self.timer: asyncio.TimerHandle | None = None
        self.pump: asyncio.Task[None] | None = None
        self.aside: asyncio.Task[None] | None = None
        """The task that sends a heartbeat."""
        self.listener: asyncio.Task[Any] | None = None
        self.is_called_back = False
        """Whether the listening task was cancelled because everything is sent."""

    @property
    def has_begun(self) -> bool:
        """Whether the status was sent."""
        return self.start is None

    async def begin(self) -> None:
        """Send the first message unless it was sent before."""
        start, self.start = self.start, None
        if start is not None:
            await self.send(start)

    async def send_all(self, entries: AsyncGenerator[Entry], render: Render | None = None) -> None:
        """Send all entries, or those until the reader leaves. Close the generator.

        Args:
            entries: The run's entries. An error of theirs is raised here, and the response gets no end.
            render: Renders an entry; None to send its frames.
        """
        self.pump = pump = asyncio.create_task(self._pump(entries, render))
        if self.heartbeat is not None and self.heartbeat_seconds is not None:
            self._listen_for_silence(self.heartbeat, self.heartbeat_seconds)
        try:
            await self._listen(pump)
        finally:
            reader_left = not pump.done()
            if self.timer is not None:
                self.timer.cancel()
            await end(pump, self.aside)
            # Its error would refer to frames that refer to this object: a cycle.
            self.pump = None
        if not (reader_left and pump.cancelled()):
            pump.result()

    async def _pump(self, entries: AsyncGenerator[Entry], render: Render | None) -> None:
        async with aclosing(entries):
            async for entry in entries:
                data = entry.data if render is None else render(entry)
                if self.aside is not None or self.start is not None:
                    await self._make_way()
                self.is_sending = True
                for piece in (data,) if len(data) <= MAX_SEND_BYTES else slices(data):
                    await self.send({"type": "http.response.body", "body": piece, "more_body": True})
                self.is_sending = False
                self.last_sent = self.loop.time()
        await self._make_way()
        await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _make_way(self) -> None:
        """Wait for a heartbeat on its way, which must not stand in the middle of a frame. Send the head if it waits."""
        while self.aside is not None:
            await asyncio.wait({self.aside})
        self.is_sending = True
        await self.begin()

    async def _listen(self, pump: asyncio.Task[None]) -> None:
        """Wait until the reader leaves or everything is sent."""
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
        # Some servers report a disconnect at the end; others would never return.
        if self.listener is not None:
            self.is_called_back = True
            self.listener.cancel()

    def _listen_for_silence(self, heartbeat: bytes, interval: float) -> None:
        silence = self.loop.time() - self.last_sent
        if self.is_sending or self.aside is not None:
            # The reader is slow: the bytes on their way break the silence.
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
    """Cancel running tasks and wait for them."""
    running = [task for task in tasks if task is not None and not task.done()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


def slices(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), MAX_SEND_BYTES):
        yield data[start : start + MAX_SEND_BYTES]
