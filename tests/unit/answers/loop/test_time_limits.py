"""Until when each wait may last, with a clock that the test sets."""

from __future__ import annotations

import math
from typing import Any

import pytest

from usechat import Timeout
from usechat.answers.loop.time_limits import TimeLimits
from usechat.errors import ConfigurationError
from usechat.models.base import DEFAULT_TIMEOUT, ModelCall
from usechat.parts import Custom, TextDelta

STREAM = object()
TOOLS = object()
METADATA = Custom("anthropic.message_start", {"anthropic": {}})


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class SomeModel:
    provider = "some"
    model_id = "some-1"

    def __init__(self, timeout: Timeout | None = None) -> None:
        self.timeout = timeout

    def stream(self, call: ModelCall) -> Any:
        raise NotImplementedError


def begun(timeout: Timeout | None = None, model: SomeModel | None = None) -> tuple[TimeLimits, Clock, ModelCall]:
    clock = Clock()
    limits = TimeLimits(timeout, clock)
    call = limits.begin_call(model or SomeModel(), ModelCall(messages=(), timeout=timeout))
    limits.stream = STREAM
    return limits, clock, call


def test_dead_provider_is_waited_for_some_minutes_by_default():
    limits, clock, _ = begun()
    assert limits.until(STREAM) == clock.now + 300
    assert str(limits.error()) == "the answer was ended: the model brought nothing within 300 s (timeout.first_chunk)"
    assert (limits.error().code, limits.error().provider) == ("timeout", "some")


def test_first_chunk_is_not_put_off_by_metadata():
    limits, clock, _ = begun(Timeout(first_chunk=10, chunk=4))
    clock.now += 9
    limits.feed([METADATA], STREAM)
    assert limits.until(STREAM) == 1010
    limits.feed([METADATA, TextDelta("0", "hello")], STREAM)
    assert limits.until(STREAM) == clock.now + 4
    clock.now += 2
    assert limits.until(STREAM) == clock.now + 4


def test_tools_may_take_as_long_as_the_step():
    limits, _, _ = begun(Timeout(step=20, first_chunk=3))
    limits.feed([TextDelta("0", "hello")], TOOLS)
    assert limits.until(TOOLS) == limits.until(None) == 1020
    assert limits.error().limit == "step"
    assert limits.until(STREAM) == 1020


def test_total_ends_a_step_and_is_not_put_off_by_another():
    limits, clock, call = begun(Timeout(total=30, step=20))
    assert call.timeout is not None
    assert call.timeout.step == 20
    clock.now += 15
    call = limits.begin_call(SomeModel(), call)
    assert call.timeout is not None
    assert call.timeout.step == 15
    assert limits.until(None) == 1030
    error = limits.error()
    assert (error.limit, error.seconds, error.is_retryable) == ("total", 30, False)


def test_total_counts_before_the_first_model_call():
    limits = TimeLimits(Timeout(total=30), Clock())
    assert limits.until(TOOLS) == 1030


def test_call_goes_before_the_model_and_the_model_before_the_default():
    limits, _, call = begun(Timeout(first_chunk=7), SomeModel(Timeout(first_chunk=9, chunk=2, step=5)))
    assert call.timeout == Timeout(total=math.inf, step=5, first_chunk=7, chunk=2)
    assert limits.until(None) == 1005


def test_endless_is_no_limit():
    limits, _, _ = begun(Timeout(total=math.inf, step=math.inf, first_chunk=math.inf, chunk=math.inf))
    assert limits.until(STREAM) == limits.until(None) == math.inf


def test_nothing_is_limited_where_there_is_no_model():
    assert TimeLimits(None, Clock()).until(object()) == math.inf
    assert DEFAULT_TIMEOUT.total == math.inf


@pytest.mark.parametrize("value", [0, -1, math.nan, "5", True])
def test_limit_that_is_none_is_told_by_name(value: Any):
    with pytest.raises(ConfigurationError, match=r"timeout\.chunk must be a number of seconds above 0"):
        Timeout(chunk=value)


def test_number_in_place_of_limits_is_told_at_the_call():
    wrong: Any = 5
    with pytest.raises(ConfigurationError, match="must be a usechat"):
        ModelCall(messages=(), timeout=wrong)
