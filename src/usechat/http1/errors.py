"""The exceptions of this package: all failures between the client and a server.

Http1Error
├─ ConnectError          the connection cannot be opened: unknown name, closed port, untrusted certificate
├─ ReadError             the connection broke
├─ Http1TimeoutError     the connection was silent for too long
├─ RemoteProtocolError   the server's response is not HTTP, or ends early
└─ LocalProtocolError    the request is malformed and cannot be sent
"""

from __future__ import annotations

__all__ = [
    "ConnectError",
    "Http1Error",
    "Http1TimeoutError",
    "LocalProtocolError",
    "ReadError",
    "RemoteProtocolError",
]


class Http1Error(Exception):
    """Base of all exceptions of this package."""


class ConnectError(Http1Error):
    """The connection cannot be opened: unknown name, closed port, or untrusted certificate."""


class ReadError(Http1Error):
    """The connection broke."""


class Http1TimeoutError(Http1Error):
    """The connection was silent longer than its limit."""


class RemoteProtocolError(Http1Error):
    """The server's response is not HTTP, or ends early."""


class LocalProtocolError(Http1Error):
    """The request is malformed and cannot be sent."""
