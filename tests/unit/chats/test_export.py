"""A chat as JSON to take away."""

from __future__ import annotations

from typing import Any

from usechat.chats.export import export_chat
from usechat.chats.store import Chat, SavedChat
from usechat.chats.tree import MessageTree, SavedMessage


def test_export_holds_the_messages_as_they_are_and_how_they_came_about() -> None:
    message: dict[str, Any] = {"id": "a1", "role": "assistant", "parts": [], "odd": 1}
    saved = SavedMessage(
        message=message,
        number=0,
        role="assistant",
        created_at=1.5,
        status="partial",
        usage={"n": 1},
        finish_reason="length",
        run_id="r",
    )
    chat = Chat(
        id="c", owner="ada", title="T", created_at=0, updated_at=1.5, metadata={"m": 1}, revision=3, size=1, leaf=0
    )
    details = {
        "messageId": "a1",
        "createdAt": "1970-01-01T00:00:01.500Z",
        "status": "partial",
        "finishReason": "length",
        "usage": {"n": 1},
        "runId": "r",
    }
    place = {"id": "a1", "node": 0, "parent": None, "siblings": [0], "index": 0}
    assert export_chat(SavedChat(chat=chat, tree=MessageTree([saved]))) == {
        "id": "c",
        "title": "T",
        "createdAt": "1970-01-01T00:00:00.000Z",
        "updatedAt": "1970-01-01T00:00:01.500Z",
        "metadata": {"m": 1},
        "messages": [message],
        "details": [details],
        "tree": [
            {
                "message": message,
                "place": {**place, "status": "partial", "finishReason": "length"},
                "details": details,
            }
        ],
    }
