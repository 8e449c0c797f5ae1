"""An HTTP/1.1 client for streams: pool, connection, response. It has its own errors and knows no provider."""

from __future__ import annotations

from usechat.http1.bodies import Body, inflated, read_at_most
from usechat.http1.errors import (
    ConnectError,
    Http1Error,
    Http1TimeoutError,
    LocalProtocolError,
    ReadError,
    RemoteProtocolError,
)
from usechat.http1.pool import Pool, Response, ResponseBody
from usechat.http1.request import Limits, Origin, Request

__all__ = [
    "Body",
    "ConnectError",
    "Http1Error",
    "Http1TimeoutError",
    "Limits",
    "LocalProtocolError",
    "Origin",
    "Pool",
    "ReadError",
    "RemoteProtocolError",
    "Request",
    "Response",
    "ResponseBody",
    "inflated",
    "read_at_most",
]
