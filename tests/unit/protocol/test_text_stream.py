from __future__ import annotations

import pytest

from usechat.parts import Error, Part, ReasoningDelta, ReasoningStart, Start, StartStep, TextDelta, TextEnd, TextStart
from usechat.protocol.encoders import make_encoder

TEXTS: list[tuple[list[str], str]] = [
    (["It is ", "", "18."], "It is 18."),
    (["é 😀 \u2028\x00\n"], "é 😀 \u2028\x00\n"),
    (["\ud83d", "\ude00!"], "😀!"),
    (["a\ud83d", "b"], "a\ufffdb"),
    (["\ude00"], "\ufffd"),
    (["a\ud83d"], "a\ufffd"),
    ([], ""),
]


@pytest.mark.parametrize(("deltas", "text"), TEXTS)
def test_the_stream_is_the_text_and_nothing_else(deltas: list[str], text: str):
    parts: list[Part] = [Start(), StartStep(), TextStart("0"), ReasoningStart("1")]
    parts += [TextDelta("0", delta) for delta in deltas]
    parts += [ReasoningDelta("1", "secret"), TextEnd("0"), Error("e")]
    whole = make_encoder("text-stream")
    assert whole.feed_all(parts) + whole.finish() == text.encode()
    one_by_one = make_encoder("text-stream")
    assert b"".join(map(one_by_one.feed, parts)) + one_by_one.finish() == text.encode()


def test_the_stream_has_no_heartbeat():
    encoder = make_encoder("text-stream")
    assert (encoder.opening, encoder.heartbeat) == (b"", None)
    assert encoder.headers["content-type"] == "text/plain; charset=utf-8"
    assert "no-transform" in encoder.headers["cache-control"]
