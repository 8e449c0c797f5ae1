"""Turns in SQL: the work of `SqlChatStore.begin_turn` and `finish_turn`.

The usual case is a few statements that PostgreSQL runs as one (`begin_at_once`, `finish_at_once`): the first checks
that the chat is in the planned state and holds it, or that the turn is open and closes it. The rest is done in a
transaction that holds the lock on the chat's row: a row lock in PostgreSQL, the only writer in SQLite.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from usechat.chats.merge import add_usage
from usechat.chats.sql import statements
from usechat.chats.sql.columns import JsonAsText, decode_text, encode_stored
from usechat.chats.sql.prepared import Rows, run
from usechat.chats.sql.rows import chat_from_row, content_values, title_values
from usechat.chats.sql.together import Change, run_together
from usechat.chats.store import Chat, TurnPlan
from usechat.chats.text import derive_title, imported_status
from usechat.chats.tree import EndStatus, UIMessage
from usechat.errors import ChatError
from usechat.json import decode_json

__all__ = [
    "Beginning",
    "Ending",
    "begin",
    "begin_at_once",
    "find_chat",
    "finish",
    "finish_at_once",
    "load_rows",
    "lock_chat",
    "show_path",
    "written_contents",
]

_MOST_AT_ONCE: Final = 4
"""Messages that one statement may write. Each number of them is another statement for the database to prepare."""


def find_chat(connection: Connection, owner: str, chat_id: str, *, is_locked: bool = False) -> Chat | None:
    """Return the chat. With ``is_locked``, lock it until the transaction ends.

    Raises:
        ChatError: ``forbidden``: it is another owner's.
    """
    query = statements.LOCK_CHAT if is_locked else statements.FIND_CHAT
    rows = run(connection, query, {"by_id": chat_id})
    return _owned(chat_from_row(rows[0]), owner) if rows else None


def load_rows(connection: Connection, owner: str, chat_id: str) -> tuple[Chat, Rows] | None:
    """Return the chat with the rows of its messages.

    Raises:
        ChatError: ``forbidden``: it is another owner's.
    """
    if connection.dialect.name == "postgresql":
        # One round trip. SQLite has none, and takes longer for the join than for two statements.
        rows = run(connection, statements.LOAD_CHAT, {"by_id": chat_id})
        if not rows:
            return None
        at = statements.FIRST_OF_CHAT
        chat = _owned(chat_from_row(rows[0][at:]), owner)
        return chat, [row[:at] for row in rows[: chat.size]]
    # The chat is read first. If its messages change in between, its revision is the older one, and a turn that is
    # planned on it does not begin.
    chat = find_chat(connection, owner, chat_id)
    if chat is None:
        return None
    rows = run(connection, statements.MESSAGES, {"by_chat_id": chat_id})
    # The chat was deleted between the two statements.
    return None if len(rows) < chat.size else (chat, rows)


def _owned(chat: Chat, owner: str) -> Chat:
    if chat.owner != owner:
        # In the words for a chat that is missing: nobody learns which ids others use.
        raise ChatError("There is no such chat.", code="forbidden")
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


def begin_at_once(connection: Connection, turn: Beginning, *, is_new: bool = False) -> Chat | None:
    """Carry out a plan and hold the chat for a run. Return None, and change nothing, if `begin` must find out more.

    Args:
        connection: As for `run_together`.
        turn: The turn to begin.
        is_new: Assume that there is no such chat yet.

    Raises:
        IntegrityError: There is one after all.
    """
    if len(turn.plan.added) + len(turn.plan.changed) > _MOST_AT_ONCE:
        return None
    now = time.time()
    added = [(statements.ADD_MESSAGES, row) for row in _added_rows(turn, now)]
    return _hold(connection, turn, now, *_changes(turn), *added, _opening(turn, now), is_new=is_new)


def begin(connection: Connection, turn: Beginning, *, is_new: bool = False) -> Chat:
    """Carry out a plan and hold the chat for a run, in a transaction.

    Args:
        connection: In a transaction.
        turn: The turn to begin.
        is_new: Assume that there is no such chat yet.

    Raises:
        ChatError: ``conflict``: the chat is not as planned on.
        IntegrityError: There is one after all.
    """
    now = time.time()
    held = _hold(connection, turn, now, is_new=is_new)
    if held is None:
        chat = lock_chat(connection, turn.owner, turn.chat_id)
        if chat is not None and chat.active_run_id == turn.run_id:
            return chat
        _check_state(chat, turn.plan)
        # A chat that is free after all was released while this transaction waited for its lock.
        held = _hold(connection, turn, now, is_new=chat is None)
        assert held is not None
    for change in _changes(turn):
        run(connection, *change)
    added = [*_added_rows(turn, now)]
    if added:
        run(connection, statements.ADD_MESSAGES, added)
    run(connection, *_opening(turn, now))
    return held


def _hold(connection: Connection, turn: Beginning, now: float, *others: Change, is_new: bool = False) -> Chat | None:
    """Hold the chat for the run, with other changes. Return None when it is missing or not as planned on."""
    titles = title_values(turn.title or derive_title(turn.plan.added))
    size = turn.plan.size + len(turn.plan.added)
    if is_new:
        chat = Chat(
            id=turn.chat_id,
            owner=turn.owner,
            title=titles["title"],
            created_at=now,
            updated_at=now,
            active_run_id=turn.run_id,
            revision=1,
            size=size,
            leaf=turn.plan.leaf,
        )
        run_together(connection, (statements.ADD_CHAT, {**msgspec.structs.asdict(chat), **titles}), *others)
        return chat
    values = {
        "by_id": turn.chat_id,
        "by_owner": turn.owner,
        "by_revision": turn.plan.revision,
        "by_title": titles["title"],
        "by_folded_title": titles["folded_title"],
        "active_run_id": turn.run_id,
        "size": size,
        "leaf": turn.plan.leaf,
        "updated_at": now,
    }
    return next(map(chat_from_row, run_together(connection, (statements.HOLD_CHAT, values), *others)), None)


def _check_state(chat: Chat | None, plan: TurnPlan) -> None:
    if chat is not None and chat.active_run_id is not None:
        raise ChatError("This chat is being answered already.", code="conflict", run_id=chat.active_run_id)
    if (0 if chat is None else chat.revision) != plan.revision:
        raise ChatError("This chat has changed meanwhile. Load it again.", code="conflict")


def _changes(turn: Beginning) -> Iterator[Change]:
    """Yield the statements that change stored messages, one for each."""
    plan = turn.plan
    changed: dict[int, Mapping[str, Any]] = {
        number: turn.contents.get(number) or content_values(message) for number, message in plan.changed.items()
    }
    if plan.continues is not None and plan.continues < plan.size:
        changed[plan.continues] = {**changed.get(plan.continues, {}), "status": "streaming"}
    for number, values in changed.items():
        yield statements.CHANGE_MESSAGE, {"by_chat_id": turn.chat_id, "by_number": number, **values}


def _opening(turn: Beginning, now: float) -> Change:
    """Return the statement that adds the turn."""
    opened = {"run_id": turn.run_id, "chat_id": turn.chat_id, "owner": turn.owner, "began_at": now}
    answered = {"parent": turn.plan.leaf, "continues": turn.plan.continues}
    return statements.ADD_TURN, {**opened, **answered, "process_id": turn.process_id}


def _added_rows(turn: Beginning, now: float) -> Iterator[Mapping[str, Any]]:
    parent = turn.plan.parent
    for number, message in enumerate(turn.plan.added, turn.plan.size):
        place = {"chat_id": turn.chat_id, "number": number, "parent": parent, "created_at": now}
        written = turn.contents.get(number) or content_values(message)
        status = "streaming" if number == turn.plan.continues else imported_status(message)
        yield {**place, **written, "status": status}
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

    def closing_values(self, now: float) -> Mapping[str, Any]:
        """Return the columns of the turn's row."""
        return {"status": self.status, "ended_at": now, "ended_by": self.call_id}

    def values(self, run_id: str) -> dict[str, Any]:
        """Return the columns of the message's row."""
        return {
            "status": self.status,
            "finish_reason": self.finish_reason,
            "run_id": run_id,
            "usage": self.usage,
            **({} if self.message is None else content_values(self.message)),
        }


