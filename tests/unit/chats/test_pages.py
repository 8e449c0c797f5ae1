"""The cursor behind a page of chats."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.chats.pages import decode_cursor, encode_cursor
from usechat.chats.store import Chat
from usechat.errors import RequestError


@given(st.floats(allow_nan=False, allow_infinity=False), st.text(st.characters(codec="utf-8")))
def test_cursor_comes_back(updated_at: float, chat_id: str) -> None:
    cursor = encode_cursor(Chat(id=chat_id, owner="ada", created_at=0, updated_at=updated_at))
    assert cursor.replace("-", "").replace("_", "").isalnum()
    assert decode_cursor(cursor) == (updated_at, chat_id)


@pytest.mark.parametrize("json", [b"", b"[1]", b'{"a":1}', b'[NaN,"a"]', b'["a",1.0]', b"[" * 100_000, b"\xff"])
def test_foreign_cursor_is_refused(json: bytes) -> None:
    with pytest.raises(RequestError) as raised:
        decode_cursor(base64.urlsafe_b64encode(json).decode())
    assert (raised.value.path, raised.value.status) == ("cursor", 400)


@pytest.mark.parametrize("cursor", ["x", "\ud800", "é"])
def test_cursor_that_is_no_base64_is_refused(cursor: str) -> None:
    with pytest.raises(RequestError):
        decode_cursor(cursor)
