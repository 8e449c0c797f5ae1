"""Between the rows of the tables and the values of `usechat.chats.base`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from sqlalchemy import Row

from usechat.chats.base import Chat, SavedMessage, Turn, UIMessage
from usechat.chats.columns import decode_json, decode_text
from usechat.chats.text import fold, message_text

__all__ = ["chat_from_row", "content_values", "message_from_row", "title_values", "turn_from_row"]


AnyRow: TypeAlias = Row[*tuple[Any, ...]]


def chat_from_row(row: AnyRow) -> Chat:
    """A row of ``chats``."""
    return Chat(
        id=row.id,
        owner=row.owner,
        title=row.title,
        created_at=row.created_at,
        updated_at=row.updated_at,
        metadata=row.metadata,
        active_run_id=row.active_run_id,
        revision=row.revision,
    )


def message_from_row(row: AnyRow) -> SavedMessage:
    """A row of `usechat.chats.statements.MESSAGES`."""
    content, position, role, created_at, status, usage, finish_reason, run_id = row
    return SavedMessage(
        message=decode_json(content),
        position=position,
        role=decode_text(role),
        created_at=created_at,
        status=status,
        usage=usage and decode_json(usage),
        finish_reason=finish_reason and decode_text(finish_reason),
        run_id=run_id and decode_text(run_id),
    )


def turn_from_row(row: AnyRow) -> Turn:
    """A row of ``turns``."""
    return Turn(
        run_id=row.run_id,
        chat_id=row.chat_id,
        owner=row.owner,
        began_at=row.began_at,
        continues=row.continues,
        status=row.status,
    )


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
