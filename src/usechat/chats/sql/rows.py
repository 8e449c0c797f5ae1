"""Converts between rows of the tables and the values of `usechat.chats.store`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from usechat.chats.sql.columns import decode_shown, decode_text
from usechat.chats.store import Chat, Turn
from usechat.chats.text import fold, message_text
from usechat.chats.tool_errors import KEY, ToolErrors, split_tool_errors
from usechat.chats.tree import SavedMessage, UIMessage

__all__ = ["chat_from_row", "content_values", "message_from_row", "title_values", "turn_from_row"]


AnyRow: TypeAlias = Sequence[Any]


def chat_from_row(row: AnyRow) -> Chat:
    """Return the chat in a row of `usechat.chats.sql.statements.CHAT`."""
    chat_id, owner, title, created_at, updated_at, metadata, active_run_id, revision, size, leaf = row
    return Chat(
        id=decode_text(chat_id),
        owner=decode_text(owner),
        title=title and decode_text(title),
        created_at=created_at,
        updated_at=updated_at,
        metadata=decode_shown(metadata),
        active_run_id=active_run_id and decode_text(active_run_id),
        revision=revision,
        size=size,
        leaf=leaf,
    )


def message_from_row(row: AnyRow) -> SavedMessage:
    """Return the message in a row of `usechat.chats.sql.statements.MESSAGES`."""
    content, number, parent, created_at, status, usage, finish_reason, run_id, is_hidden = row
    message: UIMessage = decode_shown(content)
    tool_errors: ToolErrors = {}
    if KEY in message:
        message, tool_errors = split_tool_errors(message)
    return SavedMessage(
        message=message,
        tool_errors=tool_errors,
        number=number,
        parent=parent,
        role=message["role"],
        created_at=created_at,
        status=status,
        usage=usage and decode_shown(usage),
        finish_reason=finish_reason and decode_text(finish_reason),
        run_id=run_id and decode_text(run_id),
        is_hidden=bool(is_hidden),
    )


def turn_from_row(row: AnyRow) -> Turn:
    """Return the turn in a row of `usechat.chats.sql.statements.TURN`."""
    run_id, chat_id, owner, began_at, parent, continues, status, ended_at, process_id = row
    return Turn(
        run_id=decode_text(run_id),
        chat_id=decode_text(chat_id),
        owner=decode_text(owner),
        began_at=began_at,
        parent=parent,
        continues=continues,
        status=status,
        ended_at=ended_at,
        process_id=process_id,
    )


def content_values(message: UIMessage) -> Mapping[str, Any]:
    """Return the columns of a message's content and of its searched text."""
    return {
        "id": message["id"],
        "role": message["role"],
        "content": message,
        "folded_text": fold(message_text(message)),
    }


def title_values(title: str | None) -> Mapping[str, Any]:
    """Return the columns of a title and of its searched form."""
    return {"title": title, "folded_title": fold(title or "")}
