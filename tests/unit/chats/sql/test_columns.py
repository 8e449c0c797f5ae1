"""JSON and text as they are kept: valid in every database, and the same when read."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.chats.sql.columns import decode_shown, decode_text, encode_stored, encode_text
from usechat.json import MAX_DEPTH, decode_json, to_json_value

ANY_TEXT = st.text(st.characters())
"""With NUL and halves of UTF-16 pairs."""


@given(ANY_TEXT)
def test_text_comes_back_and_is_storable(text: str) -> None:
    encoded = encode_text(text)
    assert "\x00" not in encoded.encode().decode()
    assert decode_text(encoded) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [None, True]}, '{"b":1,"a":[null,true]}'),
        ("\x00\ud800\ud800é\u2028", '"\\u0000\\ud800\\ud800é\u2028"'),
        ("\\\ud800\\u0000", '"\\\\\\ud800\\\\u0000"'),
        (10**40, "1" + "0" * 40),
        ({"n": float("nan"), "l": [1.5, float("inf")], "t": (1,)}, '{"n":null,"l":[1.5,null],"t":[1]}'),
        ({"\ud800": float("nan"), "l": [float("inf"), 1.5]}, '{"\\ud800":null,"l":[null,1.5]}'),
        ({None: (1,), 2: None}, '{"null":[1],"2":null}'),
        (dt.date(2026, 1, 2), '"2026-01-02"'),
    ],
)
def test_json_text(value: Any, text: str) -> None:
    assert encode_stored(value) == text
    assert decode_json(text) == json.loads(text)


@pytest.mark.parametrize("text", ['"\\ud800"', "[1e999]", '{"a": 1.0, "b": -0.0}'])
def test_text_of_another_program_is_read_as_python_reads_it(text: str) -> None:
    assert decode_json(text) == json.loads(text)


def test_value_without_a_form_in_json_is_refused() -> None:
    with pytest.raises(TypeError):
        encode_stored({"a": object()})


def nested(depth: int, end: str = "1") -> str:
    """A JSON text that is nested so deep, in objects and lists by turns."""
    opened = "".join('{"a\\"[":' if level % 2 else "[" for level in range(depth))
    return opened + end + "".join("}" if level % 2 else "]" for level in reversed(range(depth)))


@pytest.mark.parametrize("end", ["1", '"[{"', '"\\\\"', "[]"])
def test_what_is_shown_of_deep_json_is_all_that_may_be_nested_so(end: str) -> None:
    legal = nested(MAX_DEPTH - 1, end)

    assert decode_shown(legal) == json.loads(legal)
    for depth in (MAX_DEPTH, MAX_DEPTH + 1, 900, 5_000):
        text = f'{{"before":1,"deep":{nested(depth, end)},"after":[{{"b":2}}]}}'
        shown = decode_shown(text)
        assert (shown["before"], shown["after"]) == (1, [{"b": 2}])
        assert to_json_value(shown) == shown
        assert json.dumps(shown["deep"]).count("null") == 1


def test_wide_json_is_shown_as_it_is() -> None:
    value = [[{"a": [n]}] for n in range(3 * MAX_DEPTH)]

    assert decode_shown(json.dumps(value)) == value
