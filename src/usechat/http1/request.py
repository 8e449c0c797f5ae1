"""A request, and its bytes. Source: RFC 9112, sections 3 and 6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from usechat.http1.errors import LocalProtocolError

__all__ = ["Limits", "Origin", "Request"]

_WITH_CONTENT = frozenset({b"PATCH", b"POST", b"PUT"})
_OF_THE_CONTENT = frozenset({b"content-length", b"transfer-encoding"})


class Origin(NamedTuple):
    """What a connection leads to."""

    scheme: str
    """``http`` or ``https``."""
    host: str
    port: int


class Limits(NamedTuple):
    """Seconds; None is no limit."""

    connect: float | None = 5.0
    """Until a connection stands."""
    read: float | None = None
    """Without any byte of the response."""
    write: float | None = None
    """In which the server takes nothing of the request."""


class Request(NamedTuple):
    """One request, whole."""

    origin: Origin
    method: bytes
    target: bytes
    """Path and query, as they stand in the first line."""
    headers: Sequence[tuple[bytes, bytes]]
    """Without those that say how long the content is."""
    content: bytes = b""

    @property
    def is_head(self) -> bool:
        """Whether its response has no body, whatever the response's headers say."""
        return self.method == b"HEAD"

    @property
    def is_last(self) -> bool:
        """Whether no other request may follow on its connection."""
        return any(name.lower() == b"connection" and b"close" in value.lower() for name, value in self.headers)

    def encode(self) -> bytes:
        """Return its bytes.

        Raises:
            LocalProtocolError: A header holds a line end.
        """
        lines = [b"%s %s HTTP/1.1" % (self.method, self.target)]
        lines += [b"%s: %s" % header for header in self.headers if header[0].lower() not in _OF_THE_CONTENT]
        if any(b"\r" in line or b"\n" in line or b"\0" in line for line in lines):
            # It would be read as further headers.
            raise LocalProtocolError("a header holds a line end")
        if self.content or self.method in _WITH_CONTENT:
            lines.append(b"content-length: %d" % len(self.content))
        return b"%s\r\n\r\n%s" % (b"\r\n".join(lines), self.content)
