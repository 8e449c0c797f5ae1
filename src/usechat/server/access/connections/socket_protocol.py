"""uvicorn's WebSocket protocol with a bound on what may come before the client's key, and on the time to read answers.

An application sees a frame when it is complete, which is too late to bound the memory that it takes; so uvicorn is told
how long frames may be, and may be told otherwise once the key is known. Source: uvicorn's
``protocols/websockets/websockets_sansio_impl.py`` (0.54).
"""

from __future__ import annotations

from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame
from websockets.http11 import Request

from usechat.http.websocket import FIRST_FRAME_BYTES, WIDEN
from usechat.server.access.connections.unread import EndsUnread

__all__ = ["BoundedSocketProtocol"]

MAX_FRAGMENTS: Final = 4096
"""Of one message. Empty ones have no bytes that would count."""


class BoundedSocketProtocol(EndsUnread, WebSocketsSansIOProtocol):
    """One connection: small frames until the application says that it knows the client."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.max_message_size = min(FIRST_FRAME_BYTES, self.config.ws_max_size)

    def handle_connect(self, event: Request) -> None:
        """Take the handshake."""
        super().handle_connect(event)
        # Otherwise it has been refused, and there is no scope.
        if not self.handshake_complete:
            extensions: dict[str, Any] = self.scope["extensions"] or {}  # pyright: ignore[reportTypedDictNotRequiredAccess]
            extensions[WIDEN] = {"widen": self.widen}

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.frames = []
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    def widen(self) -> None:
        """Take frames of the full size from now on."""
        self.conn.max_message_size = self.config.ws_max_size
