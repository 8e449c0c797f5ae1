from __future__ import annotations

import datetime as dt
import enum
import json
from decimal import Decimal
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.json import (
    MAX_DEPTH,
    JsonDepthError,
    decode_json,
    encode_json,
    find_deep,
    parse_json,
    replace_lone_surrogates,
    to_json_value,
    write_json,
)
from usechat.testing.strategies import json_values

Json = Any


class Colour(enum.Enum):
    RED = "red"


ENCODED: list[tuple[Any, bytes]] = [
    (None, b"null"),
    ({"a": [1, 2.5, True, None]}, b'{"a":[1,2.5,true,null]}'),
    ("é 😀 \u2028\u0085", '"é 😀 \u2028\u0085"'.encode()),
    ('\x00\n"\\', b'"\\u0000\\n\\"\\\\"'),
    ("\ud83d", b'"\\ud83d"'),
    ({"\ude00": ["\ud800é"]}, '{"\\ude00":["\\ud800é"]}'.encode()),
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
    (b"18446744073709551616", 2**64),
    (b"1e400", float("inf")),
    ("\u20281".removeprefix("\u2028"), 1),
]


@pytest.mark.parametrize(("text", "value"), DECODED)
def test_texts_are_decoded_as_javascript_does(text: bytes | str, value: Any):
    assert decode_json(text) == value


@pytest.mark.parametrize(
    "text", ["", "{", "NaN", "[Infinity]", "01", "'a'", '"\n"', "\ufeff1", "1 2", b"[" * 100_000, b'"\xff"']
)
def test_what_is_no_json_is_a_value_error(text: bytes | str):
    with pytest.raises(ValueError):  # noqa: PT011 - what a caller can rely on
        decode_json(text)


def test_a_text_nested_too_deeply_for_the_slow_parser_is_a_value_error():
    with pytest.raises(ValueError, match="too deep"):
        decode_json(b'["\\ud800",' + b"[" * 100_000)


@given(value=json_values())
def test_any_value_comes_back_as_the_standard_library_reads_it(value: Any):
    assert decode_json(encode_json(value)) == json.loads(json.dumps(value))


@given(text=st.text(st.characters(), max_size=20))
def test_encoded_text_has_no_line_end(text: str):
    encoded = encode_json(text)
    assert b"\n" not in encoded
    assert b"\r" not in encoded


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists))
def test_json_is_read_as_the_standard_library_reads_it(value: Json):
    text = json.dumps(value).replace("NaN", "0").replace("-Infinity", "-1e999").replace("Infinity", "1e999")
    for written in (text, text.encode(), text.encode("utf-16")):
        assert repr(parse_json(written)) == repr(to_json_value(json.loads(text)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, False, None]}, '{"b":1,"a":[true,false,null]}'),
        ([18.0, 1.5, 1e-7, 1e-5, 1e21, 1e20, -0.1], "[18,1.5,1e-7,0.00001,1e+21,100000000000000000000,-0.1]"),
        ("ü\u2028\ud800\n", '"ü\u2028\\ud800\\n"'),
        (float("inf"), "null"),
        (cast("Json", {1: {2}}), '{"1":"{2}"}'),
        ([2**70, 2**53 + 1, -(2**63)], "[1180591620717411303424,9007199254740993,-9223372036854775808]"),
        (
            [1e16, 123456789012345680000.0, 1e-6, 0.0001, -0.0],
            "[10000000000000000,123456789012345680000,0.000001,0.0001,0]",
        ),
        (cast("Json", ("tuple", MappingProxyType[str, Any]({"a": {}}))), '["tuple",{"a":{}}]'),
        ([HTTPStatus.OK], "[200]"),
        ([2**70, None, True, {"a": [float("inf"), 0.0]}], '[1180591620717411303424,null,true,{"a":[null,0]}]'),
    ],
)
def test_json_is_written_as_javascript_writes_it(value: Json, text: str):
    assert write_json(value) == text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_is_written_alike_beside_a_number_that_few_can_hold(value: Json):
    assert write_json([value, 2**70]) == f"[{write_json(value)},1180591620717411303424]"


def test_value_that_is_json_is_not_copied():
    value = parse_json('{"a": [1, 1.5, null, {"b": [[], {}]}]}')
    assert to_json_value(value) is value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [2**64, -(2**64), 2**63]}, {"a": [float(2**64), -float(2**64), 2**63]}),
        ([{"a": float("inf")}, 10**400], [{"a": None}, None]),
        ({"a": (1, [2, True])}, {"a": [1, [2, True]]}),
        (10**400, None),
    ],
)
def test_value_that_is_not_json_becomes_it(value: Json, expected: Json):
    assert to_json_value(value) == expected


def test_value_may_be_nested_so_deep_and_no_deeper():
    assert to_json_value(nested(MAX_DEPTH)) == nested(MAX_DEPTH)
    with pytest.raises(JsonDepthError):
        to_json_value(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"messages": [{"parts": [{}, {"data": nested(MAX_DEPTH)}]}]}, "messages[0].parts[1].data"),
        ({"messages": [{"metadata": {"secret": nested(MAX_DEPTH)}}]}, "messages[0].metadata"),
        ({"secret": nested(MAX_DEPTH)}, ""),
        (nested(900), "[0][0][0][0][0]"),
        ({"metadata": nested(MAX_DEPTH - 1)}, ""),
    ],
)
def test_place_of_what_is_nested_too_deep_is_told_by_known_names(value: Json, path: str):
    assert find_deep(value) == path


def test_lone_surrogates_can_be_replaced_everywhere():
    assert replace_lone_surrogates({"a\ud800": ["\udc00ü", 1, "ascii"]}) == {"a\ufffd": ["\ufffdü", 1, "ascii"]}


def test_json_text_is_read_strictly():
    assert parse_json('{"a": [1.5, 99999999999999999999999]}') == {"a": [1.5, 1e23]}
    with pytest.raises(ValueError, match="not a JSON number"):
        parse_json("Infinity")
