"""Titles, searchable text, and whether a message that a client brings is whole."""

from __future__ import annotations

from typing import Any

import pytest

from usechat.chats.text import derive_title, fold, imported_status, message_text


def message(*parts: Any, role: str = "user") -> dict[str, Any]:
    return {"id": "m", "role": role, "parts": [*parts]}


def text(value: Any) -> dict[str, Any]:
    return {"type": "text", "text": value}


def test_text_of_a_message_is_its_text_parts() -> None:
    parts = [text("one"), {"type": "reasoning", "text": "no"}, text(""), "odd", text("two")]
    assert message_text(message(*parts)) == "one\ntwo"


@pytest.mark.parametrize(
    ("written", "folded"), [("Straße", "strasse"), ("ﬁne", "fine"), ("a\x00\ud800b", "a\ufffd\ufffdb")]
)
def test_folded_text(written: str, folded: str) -> None:
    assert fold(written) == folded


@pytest.mark.parametrize(
    ("messages", "title"),
    [
        ([message(text("  Hello\n there "))], "Hello there"),
        ([message(text("sys"), role="system"), message(text(" ")), message(text("Hi"))], "Hi"),
        ([message({"type": "file", "url": "data:,"})], None),
        ([], None),
        ([message(text("word " * 30))], f"{('word ' * 16).strip()}…"),
        ([message(text("x" * 200))], f"{'x' * 80}…"),
    ],
)
def test_title_is_the_beginning_of_the_first_text(messages: list[dict[str, Any]], title: str | None) -> None:
    assert derive_title(messages) == title


@pytest.mark.parametrize(
    ("part", "status"),
    [
        ({"type": "text", "text": "a", "state": "done"}, "whole"),
        ({"type": "text", "text": "a"}, "whole"),
        ({"type": "text", "text": "a", "state": "streaming"}, "partial"),
        ({"type": "tool-x", "toolCallId": "c", "state": "input-streaming"}, "partial"),
    ],
)
def test_message_with_a_growing_part_is_partial(part: dict[str, Any], status: str) -> None:
    assert imported_status(message(part, role="assistant")) == status
