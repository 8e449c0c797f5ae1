"""How streams end whose process cannot end them: legally, and once."""

from __future__ import annotations

import pytest

from usechat.conversations.lost.runs import LostRun, end_frames, end_lost_run
from usechat.parts import (
    Error,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    Usage,
)
from usechat.protocol.dialects import NEWEST, Dialect, Version
from usechat.protocol.encoders import WireFormat, make_encoder

USAGE = Usage(input_no_cache=1, output=1)
REASON = FinishReason("stop")
ANSWER: list[Part] = [
    Start(),
    StartStep(message_id="m"),
    TextStart("0"),
    TextDelta("0", "Hi"),
    TextEnd("0"),
    FinishStep(finish_reason=REASON, usage=USAGE),
    Finish(finish_reason=REASON, total_usage=USAGE),
]


def lost_run(major: int, wire_format: WireFormat | None) -> LostRun:
    return LostRun(turn_id="t", wire_format=wire_format, version=NEWEST[major], is_exact=True, message_id=None)


@pytest.mark.parametrize(("major", "wire_format"), [(4, None), (5, None), (6, None), (7, None), (7, "events")])
@pytest.mark.parametrize("length", [3, 4, len(ANSWER)])
def test_readers_get_an_end_unless_they_have_it(major: int, wire_format: WireFormat | None, length: int):
    lost = lost_run(major, wire_format)
    encoder = make_encoder(wire_format, Dialect(NEWEST[major], exact=True))
    is_whole = length == len(ANSWER)
    frames = encoder.feed_all(ANSWER[:length]) + (encoder.finish() if is_whole else b"")
    assert (end_frames(lost, frames, None, Error("lost")) == b"") is is_whole


@pytest.mark.parametrize(("major", "wire_format"), [(4, None), (5, None), (6, None), (7, None), (7, "events")])
def test_an_answer_of_which_only_the_terminator_is_missing_is_whole(
    major: int, wire_format: WireFormat | None, caplog: pytest.LogCaptureFixture
):
    lost = lost_run(major, wire_format)
    encoder = make_encoder(wire_format, Dialect(NEWEST[major], exact=True))
    frames = encoder.feed_all(ANSWER)
    ending = end_lost_run(lost, frames, None)
    assert (ending.status, ending.frames) == ("whole", encoder.finish())
    assert caplog.messages == []


def test_an_answer_that_failed_and_ended_has_failed():
    lost = lost_run(7, None)
    encoder = make_encoder(None, Dialect(NEWEST[7], exact=True))
    frames = encoder.feed_all([*ANSWER[:4], Error("no")]) + encoder.finish()
    ending = end_lost_run(lost, frames, None)
    assert (ending.status, ending.frames) == ("failed", b"")


@pytest.mark.parametrize(("version", "frames"), [((3, 0, 0), b'0:"Hi"\n'), ((2, 0, 0), b"Hi")])
def test_what_an_old_client_was_shown_is_saved(version: Version, frames: bytes):
    lost = LostRun(turn_id="t", wire_format=None, version=version, is_exact=True, message_id=None)
    assert make_encoder(None, lost.dialect).feed_all(ANSWER) == frames
    message = end_lost_run(lost, frames, None).message
    assert message is not None
    assert [part["text"] for part in message["parts"] if part["type"] == "text"] == ["Hi"]
