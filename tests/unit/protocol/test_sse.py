from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.errors import DecodeError
from usechat.protocol.sse import DONE, KEEP_ALIVE, STREAM_OPEN, SSEDecoder, chunks_of, encode_event

DELTA = b"event: content_block_delta\ndata: %s\n\n"
PING = b"event: ping\ndata: %s\n\n"
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
    (b"event: x\rdata: {}\n\r\n", [b"{}"]),
    (b"data: {\ndata: }\n\n", [b"{\n}"]),
    (b"dataset: 1\n\n", []),
    (b"\n\n\ndata: 1\n\n\n\ndata: 2\n\n", [b"1", b"2"]),
    (b"\n\n\xef\xbb\xbfdata: a\n\n", []),
    (b"<html>\n\n</html>", []),
    (DELTA % b"1" + DELTA % b"2" + DELTA % b"3", [b"1", b"2", b"3"]),
    (DELTA % b"1" + DELTA % b"{\ndata: }" + DELTA % b"3", [b"1", b"{\n}", b"3"]),
    (DELTA % b"1" + DELTA % b"2\nid: 4" + DELTA % b"3", [b"1", b"2", b"3"]),
    (DELTA % b"1" + b"data: 2\n\n" + DELTA % b"3", [b"1", b"2", b"3"]),
    (DELTA % b"1" + b"\n" + DELTA % b"data: 2", [b"1", b"data: 2"]),
    (b"event: data: 1\ndata: 2\n\n" * 2, [b"2", b"2"]),
    (PING % b"0" + DELTA % b"1" + PING % b"2" + DELTA % b"3" + DELTA % b"4", [b"0", b"1", b"2", b"3", b"4"]),
    (DELTA % b"1" + DELTA % b"2" + PING % b"3", [b"1", b"2", b"3"]),
    (DELTA % b"1" + b"event: x\n\n" + b"data:2\n\n" + DELTA % b"3", [b"1", b"2", b"3"]),
    (DELTA % b"1" + b": " + b"x" * 300 + b"\ndata: 2\n\n", [b"1", b"2"]),
    (b": " + b"x" * 253 + b"\ndata\ndata: 2\n\ndata: 3\n\n", [b"\n2", b"3"]),
    (b"event: x\n\n\nevent: x\ndata: 1\n\nevent: x\n\n\n", [b"1"]),
    (b"data:1\ndata: 2\n\n" * 2, [b"1\n2", b"1\n2"]),
    (b"data\ndata: 2\n\n" * 2, [b"\n2", b"\n2"]),
    (b"".join(b"id: %d\ndata: %d\n\n" % (number, number) for number in range(99)), [b"%d" % n for n in range(99)]),
    (b": " + b"x" * 300 + b"\ndata: 1\n\ndata: 2\n\n", [b"1", b"2"]),
]
EVENTS = ['{"type":"ping"}', '{"delta":"tide – 潮"}']


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


@given(st.data(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_split_of_the_bytes_gives_the_same_events(data: st.DataObject, end: str):
    body = "".join(f"event: delta{end}data: {event}{end}{end}" for event in EVENTS * 2).encode()
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8).map(sorted))
    decoder = SSEDecoder()
    found: list[bytes] = []
    for start, stop in zip([0, *cuts], [*cuts, len(body)], strict=True):
        found += decoder.feed(body[start:stop])
    assert [*found, *decoder.finish()] == [event.encode() for event in EVENTS * 2]


def test_event_in_many_pieces_is_joined_once():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: ") == []
    assert [decoder.feed(b"x" * 10) for _ in range(1000)] == [[]] * 1000
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\n") == [b"x" * 10_000]


def test_event_without_end_is_refused_and_those_before_it_are_not_lost():
    decoder = SSEDecoder(max_event_bytes=100)
    assert decoder.feed(b"data: 1\n\ndata: " + b"x" * 95) == [b"1"]
    with pytest.raises(DecodeError, match="longer than 100 bytes"):
        decoder.feed(b"x")


def test_event_that_grows_too_long_is_refused():
    decoder = SSEDecoder(max_event_bytes=100)
    for _ in range(11):
        decoder.feed(b"x" * 10)
    with pytest.raises(DecodeError):
        decoder.feed(b"x" * 10)


def test_long_events_that_are_whole_are_taken_one_after_the_other():
    decoder = SSEDecoder(max_event_bytes=100)
    for _ in range(5):
        assert decoder.feed(b"data: " + b"x" * 90) == []
        assert decoder.feed(b"\n\n") == [b"x" * 90]


def test_chunks_of_whole_frames_are_found_and_nothing_else():
    chunks = [b'{"type":"start"}', b'{"delta":"data: a\\n\\ndata: b"}']
    frames = STREAM_OPEN + encode_event(chunks[0]) + KEEP_ALIVE + encode_event(chunks[1]) + DONE
    assert chunks_of(frames) == chunks
    assert chunks_of(b"") == chunks_of(STREAM_OPEN) == chunks_of(DONE) == []