def finish_at_once(connection: Connection, run_id: str, ending: Ending) -> bool | None:
    """End a run's turn whose answer is a message of its own. Return True, or None if `finish` must find out more.

    Raises:
        IntegrityError: The chat was deleted meanwhile; try again.
    """
    now = time.time()
    by_run = {"by_run_id": run_id}
    changes: list[Change] = [
        (statements.FREE_CHAT, {**by_run, "updated_at": now, "by_added": int(ending.message is not None)})
    ]
    if ending.message is not None:
        values = {f"by_{name}": value for name, value in ending.values(run_id).items()}
        # Before the chat is released, and its size has grown.
        changes.insert(0, (statements.ADD_ANSWER, {**values, "by_created_at": now}))
    closed = run_together(connection, (statements.CLOSE_OWN_TURN, {**by_run, **ending.closing_values(now)}), *changes)
    return True if closed else None


def finish(connection: Connection, run_id: str, ending: Ending) -> bool:
    """End a run's turn that `finish_at_once` did not end, in a transaction. Return whether this call ended it."""
    now = time.time()
    by_run = {"by_run_id": run_id}
    closed = run(connection, statements.CLOSE_TURN, {**by_run, **ending.closing_values(now)})
    if not closed:
        return [ending.call_id] in map(list, run(connection, statements.ENDED_BY, by_run))
    [(chat_id, continues)] = closed
    if run(connection, statements.FREE_CHAT, {**by_run, "updated_at": now, "by_added": 0}):
        place = {"by_chat_id": decode_text(chat_id), "by_number": continues}
        [[usage]] = run(connection, statements.FIND_USAGE, place)
        values = ending.values(run_id)
        values["usage"] = add_usage(usage and decode_json(usage), values["usage"])
        run(connection, statements.CHANGE_MESSAGE, {**place, **values})
    return True


def show_path(connection: Connection, chat: Chat, leaf: int | None) -> Chat:
    """Show the path to a message."""
    return chat_from_row(run(connection, statements.SHOW_PATH, {"by_id": chat.id, "leaf": leaf})[0])
