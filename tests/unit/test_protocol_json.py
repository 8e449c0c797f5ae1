from __future__ import annotations

import datetime as dt
import enum
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.protocol.json import decode_json, encode_json
from usechat.testing.strategies import json_values


class Colour(enum.Enum):
    RED = "red"


ENCODED: list[tuple[Any, bytes]] = [
    (None, b"null"),
    ({"a": [1, 2.5, True, None]}, b'{"a":[1,2.5,true,null]}'),
    ("é 😀 \u2028\u0085", '"é 😀 \u2028\u0085"'.encode()),
    ('\x00\n"\\', b'"\\u0000\\n\\"\\\\"'),
    ("\ud83d", b'"\\ud83d"'),
    ({"\ude00": ["\ud800é"]}, b'{"\\ude00":["\\ud800\\u00e9"]}'),
    (2**64, b"18446744073709551616"),
    (-(2**70), b"-1180591620717411303424"),
    ([float("nan"), float("inf"), -float("inf")], b"[null,null,null]"),
    (["\ud800", float("nan"), 1.5, (1, {2})], b'["\\ud800",null,1.5,[1,[2]]]'),
    ({1: "a", 2.5: "b"}, b'{"1":"a","2.5":"b"}'),
    ({None: 1, True: 2}, b'{"null":1,"true":2}'),
    (dt.date(2026, 1, 2), b'"2026-01-02"'),
    (["\ud800", dt.date(2026, 1, 2), Colour.RED], b'["\\ud800","2026-01-02","red"]'),
    (Decimal("1.50"), b"1.50"),
]


@pytest.mark.parametrize(("value", "text"), ENCODED)
def test_values_are_encoded_as_javascript_does(value: Any, text: bytes):
    assert encode_json(value) == text


def nested(depth: int, leaf: Any = 1) -> Any:
    for _ in range(depth):
        leaf = [leaf]
    return leaf


@pytest.mark.parametrize(
    "value", [object(), {(1, 2): 3}, ["\ud800", object()], nested(50_000), ["\ud800", nested(50_000)]]
)
def test_what_json_cannot_hold_is_a_type_error(value: Any):
    with pytest.raises(TypeError):
        encode_json(value)


DECODED: list[tuple[bytes | str, Any]] = [
    (b'{"a": 1}', {"a": 1}),
    ('"\\ud83d"', "\ud83d"),
    (b'"\\ud83d\\ude00 \\ud83d"', "😀 \ud83d"),
    ('"\ud83d"', "\ud83d"),
    (b'"\xff"', "\ufffd"),
    (b"18446744073709551616", 2**64),
    (b"1e400", float("inf")),
    ("\u20281".removeprefix("\u2028"), 1),
]


@pytest.mark.parametrize(("text", "value"), DECODED)
def test_texts_are_decoded_as_javascript_does(text: bytes | str, value: Any):
    assert decode_json(text) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "[Infinity]", "01", "'a'", '"\n"', "\ufeff1", "1 2", b"[" * 100_000])
def test_what_is_no_json_is_a_value_error(text: bytes | str):
    with pytest.raises(ValueError):  # noqa: PT011 - what a caller can rely on
        decode_json(text)


def test_a_text_nested_too_deeply_for_the_slow_parser_is_a_value_error():
    with pytest.raises(ValueError, match="too deeply"):
        decode_json(b'["\\ud800",' + b"[" * 100_000)


@given(value=json_values())
def test_any_value_comes_back_as_the_standard_library_reads_it(value: Any):
    assert decode_json(encode_json(value)) == json.loads(json.dumps(value))


@given(text=st.text(st.characters(), max_size=20))
def test_encoded_text_has_no_line_end(text: str):
    encoded = encode_json(text)
    assert b"\n" not in encoded
    assert b"\r" not in encoded
