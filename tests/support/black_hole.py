"""A way to a server that can be made to swallow everything: it takes connections and bytes, and says nothing."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

__all__ = ["BlackHole"]

_BUFFER = 65536


class BlackHole:
    """A TCP proxy to a port of this machine.

    Args:
        port: Where it hands on what it gets, while it does.
    """

    def __init__(self, port: int) -> None:
        self._far = port
        self._is_open = threading.Event()
        self._is_open.set()
        self._is_closed = False
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def swallow(self) -> None:
        """Hand on nothing from now on. What comes meanwhile arrives when this goes on."""
        self._is_open.clear()

    def go_on(self) -> None:
        """Hand on what has come, and what comes."""
        self._is_open.set()

    def close(self) -> None:
        """Cut all connections."""
        self._is_closed = True
        for one in [self._listener, *self._sockets]:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._is_open.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._far))
                except OSError:
                    # Nobody listens there at the moment.
                    near.close()
                    continue
                self._sockets |= {near, far}
                for source, target in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_BUFFER):
                self._is_open.wait()
                if self._is_closed:
                    return
                target.sendall(data)
            self._is_open.wait()
            target.shutdown(socket.SHUT_WR)
