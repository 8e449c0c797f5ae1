from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from usechat.protocol.partial_json import MAX_STEPS, SHORT, mend_json, parse_partial_json, parse_whole_json
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

    # Once in three times is enough: what else the machine does adds to the time of each.
    assert any(seconds(4_000_000) < 100 * max(seconds(100_000), 0.002) for _ in range(3))


STRINGS: list[tuple[str, str]] = [
    ('"a\\nb\\"c\\\\', 'a\nb"c\\'),
    ('"\\u00e9\\u00e', "é"),
    ('"a\\u00', "a"),
    ('"' + "\\n" * 1500, "\n" * 1500),
    ('"' + ("x" * 100 + "\\t") * 3 + "y", ("x" * 100 + "\t") * 3 + "y"),
    ('"x" ', "x"),
]


@pytest.mark.parametrize(("text", "value"), STRINGS)
def test_cut_string_has_its_text_so_far(text: str, value: str):
    assert parse_partial_json(text) == value
    assert parse_partial_json(f'{{"before": "\\"", "key": {text}') == {"before": '"', "key": value}


CUT: dict[str, str] = {
    "numbers": "[" + "1," * SHORT,
    "brackets": "[" * 3 * SHORT,
    "a key": '{"' + "k" * 3 * SHORT,
    "blanks": "[1," + " " * 3 * SHORT,
    "escapes": '["' + "\\n" * 3 * SHORT,
    "escaped quotes": '["' + '\\"' * 3 * SHORT,
    "text": '["' + "é😀" * 5 * SHORT,
    "rows": '[{"id": 1, "name": "x"}' + ', {"id": 1, "name": "x\\n"}' * 100_000,
}


@pytest.mark.parametrize("kind", CUT)
@pytest.mark.no_cover
def test_large_text_of_many_small_things_has_no_value_while_it_is_cut(kind: str):
    assert parse_partial_json(CUT[kind]) is UNSET


@pytest.mark.no_cover
def test_large_text_that_is_whole_has_its_value():
    assert len(parse_whole_json(CUT["numbers"] + "1]")) == SHORT + 1
    assert parse_whole_json(CUT["numbers"]) is UNSET


@pytest.mark.no_cover
def test_long_strings_are_mended_however_long_they_are():
    text = 'line\\nof \\"code\\" ' * (MAX_STEPS // 20)
    found = parse_partial_json('{"path": "a.py", "content": "' + text)
    assert len(found["content"]) == MAX_STEPS // 20 * len('line\nof "code" ')
    # A quote is looked for once, and not again for each escape.
    assert len(parse_partial_json('{"content": "' + ("x" * 99 + "\\n") * 40_000)["content"]) == 4_000_000
