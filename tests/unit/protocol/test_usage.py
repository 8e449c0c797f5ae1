from __future__ import annotations

from typing import Any

import pytest

from usechat.parts import Usage
from usechat.protocol.dialects import AUTO, NEWEST, Dialect
from usechat.protocol.usage import parse_usage, show_usage, usage_for_major

RAW = {"input_tokens": 10, "output_tokens": 5}
USAGE = Usage(
    input_no_cache=10,
    input_cache_read=100,
    input_cache_write=1000,
    output=5,
    output_text=3,
    output_reasoning=2,
    input_first=9,
    raw=RAW,
)
DETAILS_6 = {
    "inputTokens": 1110,
    "inputTokenDetails": {"noCacheTokens": 10, "cacheReadTokens": 100, "cacheWriteTokens": 1000},
    "outputTokens": 5,
    "outputTokenDetails": {"textTokens": 3, "reasoningTokens": 2},
    "totalTokens": 1115,
    "raw": RAW,
}

SHAPES: list[tuple[int, Usage, dict[str, Any]]] = [
    (4, USAGE, {"promptTokens": 9, "completionTokens": 5}),
    (4, Usage(), {"promptTokens": 0, "completionTokens": 0}),
    (
        5,
        USAGE,
        {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15, "reasoningTokens": 2, "cachedInputTokens": 100},
    ),
    (5, Usage(output=5), {"outputTokens": 5, "totalTokens": 5}),
    (5, Usage(input_no_cache=1, input_cache_read=0, raw={}), {"inputTokens": 1, "totalTokens": 1}),
    (
        5,
        Usage(input_no_cache=1, input_cache_read=0, raw={"cache_read_input_tokens": 0}),
        {"inputTokens": 1, "totalTokens": 1, "cachedInputTokens": 0},
    ),
    (6, USAGE, {**DETAILS_6, "cachedInputTokens": 100, "reasoningTokens": 2}),
    (7, USAGE, DETAILS_6),
    (
        7,
        Usage(input_no_cache=1),
        {"inputTokens": 1, "inputTokenDetails": {"noCacheTokens": 1}, "outputTokenDetails": {}, "totalTokens": 1},
    ),
]


@pytest.mark.parametrize(("major", "usage", "shape"), SHAPES)
def test_each_major_has_its_own_shape(major: int, usage: Usage, shape: dict[str, Any]):
    assert usage_for_major(usage, major) == shape


def test_usage_of_several_calls_adds_up_what_is_known():
    assert USAGE + Usage() == Usage() + USAGE == USAGE
    total = USAGE + Usage(input_no_cache=1, output=1, raw={"input_tokens": 1})
    assert (total.input_no_cache, total.output, total.input_cache_read, total.raw) == (11, 6, 100, None)


def test_usage_anywhere_in_metadata_is_shown_and_the_rest_is_untouched():
    metadata = {"a": [USAGE, 1], "b": {"usage": Usage(output=5)}, "c": None}
    five = {"outputTokens": 5, "totalTokens": 5}
    shown = show_usage(metadata, AUTO)
    assert shown["b"] == {"usage": five}
    assert shown["a"][1:] == [1]
    assert shown["c"] is None
    assert show_usage((Usage(output=5),), AUTO) == [five]
    assert metadata["b"] == {"usage": Usage(output=5)}


def test_major_4_shows_its_own_shape_in_annotations():
    assert show_usage(USAGE, Dialect(NEWEST[4], exact=True)) == {"promptTokens": 9, "completionTokens": 5}


@pytest.mark.parametrize("major", [4, 5, 6, 7])
@pytest.mark.parametrize("usage", [USAGE, Usage(input_no_cache=3, output=5, input_first=3)])
def test_usage_that_was_shown_adds_to_more_as_if_it_were_known(major: int, usage: Usage):
    read = parse_usage(usage_for_major(usage, major))
    shown, expected = (usage_for_major(each + usage, major) for each in (read, usage))
    assert shown == {key: value for key, value in expected.items() if key != "raw"}


@pytest.mark.parametrize("shown", [None, 3, "many", [], {}, {"inputTokens": True}, {"outputTokens": 2**60}])
def test_what_is_no_usage_counts_nothing(shown: Any):
    assert parse_usage(shown) == Usage()
