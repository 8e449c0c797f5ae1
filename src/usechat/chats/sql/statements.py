"""The statements of a turn, built once: building one takes longer than running it.

Parameters that are not in a table are named with ``by_``. Values are read as they are stored, not decoded: there may be
many, and SQLAlchemy is slow for each value. `usechat.chats.sql.rows` decodes them.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Table,
    Text,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
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
    "CUT_MESSAGES",
    "ENDED_BY",
    "FIND_CHAT",
    "FIND_PLACE",
    "FIND_TURN",
    "FREE_CHAT",
    "HOLD_CHAT",
    "LOCK_CHAT",
    "MESSAGES",
    "SET_STATUS",
    "SET_STATUS_OF_IMPORTED",
    "TURN",
]


def _stored(table: Table, *names: str) -> list[ColumnElement[Any]]:
    return [type_coerce(table.c[name], NullType()) for name in names]


CHAT: Final = _stored(
    chats, "id", "owner", "title", "created_at", "updated_at", "metadata", "active_run_id", "revision"
)
"""The columns that `usechat.chats.sql.rows.chat_from_row` reads."""
TURN: Final = _stored(turns, "run_id", "chat_id", "owner", "began_at", "continues", "status", "process_id")
"""The columns that `usechat.chats.sql.rows.turn_from_row` reads."""
_MESSAGE: Final = _stored(
    messages, "content", "position", "role", "created_at", "status", "usage", "finish_reason", "run_id"
)

_FOLDED_TITLE = chats.c.folded_title
_BY_CHAT = messages.c.chat_id == bindparam("by_chat_id")
_BY_PLACE = (_BY_CHAT, messages.c.position == bindparam("by_position"))

FIND_CHAT: Final = select(*CHAT).where(chats.c.id == bindparam("by_id"))
LOCK_CHAT: Final = FIND_CHAT.with_for_update()
MESSAGES: Final = select(*_MESSAGE).where(_BY_CHAT).order_by(messages.c.position)

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
        updated_at=bindparam("updated_at"),
        title=func.coalesce(chats.c.title, bindparam("by_title", type_=PlainText)),
        folded_title=case((chats.c.title.is_(None), bindparam("by_folded_title", type_=Text)), else_=_FOLDED_TITLE),
    )
    .returning(*CHAT)
)
"""Holds a chat for a run, if it is in the state that the plan was made on."""
CUT_MESSAGES: Final = delete(messages).where(_BY_CHAT, messages.c.position >= bindparam("by_position"))
ADD_MESSAGES: Final = insert(messages)
ADD_TURN: Final = insert(turns)
CHANGE_MESSAGE: Final = update(messages).where(*_BY_PLACE)
SET_STATUS_OF_IMPORTED: Final = CHANGE_MESSAGE.where(messages.c.run_id.is_(None))
SET_STATUS: Final = (
    update(messages).where(_BY_CHAT, messages.c.id == bindparam("by_id")).values(status=bindparam("status"))
)

CLOSE_TURN: Final = (
    update(turns)
    .where(turns.c.run_id == bindparam("by_run_id"), turns.c.status.is_(None))
    .values(status=bindparam("status"), ended_at=bindparam("ended_at"), ended_by=bindparam("ended_by"))
    .returning(*_stored(turns, "chat_id", "continues"))
)
FIND_TURN: Final = select(*TURN).where(turns.c.run_id == bindparam("by_run_id"))
ENDED_BY: Final = select(turns.c.ended_by).where(turns.c.run_id == bindparam("by_run_id"))
FREE_CHAT: Final = (
    update(chats)
    .where(chats.c.id == bindparam("by_id"), chats.c.active_run_id == bindparam("by_run_id"))
    .values(active_run_id=None, revision=chats.c.revision + 1, updated_at=bindparam("updated_at"))
    .returning(chats.c.revision)
)
"""Releases a chat. Returns a row if the run held it."""
_IS_WANTED = messages.c.id == bindparam("by_id")
_LAST = select(func.max(messages.c.position)).where(_BY_CHAT).scalar_subquery()
FIND_PLACE: Final = (
    select(messages.c.position, _IS_WANTED, *_stored(messages, "usage"))
    .where(_BY_CHAT, or_(_IS_WANTED, messages.c.position == _LAST))
    .order_by(messages.c.position.desc())
)
"""The last message, then the earlier messages that have a given id; with each, whether it has that id."""
