from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from usechat.protocol.partial_json import mend_json, parse_partial_json
from usechat.testing.strategies import json_values

VALUES: list[tuple[str, Any]] = [
    ("", UNSET),
    ("  ", UNSET),
    ("-", UNSET),
    ('"', ""),
    ('"ab', "ab"),
    ('"a\\', "a"),
    ('"a\\n', "a\n"),
    ('"a\\u00e', "a"),
    ('"a\\u00e9', "aé"),
    ('"\\ud83d', "\ud83d"),
    ("1", 1),
    ("-1.", -1),
    ("1e", 1),
    ("[1, -", [1]),
    ("t", True),
    ("fal", False),
    ("[nul", [None]),
    ("{", {}),
    ('{"a', {}),
    ('{"a"', {}),
    ('{"a":', {}),
    ('{"a": {"b": [1, {"c": "d', {"a": {"b": [1, {"c": "d"}]}}),
    ('{"a": 1,', {"a": 1}),
    ('{"a": 1, "b', {"a": 1}),
    ('{"a": true}', {"a": True}),
    ('{"a": [], "b": {}', {"a": [], "b": {}}),
    ('{"a": 1} and more', {"a": 1}),
    ("[truex", [True]),
    ("[1}", [1]),
    ("[1 2", UNSET),
    ("nope", UNSET),
    ('"\x01"', UNSET),
    ('[{"__proto__": 1', UNSET),
    ('{"__proto__": 1}', UNSET),
    ('{"constructor": {"prototype": 1', UNSET),
    ('{"constructor": {"a": 1', {"constructor": {"a": 1}}),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_partial_text_has_the_value_it_has_so_far(text: str, value: Any):
    assert parse_partial_json(text) == value


@given(value=json_values())
def test_a_whole_text_has_its_value(value: Any):
    assert parse_partial_json(json.dumps(value)) == json.loads(json.dumps(value))


@given(value=st.dictionaries(st.sampled_from(["a", "b"]), json_values()), end=st.integers(min_value=1))
@example(value={"a": {'":': None}}, end=11)
def test_any_cut_of_an_object_is_an_object_with_some_of_its_keys(value: dict[str, Any], end: int):
    text = json.dumps(value)
    found = parse_partial_json(text[: 1 + end % len(text)])
    if found is UNSET:
        # To the AI SDK's `fixJson` a key ends at its first quote, escaped or not: after such a key it may be at a loss.
        assert '\\"' in text
    else:
        assert list(found) == list(value)[: len(found)]


@pytest.mark.no_cover
def test_nesting_is_no_limit():
    assert mend_json("[" * 100_000) == "[" * 100_000 + "]" * 100_000
    assert parse_partial_json('{"a":' * 100_000) is UNSET


def test_the_time_grows_with_the_length_only():
    def seconds(length: int) -> float:
        text = '{"a": "' + "x" * length
        start = time.process_time()
        assert len(parse_partial_json(text)["a"]) == length
        return time.process_time() - start

    # The least of three: what else the machine does adds to the time of each.
    assert min(seconds(4_000_000) for _ in range(3)) < 100 * max(seconds(100_000), 0.002)
