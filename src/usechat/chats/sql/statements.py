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
    "ADD_ANSWER",
    "ADD_CHAT",
    "ADD_MESSAGES",
    "ADD_TURN",
    "CHANGE_MESSAGE",
    "CHAT",
    "CLOSE_OWN_TURN",
    "CLOSE_TURN",
    "ENDED_BY",
    "FIND_CHAT",
    "FIND_TURN",
    "FIND_USAGE",
    "FIRST_OF_CHAT",
    "FREE_CHAT",
    "HIDE_MESSAGE",
    "HOLD_CHAT",
    "LOAD_CHAT",
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
TURN: Final = _stored(
    turns, "run_id", "chat_id", "owner", "began_at", "parent", "continues", "status", "ended_at", "process_id"
)
"""The columns that `usechat.chats.sql.rows.turn_from_row` reads."""
_MESSAGE: Final = _stored(
    messages,
    "content",
    "number",
    "parent",
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
# Only the first row has the chat, so that a long chat does not repeat it for each message.
_FIRST = func.coalesce(messages.c.number, 0) == 0
LOAD_CHAT: Final = (
    select(*_MESSAGE, *[type_coerce(case((_FIRST, column)), NullType()) for column in CHAT])
    .select_from(chats.outerjoin(messages, messages.c.chat_id == chats.c.id))
    .where(chats.c.id == bindparam("by_id"))
    .order_by(messages.c.number)
)
"""The messages of a chat, or one row without a message; the chat stands in the first row (`FIRST_OF_CHAT`)."""
FIRST_OF_CHAT: Final = len(_MESSAGE)
"""The first of the chat's columns in a row of `LOAD_CHAT`."""

ADD_CHAT: Final = insert(chats).returning(chats.c.id)
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
    .returning(*_stored(turns, "chat_id", "continues"))
)
CLOSE_OWN_TURN: Final = CLOSE_TURN.where(turns.c.continues.is_(None))
"""Closes a turn whose answer is a message of its own."""
FIND_TURN: Final = select(*TURN).where(turns.c.run_id == bindparam("by_run_id"))
ENDED_BY: Final = select(turns.c.ended_by).where(turns.c.run_id == bindparam("by_run_id"))
_OF_TURN = chats.c.id == select(turns.c.chat_id).where(turns.c.run_id == bindparam("by_run_id")).scalar_subquery()
_ANSWER: Final = ("id", "role", "content", "folded_text", "created_at", "status", "usage", "finish_reason", "run_id")
_ANSWER_ROW: Final = (
    select(
        turns.c.chat_id,
        chats.c.size.label("number"),
        turns.c.parent,
        *[bindparam(f"by_{name}", type_=messages.c[name].type).label(name) for name in _ANSWER],
    )
    .join(chats, chats.c.id == turns.c.chat_id)
    .where(turns.c.run_id == bindparam("by_run_id", type_=PlainText), chats.c.active_run_id == turns.c.run_id)
)
ADD_ANSWER: Final = insert(messages).from_select([column.name for column in _ANSWER_ROW.selected_columns], _ANSWER_ROW)
"""Adds the answer of a run to its chat, if the run holds it."""
FREE_CHAT: Final = (
    update(chats)
    .where(_OF_TURN, chats.c.active_run_id == bindparam("by_run_id"))
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
