"""The form in which a reader keeps its place."""

from __future__ import annotations

import pytest

from usechat.runs.cursor import Cursor


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("0", Cursor()),
        ("12", Cursor(after=12)),
        ("run-a1:0", Cursor(run_id="run-a1")),
        ("run-a1:12", Cursor(run_id="run-a1", after=12)),
        ("run-a1:end", Cursor(run_id="run-a1", is_end=True)),
        ("a:b:3", Cursor(run_id="a:b", after=3)),
    ],
)
def test_a_cursor_comes_back(text: str, cursor: Cursor):
    assert Cursor.parse(text) == cursor
    assert str(cursor) == text


@pytest.mark.parametrize("text", ["", "end", ":", ":3", ":end", "run:", "run:-1", "-1", "1.5", "run:x", "٣", "9" * 19])
def test_what_is_no_cursor_is_refused(text: str):
    with pytest.raises(ValueError, match="no cursor"):
        Cursor.parse(text)


def test_a_cursor_has_a_bound():
    with pytest.raises(ValueError, match="no cursor"):
        Cursor.parse("r" * 300 + ":1")
