"""Turns in SQL: the work of `SqlChatStore.begin_turn` and `finish_turn` within one transaction.

A transaction that writes a chat's messages holds the lock on its row: a row lock in PostgreSQL, the only writer in
SQLite. The usual case takes the fewest statements: one statement checks that the chat is in the planned state and holds
it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from sqlalchemy import Connection

from usechat.chats.merge import add_usage
from usechat.chats.sql import statements
from usechat.chats.sql.columns import JsonAsText, decode_text, encode_stored
from usechat.chats.sql.prepared import run
from usechat.chats.sql.rows import chat_from_row, content_values, title_values
from usechat.chats.store import Chat, TurnPlan
from usechat.chats.text import derive_title, imported_status
from usechat.chats.tree import EndStatus, UIMessage
from usechat.errors import ChatError
from usechat.json import decode_json

__all__ = ["Beginning", "Ending", "begin", "find_chat", "finish", "lock_chat", "show_path", "written_contents"]


def find_chat(connection: Connection, owner: str, chat_id: str, *, is_locked: bool = False) -> Chat | None:
    """Return the chat. With ``is_locked``, lock it until the transaction ends.

    Raises:
        ChatError: ``forbidden``: it is another owner's.
    """
    query = statements.LOCK_CHAT if is_locked else statements.FIND_CHAT
    chat = next(map(chat_from_row, run(connection, query, {"by_id": chat_id})), None)
    if chat is not None and chat.owner != owner:
        raise ChatError("This chat is not yours.", code="forbidden")
    return chat


def lock_chat(connection: Connection, owner: str, chat_id: str) -> Chat | None:
    """Lock the chat until the transaction ends and return it.

    Raises:
        ChatError: ``forbidden``: it is another owner's.
    """
    return find_chat(connection, owner, chat_id, is_locked=True)


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """A turn to begin."""

    owner: str
    chat_id: str
    run_id: str
    plan: TurnPlan
    title: str | None = None
    """Of the chat, if it has none."""
    contents: Mapping[int, Mapping[str, Any]] = msgspec.field(default_factory=dict[int, Mapping[str, Any]])
    """The columns of messages' contents, by number. Those that are missing are made when they are written."""
    process_id: str | None = None


def written_contents(plan: TurnPlan) -> Mapping[int, Mapping[str, Any]]:
    """Return `Beginning.contents` for a plan. Call it before the transaction, in which others wait."""
    added = enumerate(plan.added, plan.size)
    return {number: _written(content_values(message)) for number, message in (*plan.changed.items(), *added)}


def _written(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**values, "content": JsonAsText(encode_stored(values["content"]))}


def begin(connection: Connection, turn: Beginning, *, is_new: bool = False) -> Chat:
    """Carry out a plan and hold the chat for a run.

    Args:
        connection: In a transaction.
        turn: The turn to begin.
        is_new: Assume that there is no such chat yet.

    Raises:
        ChatError: ``conflict``: the chat is not as planned on.
        IntegrityError: There is one after all.
    """
    now = time.time()
    titles = title_values(turn.title or derive_title(turn.plan.added))
    held = _make_held(connection, turn, titles, now) if is_new else _hold(connection, turn, titles, now)
    if held is None:
        chat = lock_chat(connection, turn.owner, turn.chat_id)
        if chat is not None and chat.active_run_id == turn.run_id:
            return chat
        _check_state(chat, turn.plan)
        # A chat that is free after all was released while this transaction waited for its lock.
        held = _make_held(connection, turn, titles, now) if chat is None else _hold(connection, turn, titles, now)
        assert held is not None
    _carry_out(connection, turn, now)
    opened = {"run_id": turn.run_id, "chat_id": turn.chat_id, "owner": turn.owner, "began_at": now}
    answered = {"parent": turn.plan.leaf, "continues": turn.plan.continues}
    run(connection, statements.ADD_TURN, {**opened, **answered, "process_id": turn.process_id})
    return held


def _hold(connection: Connection, turn: Beginning, titles: Mapping[str, Any], now: float) -> Chat | None:
    """Hold the chat for the run and return it; None when it is missing or not as planned on."""
    values = {
        "by_id": turn.chat_id,
        "by_owner": turn.owner,
        "by_revision": turn.plan.revision,
        "by_title": titles["title"],
        "by_folded_title": titles["folded_title"],
        "active_run_id": turn.run_id,
        "size": turn.plan.size + len(turn.plan.added),
        "leaf": turn.plan.leaf,
        "updated_at": now,
    }
    return next(map(chat_from_row, run(connection, statements.HOLD_CHAT, values)), None)


