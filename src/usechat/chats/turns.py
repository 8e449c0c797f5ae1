"""Turns in SQL: the work of `SqlChatStore.begin_turn` and `finish_turn` within one transaction.

Whoever writes a chat's messages holds the lock on its row: PostgreSQL's ``FOR UPDATE``, SQLite's only writer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from usechat.chats.base import Chat, EndStatus, Turn, TurnPlan, UIMessage
from usechat.chats.merge import add_usage
from usechat.chats.rows import chat_from_row, content_values, title_values, turn_from_row
from usechat.chats.tables import chats, messages, turns
from usechat.chats.text import derive_title, imported_status
from usechat.errors import ChatError

__all__ = ["Ending", "begin", "finish", "lock_chat"]


async def lock_chat(connection: AsyncConnection, owner: str, chat_id: str) -> Chat | None:
    """The chat, which nobody else changes until the transaction ends.

    Raises:
        ChatError: ``forbidden``: it is another owner's.
    """
    query = select(chats).where(chats.c.id == chat_id).with_for_update()
    row = (await connection.execute(query)).mappings().first()
    if row is not None and row["owner"] != owner:
        raise ChatError("This chat is not yours.", code="forbidden")
    return None if row is None else chat_from_row(row)


async def begin(
    connection: AsyncConnection, owner: str, chat_id: str, run_id: str, plan: TurnPlan, *, title: str | None
) -> Chat:
    """Carry out a plan and hold the chat for a run."""
    chat = await lock_chat(connection, owner, chat_id)
    if chat is not None and chat.active_run_id == run_id:
        return chat
    _check_state(chat, plan)
    now = time.time()
    if chat is None:
        chat = Chat(id=chat_id, owner=owner, created_at=now, updated_at=now)
        await connection.execute(insert(chats).values(folded_title="", **_values(chat)))
    await _carry_out(connection, chat_id, plan, now)
    held: dict[str, Any] = {"active_run_id": run_id, "revision": chat.revision + 1, "updated_at": now}
    if chat.title is None:
        held |= title_values(title or derive_title(plan.added))
    changed = update(chats).where(chats.c.id == chat_id).values(held).returning(chats)
    row = (await connection.execute(changed)).mappings().one()
    turn = Turn(run_id=run_id, chat_id=chat_id, owner=owner, began_at=now, continues=plan.continues)
    await connection.execute(insert(turns).values(_values(turn)))
    return chat_from_row(row)


def _values(value: Chat | Turn) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__struct_fields__}


def _check_state(chat: Chat | None, plan: TurnPlan) -> None:
    if chat is not None and chat.active_run_id is not None:
        raise ChatError("This chat is being answered already.", code="conflict", run_id=chat.active_run_id)
    if (0 if chat is None else chat.revision) != plan.revision:
        raise ChatError("This chat has changed meanwhile. Load it again.", code="conflict")


async def _carry_out(connection: AsyncConnection, chat_id: str, plan: TurnPlan, now: float) -> None:
    of_chat = messages.c.chat_id == chat_id
    await connection.execute(delete(messages).where(of_chat, messages.c.position >= plan.keep))
    for position, message in plan.changed.items():
        here = (of_chat, messages.c.position == position)
        await connection.execute(update(messages).where(*here).values(content_values(message)))
        imported = update(messages).where(*here, messages.c.run_id.is_(None))
        await connection.execute(imported.values(status=imported_status(message)))
    added = [*_added_rows(chat_id, plan, now)]
    if added:
        await connection.execute(insert(messages), added)
    if plan.continues is not None:
        continued = update(messages).where(of_chat, messages.c.id == plan.continues)
        await connection.execute(continued.values(status="streaming"))


def _added_rows(chat_id: str, plan: TurnPlan, now: float) -> Iterator[Mapping[str, Any]]:
    for position, message in enumerate(plan.added, plan.keep):
        place = {"chat_id": chat_id, "position": position, "created_at": now}
        yield {**place, **content_values(message), "status": imported_status(message)}


class Ending:
    """How a turn ended and what it leaves.

    Args:
        call_id: Of this very attempt to end it, however often its transaction is tried.
        status: How it ended.
        message: What it wrote.
        usage: In the application's shape.
        finish_reason: As the model gave it.
    """

    def __init__(
        self, call_id: str, status: EndStatus, message: UIMessage | None, usage: Any, finish_reason: str | None
    ) -> None:
        self.call_id = call_id
        self.status: EndStatus = status
        self.message = message
        self.usage = usage
        self.finish_reason = finish_reason


async def finish(connection: AsyncConnection, run_id: str, ending: Ending) -> bool:
    """End a run's turn; whether it was this ending that did."""
    now = time.time()
    ended = {"status": ending.status, "ended_at": now, "ended_by": ending.call_id}
    close = update(turns).where(turns.c.run_id == run_id, turns.c.status.is_(None)).values(ended).returning(turns)
    row = (await connection.execute(close)).mappings().first()
    if row is None:
        ended_by = await connection.scalar(select(turns.c.ended_by).where(turns.c.run_id == run_id))
        return ended_by == ending.call_id
    turn = turn_from_row(row)
    freed = {"active_run_id": None, "revision": chats.c.revision + 1, "updated_at": now}
    free = update(chats).where(chats.c.id == turn.chat_id, chats.c.active_run_id == run_id).values(freed)
    if (await connection.execute(free)).rowcount:
        await _save(connection, turn, ending, now)
    return True


async def _save(connection: AsyncConnection, turn: Turn, ending: Ending, now: float) -> None:
    of_chat = messages.c.chat_id == turn.chat_id
    values: dict[str, Any] = {
        "status": ending.status,
        "finish_reason": ending.finish_reason,
        "run_id": turn.run_id,
        "usage": ending.usage,
        **({} if ending.message is None else content_values(ending.message)),
    }
    message_id = turn.continues or values.get("id")
    found = select(messages.c.position, messages.c.usage).where(of_chat, messages.c.id == message_id)
    row = (await connection.execute(found.order_by(messages.c.position.desc()).limit(1))).mappings().first()
    if row is not None:
        values["usage"] = add_usage(row["usage"], ending.usage)
        await connection.execute(update(messages).where(of_chat, messages.c.position == row["position"]).values(values))
    elif ending.message is not None:
        last = await connection.scalar(select(func.max(messages.c.position)).where(of_chat))
        place = {"chat_id": turn.chat_id, "position": 0 if last is None else last + 1, "created_at": now}
        await connection.execute(insert(messages).values(**place, **values))
