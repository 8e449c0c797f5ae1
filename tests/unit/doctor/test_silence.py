from __future__ import annotations

import asyncio

import pytest

from tests.support.scripted_backend import CHUNKS, frame
from usechat.doctor.checks.silence import is_cut_in_silence, longest_gap
from usechat.doctor.exchange import Arrival, Exchange
from usechat.doctor.frames import Stream

WHOLE = b"".join(map(frame, CHUNKS))
HALF = b"".join(map(frame, CHUNKS[:5]))


def over(body: bytes, *, after: float, has_ended: bool, is_out_of_time: bool = False) -> tuple[Exchange, Stream]:
    """A body that came at once after a second, and was over later."""

    async def make() -> Exchange:
        exchange = Exchange(1)
        exchange.arrivals = [Arrival(1.0, body)]
        exchange.over, exchange.has_ended, exchange.is_out_of_time = 1.0 + after, has_ended, is_out_of_time
        return exchange

    exchange = asyncio.run(make())
    stream = Stream.of(exchange)
    assert stream is not None
    return exchange, stream


@pytest.mark.parametrize("has_ended", [False, True])
def test_answer_that_is_over_after_a_silence_without_an_end_is_cut(has_ended: bool) -> None:
    assert is_cut_in_silence(*over(HALF, after=30.0, has_ended=has_ended), idle=30)
    assert not is_cut_in_silence(*over(HALF, after=0.1, has_ended=has_ended), idle=30)


def test_connection_that_stays_open_after_the_end_is_not_cut() -> None:
    assert not is_cut_in_silence(*over(WHOLE, after=30.0, has_ended=True), idle=30)


def test_time_that_the_doctor_gave_is_no_cut() -> None:
    assert not is_cut_in_silence(*over(HALF, after=30.0, has_ended=False, is_out_of_time=True), idle=30)


def test_least_silence_is_that_which_was_asked_for() -> None:
    exchange, stream = over(HALF, after=2.0, has_ended=False)
    assert not is_cut_in_silence(exchange, stream, idle=30)
    assert is_cut_in_silence(exchange, stream, idle=1)


@pytest.mark.parametrize(("times", "gap"), [([], 0.0), ([4.0], 4.0), ([1.0, 1.5, 4.5, 5.0], 3.0)])
def test_wait_for_the_first_counts_as_a_gap(times: list[float], gap: float) -> None:
    assert longest_gap(times) == gap