def _make_held(connection: Connection, turn: Beginning, titles: Mapping[str, Any], now: float) -> Chat:
    chat = Chat(
        id=turn.chat_id,
        owner=turn.owner,
        title=titles["title"],
        created_at=now,
        updated_at=now,
        active_run_id=turn.run_id,
        revision=1,
        size=len(turn.plan.added),
        leaf=turn.plan.leaf,
    )
    run(connection, statements.ADD_CHAT, {**msgspec.structs.asdict(chat), **titles})
    return chat


def _check_state(chat: Chat | None, plan: TurnPlan) -> None:
    if chat is not None and chat.active_run_id is not None:
        raise ChatError("This chat is being answered already.", code="conflict", run_id=chat.active_run_id)
    if (0 if chat is None else chat.revision) != plan.revision:
        raise ChatError("This chat has changed meanwhile. Load it again.", code="conflict")


def _carry_out(connection: Connection, turn: Beginning, now: float) -> None:
    chat_id, plan = turn.chat_id, turn.plan
    for number, message in plan.changed.items():
        place = {"by_chat_id": chat_id, "by_number": number}
        written = turn.contents.get(number) or content_values(message)
        run(connection, statements.CHANGE_MESSAGE, {**place, **written})
    added = [*_added_rows(turn, now)]
    if added:
        run(connection, statements.ADD_MESSAGES, added)
    if plan.continues is not None:
        place = {"by_chat_id": chat_id, "by_number": plan.continues}
        run(connection, statements.CHANGE_MESSAGE, {**place, "status": "streaming"})


def _added_rows(turn: Beginning, now: float) -> Iterator[Mapping[str, Any]]:
    parent = turn.plan.parent
    for number, message in enumerate(turn.plan.added, turn.plan.size):
        place = {"chat_id": turn.chat_id, "number": number, "parent": parent, "created_at": now}
        written = turn.contents.get(number) or content_values(message)
        yield {**place, **written, "status": imported_status(message)}
        parent = number


class Ending:
    """The end of a turn, with its message and usage.

    Args:
        call_id: Of this very attempt to end it, however often its transaction is tried.
        status: How it ended.
        message: The message that the turn wrote.
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

    def values(self, run_id: str) -> dict[str, Any]:
        """Return the columns of the message's row."""
        return {
            "status": self.status,
            "finish_reason": self.finish_reason,
            "run_id": run_id,
            "usage": self.usage,
            **({} if self.message is None else content_values(self.message)),
        }


def finish(connection: Connection, run_id: str, ending: Ending) -> bool:
    """End a run's turn. Return whether this call ended it."""
    now = time.time()
    ended = {"status": ending.status, "ended_at": now, "ended_by": ending.call_id}
    closed = run(connection, statements.CLOSE_TURN, {"by_run_id": run_id, **ended})
    if not closed:
        return [ending.call_id] in map(list, run(connection, statements.ENDED_BY, {"by_run_id": run_id}))
    chat_id, parent, continues = closed[0]
    chat_id = decode_text(chat_id)
    is_added = continues is None and ending.message is not None
    freed = {"by_id": chat_id, "by_run_id": run_id, "updated_at": now, "by_added": int(is_added)}
    held = run(connection, statements.FREE_CHAT, freed)
    if not held:
        return True
    values = ending.values(run_id)
    if is_added:
        place = {"chat_id": chat_id, "number": held[0][0] - 1, "parent": parent, "created_at": now}
        run(connection, statements.ADD_MESSAGES, {**place, **values})
    elif continues is not None:
        place = {"by_chat_id": chat_id, "by_number": continues}
        [[usage]] = run(connection, statements.FIND_USAGE, place)
        values["usage"] = add_usage(usage and decode_json(usage), values["usage"])
        run(connection, statements.CHANGE_MESSAGE, {**place, **values})
    return True


def show_path(connection: Connection, chat: Chat, leaf: int | None) -> Chat:
    """Show the path to a message."""
    return chat_from_row(run(connection, statements.SHOW_PATH, {"by_id": chat.id, "leaf": leaf})[0])
