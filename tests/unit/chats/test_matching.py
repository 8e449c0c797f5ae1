"""Posted messages are found among the stored ones, by id or by what they hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from usechat.chats.matching import find_position, match_messages, message_id
from usechat.chats.store import SavedMessage

Message = dict[str, Any]


def said(role: str, text: str, id: str | None = None, *parts: Message) -> Message:
    message = {"role": role, "parts": [{"type": "text", "text": text}, *parts]}
    return message if id is None else {"id": id, **message}


def call(id: str) -> Message:
    return {"type": "tool-ask", "toolCallId": id, "state": "input-available"}


def stored(*messages: Message) -> list[SavedMessage]:
    return [
        SavedMessage(message=message, position=position, role=message["role"], created_at=0)
        for position, message in enumerate(messages)
    ]


CHAT = stored(
    said("user", "hi", "u1"),
    said("assistant", "ho", "a1", call("c1")),
    said("user", "hi", "u2"),
    said("assistant", "", "a2"),
)


@pytest.mark.parametrize(("id", "found"), [("a1", "a1"), ("", None), (None, None), (5, None)])
def test_id_is_a_text_that_is_not_empty(id: Any, found: str | None) -> None:
    assert message_id({"id": id}) == found


@pytest.mark.parametrize(("wanted", "position"), [("u2", 2), ("x", None), (None, None)])
def test_position_of_an_id(wanted: str | None, position: int | None) -> None:
    assert find_position(CHAT, wanted) == position


@pytest.mark.parametrize(
    ("posted", "positions"),
    [
        pytest.param([said("user", "other", "u1"), said("assistant", "x", "a1")], [0, 1], id="ids count alone"),
        pytest.param([said("user", "hi", "new")], [None], id="the same text under another id is new"),
        pytest.param([said("user", "hi", "u2"), said("user", "hi", "u1")], [2, 0], id="any order"),
        pytest.param(
            [said("user", "hi", "u1"), said("assistant", "h", "own", call("c1"))], [0, 1], id="an answer's own id"
        ),
        pytest.param(
            [said("user", "hi", "u1"), said("assistant", "ho", "own", call("c2"))], [0, None], id="other calls"
        ),
        pytest.param([said("user", "hi", "u1"), said("assistant", "hu", "own")], [0, None], id="another text"),
        pytest.param(
            [said("assistant", "ho", "a1"), said("assistant", "hi", "own")], [1, None], id="no answer stands there"
        ),
        pytest.param([said("assistant", "", "a2"), said("assistant", "", "own")], [3, None], id="nothing stands there"),
        pytest.param(
            [said("user", "hi", "u1"), said("assistant", "ho", "own"), said("assistant", "ho", "a1")],
            [0, None, 1],
            id="the answer is told by its id already",
        ),
    ],
)
def test_messages_with_ids(posted: Sequence[Message], positions: list[int | None]) -> None:
    match = match_messages(CHAT, posted)
    assert (list(match.positions), match.diverges_at) == (positions, None)


@pytest.mark.parametrize(
    ("posted", "positions", "diverges_at"),
    [
        pytest.param([said("user", "hi")], [0], None, id="the first of two that are the same"),
        pytest.param([said("user", "hi"), said("user", "hi")], [0, 2], None, id="an answer is lacking"),
        pytest.param([said("user", "hi"), said("assistant", "anything")], [0, 1], None, id="any answer at its place"),
        pytest.param([said("user", "hi"), said("user", "no")], [0, None], 2, id="another way"),
        pytest.param([said("user", "no")], [None], 0, id="another way from the first"),
        pytest.param(
            [said("user", "hi"), said("user", "hi"), said("user", "new")], [0, 2, None], None, id="something new"
        ),
        pytest.param([said("system", "sys"), said("user", "hi")], [None, 0], None, id="a system message"),
        pytest.param([said("user", "no", "u1"), said("assistant", "ho")], [0, 1], None, id="some have ids"),
        pytest.param([said("user", "hi", None, {"type": "file", "url": "data:,"})], [None], 0, id="another file"),
    ],
)
def test_messages_without_ids(posted: Sequence[Message], positions: list[int | None], diverges_at: int | None) -> None:
    match = match_messages(CHAT, posted)
    assert (list(match.positions), match.diverges_at) == (positions, diverges_at)
