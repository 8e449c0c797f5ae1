from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.scripted_backend import CHUNKS, frame
from usechat.doctor.exchange import Arrival, Exchange
from usechat.doctor.frames import DATA_STREAM, UI_MESSAGE_STREAM, Stream, find_refusals
from usechat.doctor.releases import name_ranges, releases_of

UI = releases_of(None, (5, 6, 7))
LINES = releases_of(None, (3, 4))


def stream_of(*pieces: bytes) -> Stream | None:
    async def make() -> Exchange:
        exchange = Exchange(1)
        exchange.arrivals = [Arrival(float(number), piece) for number, piece in enumerate(pieces)]
        return exchange

    return Stream.of(asyncio.run(make()))


def refused(*chunks: Mapping[str, Any], posted: Mapping[str, Any] | None = None) -> list[tuple[int, str, str]]:
    stream = stream_of(b"".join(map(frame, chunks)) + b"data: [DONE]\n\n")
    assert stream is not None
    found = find_refusals(stream, UI, posted or {})
    return [(refusal.place, refusal.why, name_ranges(refusal.releases, UI)) for refusal in found]


@pytest.mark.parametrize(
    ("body", "protocol"),
    [
        (b'data: {"type":"start"}\n\n', UI_MESSAGE_STREAM),
        (b": stream-open\n\n", UI_MESSAGE_STREAM),
        (b"\xef\xbb\xbfid: 1\ndata: {}\n\n", UI_MESSAGE_STREAM),
        (b'f:{"messageId":"m"}\n0:"Hello"\n', DATA_STREAM),
        (b'0:"Hello"\n', DATA_STREAM),
    ],
)
def test_protocol_is_known_by_its_beginning(body: bytes, protocol: object) -> None:
    stream = stream_of(body)
    assert stream is not None
    assert stream.protocol is protocol


@pytest.mark.parametrize("body", [b"", b"Hello.", b"<html>", b'{"text":"Hello"}', b"a: b"])
def test_other_bodies_are_no_stream(body: bytes) -> None:
    assert stream_of(body) is None


def test_frame_has_the_time_of_the_piece_that_completes_it() -> None:
    stream = stream_of(b'0:"Hel', b'lo"\n0:"again"\n', b'd:{"finishReason":"stop"}\n')
    assert stream is not None
    assert [(each.seconds, each.text) for each in stream.frames] == [
        (1.0, b'0:"Hello"'),
        (1.0, b'0:"again"'),
        (2.0, b'd:{"finishReason":"stop"}'),
    ]
    assert [each.seconds for each in stream.content] == [1.0, 1.0]


def test_answer_of_the_oldest_chunks_is_read_by_all() -> None:
    assert refused(*CHUNKS) == []


START = {"type": "tool-input-start", "toolCallId": "c", "toolName": "t"}


@pytest.mark.parametrize(
    ("chunk", "why", "releases"),
    [
        ({"type": "finish", "finishReason": "stop"}, "finish.finishReason is unknown", "AI SDK 5 before 5.0.92"),
        ({"type": "custom", "kind": "a.b"}, "custom is unknown", "AI SDK 5, AI SDK 6"),
        (
            {"type": "start", "mine": 1},
            "start.mine is unknown",
            "AI SDK 5 before 5.0.217, AI SDK 6 before 6.0.231, AI SDK 7 before 7.0.32",
        ),
        ({"type": "start", "messageId": None}, "start.messageId has a wrong value", "AI SDK 5, AI SDK 6, AI SDK 7"),
        ({"type": "text", "text": "a"}, "text is unknown", "AI SDK 5, AI SDK 6, AI SDK 7"),
        (
            {"type": "text-delta", "id": "t", "delta": "a"},
            "text-delta: no open block has this id",
            "AI SDK 5, AI SDK 6, AI SDK 7",
        ),
    ],
)
def test_refusal_names_its_releases(chunk: Mapping[str, Any], why: str, releases: str) -> None:
    assert refused({"type": "start-step"}, chunk) == [(1, why, releases)]


def test_value_that_the_schemas_leave_out_is_no_refusal() -> None:
    chunk = {"type": "tool-input-available", "toolCallId": "c", "toolName": "t"}
    assert refused(chunk, {"type": "tool-output-available", "toolCallId": "c"}, {"type": "data-a"}) == []


def test_call_of_the_posted_answer_is_known() -> None:
    part = {
        "type": "tool-t",
        "toolCallId": "c",
        "state": "approval-responded",
        "approval": {"id": "p", "approved": True},
    }
    posted: Mapping[str, Any] = {"messages": [{"role": "user", "parts": []}, {"role": "assistant", "parts": [part]}]}
    output = {"type": "tool-output-available", "toolCallId": "c", "output": 1}
    assert refused(output, posted=posted) == []
    assert [why for _, why, _ in refused(output)] == ["tool-output-available: no such tool call"]


@pytest.mark.parametrize(
    "posted", [{"messages": 1}, {"messages": [1]}, {"messages": [{"role": "assistant", "parts": 1}]}]
)
def test_body_of_any_shape_can_be_posted(posted: Mapping[str, Any]) -> None:
    assert refused(*CHUNKS, posted=posted) == []


def test_lines_are_held_against_the_clients_of_3_and_4() -> None:
    lines = [b'f:{"messageId":"m"}', b'0:"Hello"', b"d:" + json.dumps({"finishReason": "stop"}).encode()]
    stream = stream_of(b"".join(line + b"\n" for line in lines))
    assert stream is not None
    found = find_refusals(stream, LINES, {})
    assert (found[0].place, name_ranges(found[0].releases, LINES)) == (0, "AI SDK 3, AI SDK 4 before 4.0.39")
