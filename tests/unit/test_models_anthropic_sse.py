"""Splitting a body into events, however it is written and wherever it is torn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.models.anthropic_sse import SseReader

EVENTS = [
    '{"type":"ping"}',
    '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"tide – 潮"}}',
]

DELTA = b"event: content_block_delta\ndata: %s\n\n"


def payloads(body: bytes, *cuts: int) -> list[bytes]:
    reader = SseReader()
    found: list[bytes] = []
    for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True):
        found += reader.feed(body[start:end])
    return found + reader.finish()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b"event: ping\ndata: {}\n\n", [b"{}"], id="line-feeds"),
        pytest.param(b"event: ping\r\ndata: {}\r\n\r\n", [b"{}"], id="carriage-returns-and-line-feeds"),
        pytest.param(b"event: ping\rdata: {}\r\r", [b"{}"], id="carriage-returns"),
        pytest.param(b"event: ping\rdata: {}\n\r\n", [b"{}"], id="mixed-line-ends"),
        pytest.param(b"data: {}\n\n", [b"{}"], id="no-event-line"),
        pytest.param(b"data:{}\n\n", [b"{}"], id="no-space"),
        pytest.param(b"data:  {}\n\n", [b" {}"], id="one-space-only-is-dropped"),
        pytest.param(b"data: {\ndata: }\n\n", [b"{\n}"], id="two-data-lines"),
        pytest.param(b"event: content_block_delta\ndata: {\ndata: }\n\n", [b"{\n}"], id="usual-head-two-data-lines"),
        pytest.param(b"event: content_block_delta\ndata: {}\nid: 4\n\n", [b"{}"], id="usual-head-more-fields"),
        pytest.param(DELTA % b"1" + DELTA % b"2" + DELTA % b"3", [b"1", b"2", b"3"], id="burst-of-deltas"),
        pytest.param(
            DELTA % b"1" + DELTA % b"{\ndata: }" + DELTA % b"3", [b"1", b"{\n}", b"3"], id="burst-with-two-data-lines"
        ),
        pytest.param(DELTA % b"1" + b"data: 2\n\n" + DELTA % b"3", [b"1", b"2", b"3"], id="burst-and-no-event-line"),
        pytest.param(DELTA % b"1" + b"\n" + DELTA % b"2", [b"1", b"2"], id="burst-with-another-blank-line"),
        pytest.param(b": note\nid: 7\nretry: 10\ndata: {}\n\n", [b"{}"], id="comments-and-other-fields"),
        pytest.param(b":\n\n: keep-alive\n\n", [], id="comments-alone"),
        pytest.param(b"data\n\n", [b""], id="field-without-colon"),
        pytest.param(b"dataset: 1\n\n", [], id="longer-field-name"),
        pytest.param(b"\xef\xbb\xbfdata: {}\n\n", [b"{}"], id="byte-order-mark"),
        pytest.param(b"\n\n\ndata: 1\n\n\n\ndata: 2\n\n", [b"1", b"2"], id="more-blank-lines"),
        pytest.param(b"data: 1\n\ndata: 2", [b"1", b"2"], id="last-event-not-closed"),
        pytest.param(b"<html>\n\n</html>", [], id="no-event-stream"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_data_of_each_event_is_found_whole_and_byte_by_byte(body: bytes, expected: list[bytes]):
    assert payloads(body) == expected
    assert payloads(body, *range(1, len(body))) == expected


@given(st.data(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_split_of_the_bytes_gives_the_same_events(data: st.DataObject, end: str):
    body = "".join(f"event: content_block_delta{end}data: {event}{end}{end}" for event in EVENTS * 2).encode()
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8).map(sorted))
    assert payloads(body, *cuts) == [event.encode() for event in EVENTS * 2]


def test_event_in_many_pieces_is_joined_once():
    reader = SseReader()
    assert reader.feed(b"data: ") == []
    assert [reader.feed(b"x" * 10) for _ in range(1000)] == [[]] * 1000
    assert reader.feed(b"\n") == []
    assert reader.feed(b"\n") == [b"x" * 10_000]
