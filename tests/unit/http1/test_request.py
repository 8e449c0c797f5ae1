from __future__ import annotations

import pytest

from usechat.http1 import LocalProtocolError, Origin, Request

ORIGIN = Origin("http", "provider.test", 80)


@pytest.mark.parametrize(
    ("method", "headers", "content", "expected"),
    [
        (b"GET", [(b"host", b"provider.test")], b"", b"GET /a?b=c HTTP/1.1\r\nhost: provider.test\r\n\r\n"),
        (b"POST", [], b"hello", b"POST /a?b=c HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello"),
        (b"POST", [], b"", b"POST /a?b=c HTTP/1.1\r\ncontent-length: 0\r\n\r\n"),
        (
            b"POST",
            [(b"Content-Length", b"9"), (b"transfer-encoding", b"chunked"), (b"x", b"1")],
            b"ok",
            b"POST /a?b=c HTTP/1.1\r\nx: 1\r\ncontent-length: 2\r\n\r\nok",
        ),
    ],
)
def test_request_is_written_with_the_length_of_its_content(
    method: bytes, headers: list[tuple[bytes, bytes]], content: bytes, expected: bytes
):
    assert Request(ORIGIN, method, b"/a?b=c", headers, content).encode() == expected


@pytest.mark.parametrize(
    "request_",
    [
        Request(ORIGIN, b"GET", b"/ HTTP/1.1\r\nx: y", []),
        Request(ORIGIN, b"GET", b"/", [(b"x", b"1\ny: 2")]),
        Request(ORIGIN, b"GET", b"/", [(b"x\r", b"1")]),
        Request(ORIGIN, b"GET", b"/", [(b"x", b"1\x00")]),
    ],
)
def test_nothing_can_be_smuggled_into_a_head(request_: Request):
    with pytest.raises(LocalProtocolError):
        request_.encode()
