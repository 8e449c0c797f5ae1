from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.protocol.sse import DONE, KEEP_ALIVE, STREAM_OPEN, SSEDecoder, chunks_of, encode_event

STREAMS: list[tuple[bytes, list[bytes]]] = [
    (b"data: a\n\n", [b"a"]),
    (b"data:a\n\ndata: b\n\n", [b"a", b"b"]),
    (b"data:  a\n\n", [b" a"]),
    (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
    (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
    (b"data: a\ndata: b\n\n", [b"a\nb"]),
    (b"data\ndata\n\n", [b"\n"]),
    (b"data:\n\n", [b""]),
    (b": comment\n\ndata: a\n: another\n\n", [b"a"]),
    (b"event: x\nid: 1\nretry: 5\ndata: a\n\n", [b"a"]),
    (b"event: x\n\n", []),
    (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
    (b"\xef\xbbdata: a\n\n", []),
    ("data: \u2028\u0085\x0b\x0c\n\n".encode(), ["\u2028\u0085\x0b\x0c".encode()]),
    (b"data: a\n\ndata: unfinished", [b"a", b"unfinished"]),
    (b"data: a\r", [b"a"]),
    (b"", []),
    (b"\xef\xbb", []),
    (STREAM_OPEN + KEEP_ALIVE + DONE, [b"[DONE]"]),
]


@pytest.mark.parametrize(("stream", "events"), STREAMS)
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_events_are_found_however_the_stream_is_cut(stream: bytes, events: list[bytes], size: int):
    decoder = SSEDecoder()
    found = [event for at in range(0, len(stream), size) for event in decoder.feed(stream[at : at + size])]
    assert [*found, *decoder.finish()] == events


def test_an_event_is_given_out_as_soon_as_its_blank_line_is_there():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\n") == []
    assert decoder.feed(b"\n") == [b"a"]


@given(data=st.binary().filter(lambda data: b"\n" not in data and b"\r" not in data))
def test_what_is_encoded_is_decoded_again(data: bytes):
    assert SSEDecoder().feed(encode_event(data)) == [data]


def test_chunks_of_whole_frames_are_found_and_nothing_else():
    chunks = [b'{"type":"start"}', b'{"delta":"data: a\\n\\ndata: b"}']
    frames = STREAM_OPEN + encode_event(chunks[0]) + KEEP_ALIVE + encode_event(chunks[1]) + DONE
    assert chunks_of(frames) == chunks
    assert chunks_of(b"") == chunks_of(STREAM_OPEN) == chunks_of(DONE) == []
