"""A request and its encoding in bytes. Source: RFC 9112, sections 3 and 6."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from usechat.http1.errors import LocalProtocolError

__all__ = ["Limits", "Origin", "Request"]

_METHODS_WITH_CONTENT = frozenset({b"PATCH", b"POST", b"PUT"})
_CONTENT_HEADERS = frozenset({b"content-length", b"transfer-encoding"})
_LINE_ENDS = re.compile(rb"[\r\n\0]")


class Origin(NamedTuple):
    """The server that a connection leads to."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    port: int


class Limits(NamedTuple):
    """Time limits of a request in seconds; ``None`` is no limit."""

    connect: float | None = 5.0
    """Seconds to open a connection."""
    read: float | None = None
    """Seconds without a byte of the response."""
    write: float | None = None
    """Seconds in which the server accepts no byte of the request."""


class Request(NamedTuple):
    """One complete request."""

    origin: Origin
    method: bytes
    target: bytes
    """Path and query, encoded as in the request line."""
    headers: Sequence[tuple[bytes, bytes]]
    """Names and values. ``content-length`` and ``transfer-encoding`` are ignored: `encode` writes the length."""
    content: bytes = b""

    @property
    def is_head(self) -> bool:
        """Whether the method is HEAD: the response then has no body, even if its headers give a length."""
        return self.method == b"HEAD"

    @property
    def is_last(self) -> bool:
        """Whether the request closes its connection, so that no other request may follow."""
        return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in self.headers)

    def encode(self) -> bytes:
        """Return the bytes of the request.

        Raises:
            LocalProtocolError: A header holds a line end.
        """
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target)]
        lines += [b"%s: %s" % header for header in self.headers if header[0].lower() not in _CONTENT_HEADERS]
        if _LINE_ENDS.search(b" ".join(lines)):
            # The server would read the rest of the line as further headers.
            raise LocalProtocolError("a header holds a line end")
        if self.content or self.method in _METHODS_WITH_CONTENT:
            lines.append(b"content-length: %d" % len(self.content))
        return b"%s\r\n\r\n%s" % (b"\r\n".join(lines), self.content)
