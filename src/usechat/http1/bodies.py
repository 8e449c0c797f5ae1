"""Inflate compressed bodies in pieces of a bounded size. Source: RFC 9110, section 8.4.1."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable
from typing import Protocol

from usechat.http1.errors import RemoteProtocolError

__all__ = ["Body", "inflated", "read_at_most"]

_MAX_PIECE_BYTES = 256 * 2**10
_ZLIB = frozenset({b"gzip", b"x-gzip", b"deflate"})
_ANY_HEADER = 47
"""The ``wbits`` value with which zlib accepts both gzip and zlib headers."""


class Body(Protocol):
    """The body of a response, read piece by piece.

    Implemented by: `usechat.http1.pool.ResponseBody`, `_Inflated`.
    """

    def read(self) -> Awaitable[bytes]:
        """Return the bytes that have arrived; empty bytes at the end of the body."""
        ...

    async def aclose(self) -> None:
        """Release the connection."""
        ...


def inflated(body: Body, encoding: bytes) -> Body:
    """Return a body without its compression.

    Args:
        body: The body as the server sends it.
        encoding: The response's ``content-encoding``: gzip, deflate or identity. With any other, reading the body
            raises `RemoteProtocolError`.
    """
    encoding = encoding.strip().lower()
    return body if encoding in (b"", b"identity") else _Inflated(body, encoding)


async def read_at_most(body: Body, size: int) -> bytes:
    """Return the first ``size`` bytes of a body, or the whole body if it is shorter.

    Args:
        body: The body to read. This function does not close it.
        size: The maximum number of bytes.
    """
    pieces: list[bytes] = []
    left = size
    while left > 0 and (data := await body.read()):
        pieces.append(data[:left])
        left -= len(data)
    return b"".join(pieces)


class _Inflated:
    """A body without its compression.

    One compressed kilobyte can hold a megabyte. Each read inflates a bounded piece; the rest stays compressed.
    """

    __slots__ = ("_body", "_encoding", "_inflater", "_rest")

    def __init__(self, body: Body, encoding: bytes) -> None:
        self._body = body
        self._encoding = encoding
        self._inflater = zlib.decompressobj(_ANY_HEADER)
        self._rest = b""

    async def read(self) -> bytes:
        if self._encoding not in _ZLIB:
            raise RemoteProtocolError(
                f"the answer is compressed in a way that was not asked for: {self._encoding[:40]!r}"
            )
        while not self._inflater.eof:
            if self._rest:
                # This loop does not wait for the socket, so it yields to the tasks of other answers.
                await asyncio.sleep(0)
            compressed = self._rest or await self._body.read()
            if not compressed:
                break
            try:
                data = self._inflater.decompress(compressed, _MAX_PIECE_BYTES)
            except zlib.error as error:
                raise RemoteProtocolError(f"the answer cannot be inflated: {error}") from error
            self._rest = self._inflater.unconsumed_tail
            if data:
                return data
        return b""

    async def aclose(self) -> None:
        await self._body.aclose()
