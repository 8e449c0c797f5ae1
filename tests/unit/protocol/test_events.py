from __future__ import annotations

from typing import Any

import pytest

from usechat.parts import (
    Abort,
    Error,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    Usage,
)
from usechat.protocol.encoders import make_encoder

STOP = FinishReason("stop")
END = Finish(finish_reason=STOP, total_usage=Usage())
NOTHING_USED = b'data: {"done":true,"usage":{}}\n\n'


def step_end(raw: dict[str, Any] | None) -> FinishStep:
    return FinishStep(finish_reason=STOP, usage=Usage(raw=raw))


EVENTS: dict[str, tuple[list[Part], bytes]] = {
    "text": (
        [TextStart("0"), TextDelta("0", "a\n\u2028\ud83d"), TextDelta("0", ""), TextEnd("0"), END],
        'data: {"text":"a\\n\u2028\\ud83d"}\n\n'.encode() + NOTHING_USED,
    ),
    "text of several blocks and steps": (
        [TextDelta("0", "a"), step_end(None), TextDelta("1", "b"), END],
        b'data: {"text":"a"}\n\ndata: {"text":"b"}\n\n' + NOTHING_USED,
    ),
    "usage of several steps": (
        [
            StartStep(),
            step_end({"in": 1, "cache": {"a": 1}, "tier": "x", "none": None, "flag": True}),
            StartStep(),
            step_end({"in": 2, "cache": {"a": 2, "b": 3}, "tier": "y", "none": 4, "flag": False, "new": None}),
            StartStep(),
            step_end({"tier": None}),
            END,
        ],
        b'data: {"done":true,"usage":{"in":3,"cache":{"a":3,"b":3},"tier":"y","none":4,"flag":false,"new":null}}\n\n',
    ),
    "an error ends it": ([Error("e"), TextDelta("0", "a"), END], b'data: {"error":"e"}\n\n'),
    "an error after the end is not shown": ([END, Error("e"), END], NOTHING_USED),
    "an abort": ([Abort()], NOTHING_USED),
    "a broken off answer": ([ReasoningDelta("0", "a")], NOTHING_USED),
}  # fmt: skip


@pytest.mark.parametrize(("parts", "events"), EVENTS.values(), ids=EVENTS)
def test_parts_become_events(parts: list[Part], events: bytes):
    whole = make_encoder("events")
    assert whole.feed_all(parts) + whole.finish() == events
    one_by_one = make_encoder("events")
    assert b"".join(map(one_by_one.feed, parts)) + one_by_one.finish() == events


def test_the_headers_keep_proxies_from_holding_the_stream_back():
    encoder = make_encoder("events")
    assert encoder.headers["content-type"] == "text/event-stream"
    assert encoder.headers["cache-control"] == "no-cache, no-transform"
    assert (encoder.opening, encoder.heartbeat) == (b": stream-open\n\n", b": keep-alive\n\n")
