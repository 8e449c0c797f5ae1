"""The AI SDK's own clients read an answer to its end whatever keys its values have, and hold what is saved of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from tests.conformance.javascript import JavaScript
from tests.unit.test_unsafe_keys import UNSAFE, VALUES, parts_with
from usechat.json import decode_json, encode_json
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.encoders import make_encoder
from usechat.protocol.reducer import Reducer
from usechat.unsafe_keys import without_unsafe_keys

MAJORS = (5, 6, 7)


@pytest.fixture(scope="module")
def javascript() -> Iterator[JavaScript]:
    with JavaScript() as process:
        yield process


def check(javascript: JavaScript, major: int, value: Any) -> None:
    dialect = Dialect(NEWEST[major], exact=True)
    encoder, reducer = make_encoder(None, dialect), Reducer(dialect=dialect)
    parts = parts_with(value)
    body = encoder.feed_all(parts) + encoder.finish()
    reducer.feed_all(parts)
    shown, error = javascript.chat(major, body)

    assert error is None
    assert shown["parts"] == decode_json(encode_json(reducer.message()["parts"]))
    assert shown["metadata"] == decode_json(encode_json(reducer.message()["metadata"]))


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("value", UNSAFE)
def test_unsafe_keys_break_no_clients_answer(major: int, value: Any, javascript: JavaScript):
    check(javascript, major, value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(value=VALUES)
def test_any_value_is_read_by_the_newest_client(value: Any, javascript: JavaScript):
    # Within provider metadata the client's schema refuses this key with any value, though its parser takes it.
    assume('"constructor": ' not in json.dumps(without_unsafe_keys(value)))
    check(javascript, 7, value)
