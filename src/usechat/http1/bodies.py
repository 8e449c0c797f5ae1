"""Bodies that are compressed, inflated in pieces of a bounded size. Source: RFC 9110, section 8.4.1."""

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
"""For zlib: gzip or zlib, whichever comes."""


class Body(Protocol):
    """What a response brings, piece by piece."""

    def read(self) -> Awaitable[bytes]:
        """Return what has come; nothing at the end."""
        ...

    async def aclose(self) -> None:
        """Let go of the connection."""
        ...


def inflated(body: Body, encoding: bytes) -> Body:
    """Return a body without its compression.

    Args:
        body: As it comes.
        encoding: The response's ``content-encoding``. Another than gzip, deflate and identity is an error when the body
            is read.
    """
    encoding = encoding.strip().lower()
    return body if encoding in (b"", b"identity") else _Inflated(body, encoding)


async def read_at_most(body: Body, size: int) -> bytes:
    """Return a body, or its first bytes where it is longer.

    Args:
        body: What to read. It is not closed.
        size: How many bytes to return at most.
    """
    pieces: list[bytes] = []
    left = size
    while left > 0 and (data := await body.read()):
        pieces.append(data[:left])
        left -= len(data)
    return b"".join(pieces)


class _Inflated:
    """A kilobyte can hold a megabyte: what is inflated at once is bounded, and the rest waits as it came."""

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
                # Nothing is waited for: other answers are to have their turn.
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
