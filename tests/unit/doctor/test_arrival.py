from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import httpx
import pytest

from tests.support.scripted_backend import CHUNKS, frame
from usechat.doctor.check import Unseen, Verdict
from usechat.doctor.checks.arrival import find_delay, judge
from usechat.doctor.exchange import Arrival, Exchange
from usechat.doctor.frames import Stream

FRAMES = [*map(frame, CHUNKS), b"data: [DONE]\n\n"]


def arrived(*pieces: tuple[float, bytes], headers: Mapping[str, str] | None = None) -> tuple[Exchange, Stream]:
    async def make() -> Exchange:
        exchange = Exchange(1)
        exchange.headers = httpx.Headers(headers)
        exchange.arrivals = [Arrival(*piece) for piece in pieces]
        return exchange

    exchange = asyncio.run(make())
    stream = Stream.of(exchange)
    assert stream is not None
    return exchange, stream


def spread(first: float, pause: float) -> list[tuple[float, bytes]]:
    return [(first + pause * number, each) for number, each in enumerate(FRAMES)]


@pytest.mark.parametrize(
    ("pieces", "delay"),
    [
        (spread(0.5, 0.1), ""),
        (spread(0.1, 0.01), ""),
        ([(0.39, b"".join(FRAMES))], ""),
        ([(2.0, b"".join(FRAMES))], "The deltas arrive all at once, after 2.0 s: 6 of them."),
        (spread(2.0, 0.001), "The deltas arrive all at once, after 2.0 s: 6 of them."),
        # A model that thinks for long and then answers fast.
        ([(0.1, FRAMES[0]), (9.0, b"".join(FRAMES[1:]))], ""),
        ([(2.0, b"".join(FRAMES[:5]))], ""),
        (
            [(0.5, FRAMES[0] + FRAMES[1][:9]), (0.9, FRAMES[1][9:]), *spread(1, 0.1)[2:]],
            "The deltas arrive in blocks: one was cut, and its rest came 0.4 s later.",
        ),
        ([(0.5, FRAMES[0] + FRAMES[1][:9]), (0.51, FRAMES[1][9:]), *spread(1, 0.1)[2:]], ""),
    ],
)
def test_delay_is_told_by_times(pieces: Sequence[tuple[float, bytes]], delay: str) -> None:
    assert find_delay(*arrived(*pieces)) == delay


def test_finding_names_the_compression() -> None:
    verdict = judge(*arrived((2.0, b"".join(FRAMES)), headers={"content-encoding": "gzip"}))
    assert verdict == Verdict(["The deltas (gzip) arrive all at once, after 2.0 s: 6 of them."])


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([(0.2, b"".join(FRAMES))], "the answer was there after 0.20 s"),
        (spread(0.1, 0.001), "the answer was there after"),
        ([(2.0, b"".join(FRAMES[:5]))], "the answer has 2 deltas"),
    ],
)
def test_answer_that_tells_nothing_of_its_pace_is_not_judged(pieces: Sequence[tuple[float, bytes]], why: str) -> None:
    with pytest.raises(Unseen, match=why):
        judge(*arrived(*pieces))
