"""Between the rows of the tables and the values of `usechat.chats.base`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import RowMapping

from usechat.chats.base import Chat, SavedMessage, Turn, UIMessage
from usechat.chats.text import fold, message_text

__all__ = ["chat_from_row", "content_values", "message_from_row", "title_values", "turn_from_row"]

_CHAT: Final = ("id", "owner", "title", "created_at", "updated_at", "metadata", "active_run_id", "revision")
_MESSAGE: Final = ("position", "role", "created_at", "status", "usage", "finish_reason", "run_id")
_TURN: Final = ("run_id", "chat_id", "owner", "began_at", "continues", "status")


def chat_from_row(row: RowMapping) -> Chat:
    """A row of ``chats``."""
    return Chat(**{name: row[name] for name in _CHAT})


def message_from_row(row: RowMapping) -> SavedMessage:
    """A row of ``messages``."""
    return SavedMessage(message=row["content"], **{name: row[name] for name in _MESSAGE})


def turn_from_row(row: RowMapping) -> Turn:
    """A row of ``turns``."""
    return Turn(**{name: row[name] for name in _TURN})


def content_values(message: UIMessage) -> Mapping[str, Any]:
    """A message's content, and what is kept of it to find it by."""
    return {
        "id": message["id"],
        "role": message["role"],
        "content": message,
        "folded_text": fold(message_text(message)),
    }


def title_values(title: str | None) -> Mapping[str, Any]:
    """A title, and its form that is searched."""
    return {"title": title, "folded_title": fold(title or "")}
