from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator

import pytest

from usechat.http1 import RemoteProtocolError, inflated, read_at_most

pytestmark = pytest.mark.anyio

TEXT = b"High water is at 14:20. " * 1000


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Pieces:
    """A body that comes in pieces of a size."""

    def __init__(self, data: bytes, size: int) -> None:
        self.pieces: Iterator[bytes] = iter([data[start : start + size] for start in range(0, len(data), size)])
        self.is_closed = False

    async def read(self) -> bytes:
        return next(self.pieces, b"")

    async def aclose(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("size", [1, 100, 10**6])
@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        pytest.param(TEXT, b"", id="plain"),
        pytest.param(TEXT, b" Identity ", id="identity"),
        pytest.param(gzip.compress(TEXT), b"gzip", id="gzip"),
        pytest.param(gzip.compress(TEXT), b"X-Gzip", id="x-gzip"),
        pytest.param(zlib.compress(TEXT), b"deflate", id="deflate"),
        pytest.param(gzip.compress(TEXT) + b"what follows", b"gzip", id="more-than-there-should-be"),
    ],
)
async def test_body_is_what_was_compressed(data: bytes, encoding: bytes, size: int):
    plain = Pieces(data, size)
    body = inflated(plain, encoding)
    assert await read_at_most(body, 10**6) == TEXT
    await body.aclose()
    assert plain.is_closed


async def test_little_that_holds_much_comes_in_bounded_pieces():
    body = inflated(Pieces(gzip.compress(bytes(64 * 2**20)), 10**6), b"gzip")
    sizes: list[int] = []
    while data := await body.read():
        sizes.append(len(data))
    assert sum(sizes) == 64 * 2**20
    assert max(sizes) <= 256 * 2**10


async def test_body_that_is_cut_ends_where_it_was_cut():
    whole = gzip.compress(TEXT)
    body = inflated(Pieces(whole[: len(whole) // 2], 10), b"gzip")
    assert TEXT.startswith(await read_at_most(body, 10**6))


@pytest.mark.parametrize(("data", "encoding"), [(b"no gzip", b"gzip"), (TEXT, b"br"), (TEXT, b"gzip, gzip")])
async def test_what_cannot_be_inflated_is_an_error(data: bytes, encoding: bytes):
    with pytest.raises(RemoteProtocolError):
        await inflated(Pieces(data, 100), encoding).read()


@pytest.mark.parametrize(("size", "expected"), [(3, b"hel"), (5, b"hello"), (9, b"hello"), (0, b"")])
async def test_no_more_is_read_than_was_asked_for(size: int, expected: bytes):
    assert await read_at_most(Pieces(b"hello", 2), size) == expected
