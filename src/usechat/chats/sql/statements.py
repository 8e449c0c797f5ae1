"""The statements of a turn, built once: building one takes longer than running it.

Parameters that are not in a table are named with ``by_``. Values are read as they are stored, not decoded: there may be
many, and SQLAlchemy is slow for each value. `usechat.chats.sql.rows` decodes them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Table,
    Text,
    bindparam,
    case,
    func,
    insert,
    select,
    type_coerce,
    update,
)
from sqlalchemy.types import NullType

from usechat.chats.sql.columns import PlainText
from usechat.chats.sql.tables import chats, messages, turns

__all__ = [
    "ADD_CHAT",
    "ADD_MESSAGES",
    "ADD_TURN",
    "CHANGE_MESSAGE",
    "CHAT",
    "CLOSE_TURN",
    "ENDED_BY",
    "FIND_CHAT",
    "FIND_TURN",
    "FIND_USAGE",
    "FREE_CHAT",
    "HIDE_MESSAGE",
    "HOLD_CHAT",
    "LOCK_CHAT",
    "MESSAGES",
    "SHOW_PATH",
    "TURN",
]


def _stored(table: Table, *names: str) -> list[ColumnElement[Any]]:
    return [type_coerce(table.c[name], NullType()) for name in names]


CHAT: Final = _stored(
    chats, "id", "owner", "title", "created_at", "updated_at", "metadata", "active_run_id", "revision", "size", "leaf"
)
"""The columns that `usechat.chats.sql.rows.chat_from_row` reads."""
TURN: Final = _stored(turns, "run_id", "chat_id", "owner", "began_at", "parent", "continues", "status", "process_id")
"""The columns that `usechat.chats.sql.rows.turn_from_row` reads."""
_MESSAGE: Final = _stored(
    messages,
    "content",
    "number",
    "parent",
    "role",
    "created_at",
    "status",
    "usage",
    "finish_reason",
    "run_id",
    "is_hidden",
)

_FOLDED_TITLE = chats.c.folded_title
_BY_CHAT = messages.c.chat_id == bindparam("by_chat_id")
_BY_NUMBER = (_BY_CHAT, messages.c.number == bindparam("by_number"))

FIND_CHAT: Final = select(*CHAT).where(chats.c.id == bindparam("by_id"))
LOCK_CHAT: Final = FIND_CHAT.with_for_update()
MESSAGES: Final = select(*_MESSAGE).where(_BY_CHAT).order_by(messages.c.number)

ADD_CHAT: Final = insert(chats)
HOLD_CHAT: Final = (
    update(chats)
    .where(
        chats.c.id == bindparam("by_id"),
        chats.c.owner == bindparam("by_owner"),
        chats.c.revision == bindparam("by_revision"),
        chats.c.active_run_id.is_(None),
    )
    .values(
        active_run_id=bindparam("active_run_id"),
        revision=chats.c.revision + 1,
        size=bindparam("size"),
        leaf=bindparam("leaf"),
        updated_at=bindparam("updated_at"),
        title=func.coalesce(chats.c.title, bindparam("by_title", type_=PlainText)),
        folded_title=case((chats.c.title.is_(None), bindparam("by_folded_title", type_=Text)), else_=_FOLDED_TITLE),
    )
    .returning(*CHAT)
)
"""Holds a chat for a run, if it is in the state that the plan was made on."""
ADD_MESSAGES: Final = insert(messages)
ADD_TURN: Final = insert(turns)
CHANGE_MESSAGE: Final = update(messages).where(*_BY_NUMBER)
HIDE_MESSAGE: Final = CHANGE_MESSAGE.values(is_hidden=True)

CLOSE_TURN: Final = (
    update(turns)
    .where(turns.c.run_id == bindparam("by_run_id"), turns.c.status.is_(None))
    .values(status=bindparam("status"), ended_at=bindparam("ended_at"), ended_by=bindparam("ended_by"))
    .returning(*_stored(turns, "chat_id", "parent", "continues"))
)
FIND_TURN: Final = select(*TURN).where(turns.c.run_id == bindparam("by_run_id"))
ENDED_BY: Final = select(turns.c.ended_by).where(turns.c.run_id == bindparam("by_run_id"))
FREE_CHAT: Final = (
    update(chats)
    .where(chats.c.id == bindparam("by_id"), chats.c.active_run_id == bindparam("by_run_id"))
    .values(
        active_run_id=None,
        revision=chats.c.revision + 1,
        updated_at=bindparam("updated_at"),
        size=chats.c.size + bindparam("by_added", type_=Integer),
        leaf=case((bindparam("by_added", type_=Integer) > 0, chats.c.size), else_=chats.c.leaf),
    )
    .returning(chats.c.size)
)
"""Releases a chat, to which ``by_added`` messages (0 or 1) are added. Returns a row if the run held it."""
FIND_USAGE: Final = select(*_stored(messages, "usage")).where(*_BY_NUMBER)
SHOW_PATH: Final = (
    update(chats)
    .where(chats.c.id == bindparam("by_id"))
    .values(leaf=bindparam("leaf"), revision=chats.c.revision + 1)
    .returning(*CHAT)
)
