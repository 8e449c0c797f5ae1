"""What can go wrong between us and a server, as exceptions of this package's own.

Http1Error
├─ ConnectError          no connection comes about: no such name, nobody listens, a certificate is not trusted
├─ ReadError             the connection broke
├─ Http1TimeoutError     nothing happened for too long
├─ RemoteProtocolError   what the server sends is not HTTP, or ends early
└─ LocalProtocolError    the request cannot be written
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
    """No connection comes about."""


class ReadError(Http1Error):
    """The connection broke."""


class Http1TimeoutError(Http1Error):
    """Nothing happened for too long."""


class RemoteProtocolError(Http1Error):
    """What the server sends is not HTTP, or ends early."""


class LocalProtocolError(Http1Error):
    """The request cannot be written."""
