"""Deltas that come as one run say the same to everybody as they do one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest

from usechat import parts as p
from usechat.generate.recorder import StepRecorder
from usechat.generate.view import Batches
from usechat.protocol.dialects import Dialect
from usechat.protocol.encoders import EncoderOptions, WireFormat, make_encoder
from usechat.protocol.reducer import Reducer

TEXTS = ["The ", "tide", ' – 潮 \n"', "half \ud83d", "\ude00 pair", "{}"]
RUNS = {
    "text": ([p.TextStart("0")], p.DeltaRun(p.TextDelta, "0", TEXTS), [p.TextEnd("0")]),
    "reasoning": ([p.ReasoningStart("0")], p.DeltaRun(p.ReasoningDelta, "0", TEXTS), [p.ReasoningEnd("0")]),
    "tool input": (
        [p.ToolInputStart(tool_call_id="call", tool_name="search")],
        p.DeltaRun(p.ToolInputDelta, "call", TEXTS),
        [p.ToolInputAvailable(tool_call_id="call", tool_name="search", input={})],
    ),
}
FORMATS: Sequence[tuple[WireFormat | None, Dialect]] = [
    (None, Dialect((4, 0, 0), exact=False)),
    (None, Dialect((5, 0, 0), exact=False)),
    (None, Dialect((7, 0, 0), exact=True)),
    ("text-stream", Dialect((7, 0, 0), exact=False)),
    ("events", Dialect((7, 0, 0), exact=False)),
]
Begin: TypeAlias = list[p.Part]


def answers(kind: str) -> tuple[list[Any], list[Any]]:
    """The same answer with a run and without, and before the run a delta of its own."""
    begin, run, end = RUNS[kind]
    first = run.kind(run.id, "first")
    opening: Begin = [p.Start(), p.StartStep(message_id="m"), *begin, first]
    return [*opening, run, *end], [*opening, *run.parts(), *end]


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize(("wire_format", "dialect"), FORMATS)
@pytest.mark.parametrize("options", [EncoderOptions(), EncoderOptions(send_reasoning=False)])
def test_frames_are_the_same(kind: str, wire_format: WireFormat | None, dialect: Dialect, options: EncoderOptions):
    with_run, without = answers(kind)
    whole, single = (make_encoder(wire_format, dialect, options) for _ in range(2))
    assert whole.feed_all(with_run) == b"".join(map(single.feed, without))
    assert whole.finish() == single.finish()


@pytest.mark.parametrize("kind", RUNS)
def test_message_is_the_same(kind: str):
    with_run, without = answers(kind)
    reducers = Reducer("m"), Reducer("m")
    for reducer, parts in zip(reducers, (with_run, without), strict=True):
        reducer.feed_all(parts)
    assert reducers[0].message() == reducers[1].message()


@pytest.mark.parametrize("kind", RUNS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: make_encoder(None, Dialect((5, 0, 0), exact=False)),
        lambda: make_encoder("data-stream", Dialect((4, 0, 0), exact=False)),
    ],
)
def test_run_without_its_beginning_is_mended_like_its_deltas(kind: str, make: Callable[[], Any]):
    run = RUNS[kind][1]
    whole, single = make(), make()
    assert whole.feed_all([run]) == b"".join(map(single.feed, run.parts()))
    reducers = Reducer("m"), Reducer("m")
    reducers[0].feed_all([run])
    reducers[1].feed_all(run.parts())
    assert reducers[0].message() == reducers[1].message()


@pytest.mark.parametrize("kind", ["text", "reasoning"])
def test_step_is_recorded_the_same(kind: str):
    begin, run, end = RUNS[kind]
    recorders = StepRecorder(), StepRecorder()
    for recorder, deltas in zip(recorders, ([run], run.parts()), strict=True):
        for part in begin:
            recorder.take(part)
        assert recorder.grow(deltas) == len(deltas)
        for part in end:
            recorder.take(part)
    assert recorders[0].messages() == recorders[1].messages()
    assert recorders[0].joined(kind) == "".join(TEXTS)


def test_run_of_a_block_that_is_not_open_is_left_to_others():
    run = RUNS["text"][1]
    assert StepRecorder().grow([run]) == 0
    assert StepRecorder().grow([RUNS["tool input"][1]]) == 1


def test_applications_see_the_deltas():
    with_run, without = answers("text")
    assert Batches().feed(with_run, []) == without
