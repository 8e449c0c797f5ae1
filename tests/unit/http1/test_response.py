"""Reading a response out of bytes: every way to say how long it is, whole and torn at every place."""

from __future__ import annotations

import gc

import pytest

from usechat.http1 import RemoteProtocolError
from usechat.http1.response import ResponseReader

OK = b"HTTP/1.1 200 OK\r\n"
EVENTS = b"content-type: text/event-stream\r\n"


def read(data: bytes, *, size: int, is_to_head: bool = False) -> ResponseReader:
    reader = ResponseReader(is_to_head=is_to_head)
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
    return reader


def body(reader: ResponseReader) -> bytes:
    return b"".join(reader.pieces)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("data", "status", "expected"),
    [
        pytest.param(OK + b"content-length: 5\r\n\r\nhello", 200, b"hello", id="length"),
        pytest.param(OK + b"content-length: 0\r\n\r\n", 200, b"", id="empty"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", 200, b"hello", id="chunks"
        ),
        pytest.param(
            OK + b"transfer-encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\na: b\r\n\r\n", 200, b"hello", id="trailer"
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", id="no-content"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", 304, b"", id="not-modified"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"content-length: 2\r\n\r\nok", 200, b"ok", id="continue"),
        pytest.param(
            b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK + b"content-length: 2\r\n\r\nok",
            200,
            b"ok",
            id="hints",
        ),
        pytest.param(b"HTTP/1.1 529 \r\ncontent-length: 4\r\n\r\nbusy", 529, b"busy", id="status-of-their-own"),
    ],
)
def test_response_with_a_length_is_read_to_its_end(data: bytes, status: int, expected: bytes, size: int):
    reader = read(data, size=size)
    assert (reader.status, body(reader), reader.is_complete, reader.keeps_alive) == (status, expected, True, True)
    assert b"link" not in dict(reader.headers)
    assert b"a" not in dict(reader.headers)


@pytest.mark.parametrize("size", [1, 10_000])
def test_response_without_a_length_ends_with_the_connection(size: int):
    reader = read(OK + EVENTS + b"\r\ndata: 1\n\n", size=size)
    assert (reader.has_head, reader.is_complete) == (True, False)
    reader.feed_end()
    assert (body(reader), reader.is_complete, reader.keeps_alive) == (b"data: 1\n\n", True, False)


def test_response_to_head_has_no_body():
    reader = read(OK + b"content-length: 5\r\n\r\n", size=100, is_to_head=True)
    assert (reader.is_complete, body(reader), reader.keeps_alive) == (True, b"", False)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(OK + b"connection: close\r\ncontent-length: 2\r\n\r\nok", id="said-so"),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", id="http-1.0"),
        pytest.param(OK + b"content-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", id="an-answer-too-many"),
        pytest.param(OK + b"content-length: 2\r\n\r\nok and more", id="more-than-it-said"),
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_connection_is_not_kept(data: bytes, size: int):
    reader = read(data, size=size)
    assert (body(reader), reader.is_complete, reader.keeps_alive) == (b"ok", True, False)


def test_pieces_are_those_of_the_chunks():
    reader = read(OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n", size=10_000)
    assert reader.pieces == [b"he", b"llo"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="other-protocol"),
        pytest.param(b"<html>\r\n\r\n", id="no-status-line"),
        pytest.param(OK + b"transfer-encoding: chunked\r\n\r\nnonsense\r\n", id="no-chunk-size"),
        pytest.param(OK + b"content-length: many\r\n\r\n", id="no-length"),
        pytest.param(OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", id="two-lengths"),
        pytest.param(OK + b"x: " + b"y" * 300_000, id="endless-head"),
        pytest.param(
            b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
            id="other-protocol-offered",
        ),
    ],
)
@pytest.mark.parametrize("size", [100, 1_000_000])
def test_what_is_not_http_is_refused(data: bytes, size: int):
    with pytest.raises(RemoteProtocolError):
        read(data, size=size)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "without an answer"),
        (b"HTTP/1.1 200 O", "without an answer"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", "without an answer"),
        (OK + b"content-length: 5\r\n\r\nhel", "in the middle of its answer"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhel", "in the middle of its answer"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "in the middle of its answer"),
    ],
)
def test_early_end_is_an_error(data: bytes, text: str):
    reader = read(data, size=10_000)
    with pytest.raises(RemoteProtocolError, match=text):
        reader.feed_end()


def test_end_after_the_whole_response_is_none_of_its_concern():
    reader = read(OK + b"content-length: 2\r\n\r\nok", size=10_000)
    reader.feed_end()
    assert (body(reader), reader.is_complete, reader.keeps_alive) == (b"ok", True, False)


def count_readers() -> int:
    return sum(isinstance(each, ResponseReader) for each in gc.get_objects())


def test_response_that_is_over_needs_no_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        reader = read(OK + b"content-length: 2\r\n\r\nok", size=10_000)
        assert count_readers() == 1
        del reader
        assert count_readers() == 0
    finally:
        gc.enable()
