"""uvicorn's HTTP protocol with a bound on a request's head, in bytes and in time, and on the time to read the answer.

uvicorn closes a connection that is idle after an answer, and waits for ever for the first request of one, for the rest
of a head that has begun, and for a head of any size. An application hears of a request when its head is complete, which
is too late for all three. Source: uvicorn's ``protocols/http/httptools_impl.py`` (0.54).
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from usechat.server.access.connections.unread import SEND_SECONDS, EndsUnread

__all__ = ["HEAD_BYTES", "BoundedHttpProtocol", "ServerConfig"]

HEAD_BYTES: Final = 64 * 1024
"""The largest head: cookies of a whole site and a long chat id fit several times."""
TOO_SLOW: Final = b"408 Request Timeout"
TOO_LARGE: Final = b"431 Request Header Fields Too Large"


class ServerConfig(uvicorn.Config):
    """uvicorn's configuration, and what our protocols read besides.

    Args:
        arguments: As for uvicorn.
        head_seconds: How long a request's head may take, the wait for a connection's first one included.
        send_seconds: How long a client may leave unread what is sent to it.
        options: As for uvicorn.
    """

    def __init__(
        self, *arguments: Any, head_seconds: float = 30.0, send_seconds: float = SEND_SECONDS, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.head_seconds = head_seconds
        self.send_seconds = send_seconds


class BoundedHttpProtocol(EndsUnread, HttpToolsProtocol):
    """One connection, whose heads are small and come in time."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_seconds: float = getattr(self.config, "head_seconds", 30.0)
        self.head_timer: asyncio.TimerHandle | None = None
        self.head_bytes = 0
        self.is_in_head = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for the first head."""
        super().connection_made(cast("asyncio.Transport", transport))
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._stop_waiting()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self.is_in_head, self.head_bytes = True, 0
        if self.head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """Take the head."""
        self.is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and refuse the connection when a head has too many."""
        was_in_head = self.is_in_head
        super().data_received(data)
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            # Closed, or a WebSocket by now.
            return
        if was_in_head and self.is_in_head:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self._refuse(TOO_LARGE)
                return
        # Any byte ends uvicorn's wait for the next request, also line ends that begin no request.
        if not self._is_answering and self.head_timer is None and self.timeout_keep_alive_task is None:
            self._await_head()

    @property
    def _is_answering(self) -> bool:
        # uvicorn's type says that there always is one, but before the first request there is none.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _await_head(self) -> None:
        self.head_timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _give_up(self) -> None:
        self.head_timer = None
        if self.transport.is_closing():
            return
        if self._is_answering:
            # A head that begins while an answer is sent must not cut that answer.
            self._await_head()
        elif self.head_bytes:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        if not self._is_answering:
            self.transport.write(b"HTTP/1.1 %b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n" % status)
        self.transport.close()
