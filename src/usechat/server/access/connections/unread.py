"""Ends connections whose clients do not read what is sent to them.

A server that waits for a client's socket waits for ever, with a file descriptor, a response and the bytes that wait.
asyncio tells a protocol when that begins (`pause_writing`) and when it is over. An application hears of neither. What
the system has taken is the system's to give up (`usechat.server.processes.process.limit_unread`).
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["SEND_SECONDS", "EndsUnread"]

SEND_SECONDS = 60.0
"""Seconds that a client may take by default. At the end of a connection of 10 kbit/s it takes 52 s for 64 KB."""


class EndsUnread(asyncio.Protocol):
    """A protocol of uvicorn that gives up clients who leave 64 KB unread for too long. To be named before uvicorn's.

    The configuration says how long, in ``send_seconds``.
    """

    config: Any
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    unread_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Begin to wait for the client."""
        super().pause_writing()
        if self.unread_timer is None:
            seconds: float = getattr(self.config, "send_seconds", SEND_SECONDS)
            self.unread_timer = self.loop.call_later(seconds, self._give_up_unread)

    def resume_writing(self) -> None:
        """Wait no longer."""
        self._clear_unread()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._clear_unread()
        super().connection_lost(exc)

    def _clear_unread(self) -> None:
        if self.unread_timer is not None:
            self.unread_timer.cancel()
            self.unread_timer = None

    def _give_up_unread(self) -> None:
        self.unread_timer = None
        # Closing would wait until the client has read the rest.
        self.transport.abort()
