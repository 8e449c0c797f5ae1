"""Chats in a database: SQLite (a file, the default) or PostgreSQL, through SQLAlchemy.

Each method is one transaction. It is tried again when its connection drops, so it must be safe to run twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar, cast
from uuid import uuid4

from msgspec import UNSET, UnsetType

from usechat.extras import needing

with needing("sqlite", "postgres"):
    from sqlalchemy import (
        ColumnElement,
        Connection,
        Select,
        delete,
        exists,
        insert,
        literal,
        or_,
        select,
        tuple_,
        update,
    )
    from sqlalchemy.exc import IntegrityError

from usechat.apart import is_large, mark_large, work_apart
from usechat.chats.merge import merge_patch
from usechat.chats.pages import decode_cursor, encode_cursor
from usechat.chats.sql.columns import PlainText, encode_stored, encode_text
from usechat.chats.sql.database import TellsUnavailable, Work
from usechat.chats.sql.engine import open_database, open_presence
from usechat.chats.sql.prepared import Rows, run
from usechat.chats.sql.presence.file import FilePresence
from usechat.chats.sql.rows import chat_from_row, message_from_row, title_values, turn_from_row
from usechat.chats.sql.statements import CHAT, FIND_TURN, HIDE_MESSAGE, MESSAGES, TURN
from usechat.chats.sql.tables import chats, messages, turns
from usechat.chats.sql.turns import (
    Beginning,
    Ending,
    begin,
    begin_at_once,
    find_chat,
    finish,
    finish_at_once,
    load_rows,
    lock_chat,
    show_path,
    written_contents,
)
from usechat.chats.store import Chat, ChatPage, SavedChat, Turn, TurnPlan
from usechat.chats.text import fold
from usechat.chats.tree import EndStatus, MessageTree, SavedMessage, UIMessage
from usechat.errors import ChatError, RequestError

__all__ = ["SqlChatStore"]

_MAX_ID_BYTES: Final = 1000
"""An index of PostgreSQL holds no more than 2704 bytes a row."""
_MAX_PAGE: Final = 100
_MAX_METADATA: Final = 2**20
"""Characters of a chat's metadata, as JSON."""
_MUCH: Final = 128 * 1024
"""Characters of a chat's messages that take milliseconds to read."""
_MAX_SEARCH_WORDS: Final = 8
_MAX_SEARCH_LENGTH: Final = 500

ResultT = TypeVar("ResultT")


class SqlChatStore:
    """A `ChatStore` in a database whose tables `usechat.chats.sql.migrations.migrate.migrate` has made.

    Args:
        url: ``sqlite:///file.db`` or ``postgresql://user:password@host/database``.

    Raises:
        ConfigurationError: The URL names no database that is supported.
    """

    def __init__(self, url: str) -> None:
        self._database = open_database(url)
        self._presence = open_presence(url, self._database)

    async def create_chat(
        self, owner: str, chat_id: str, *, title: str | None = None, metadata: Mapping[str, Any] | None = None
    ) -> Chat:
        """See `ChatStore.create_chat`."""
        _check_id(chat_id)

        def work(connection: Connection) -> Chat:
            chat = lock_chat(connection, owner, chat_id)
            if chat is not None:
                return chat
            now = time.time()
            values = {"id": chat_id, "owner": owner, "created_at": now, "updated_at": now, "revision": 0}
            new = insert(chats).values(**values, **title_values(title), metadata=dict(metadata or {}))
            return chat_from_row(connection.execute(new.returning(*CHAT)).one())

        return await self._create(work, "create chat", chat_id)

    async def get_chat(self, owner: str, chat_id: str) -> Chat:
        """See `ChatStore.get_chat`."""
        return await self._read(
            lambda connection: _existing(find_chat(connection, owner, chat_id)), "read chat", chat_id
        )

    async def load_chat(self, owner: str, chat_id: str) -> SavedChat:
        """See `ChatStore.load_chat`."""
        return _existing(await self.maybe_load_chat(owner, chat_id))

    async def maybe_load_chat(self, owner: str, chat_id: str) -> SavedChat | None:
        """See `ChatStore.maybe_load_chat`."""

        def work(connection: Connection) -> tuple[Chat, Sequence[SavedMessage] | Rows] | None:
            loaded = load_rows(connection, owner, chat_id)
            if loaded is None:
                return None
            chat, rows = loaded
            # A long chat is decoded outside: here others wait for the database or, with PostgreSQL, for the event loop.
            is_much = sum([len(row[0]) for row in rows]) >= _MUCH
            return chat, rows if is_much else _read_messages(rows)

        found = await self._read(work, "load chat", chat_id)
        if found is None:
            return None
        chat, messages = found
        if messages and not isinstance(messages[0], SavedMessage):
            mark_large()
            messages = await work_apart(partial(_read_messages, cast("Rows", messages)))
        return SavedChat(chat=chat, tree=MessageTree(cast("Sequence[SavedMessage]", messages)))

    async def list_chats(self, owner: str, *, search: str = "", cursor: str | None = None, limit: int = 20) -> ChatPage:
        """See `ChatStore.list_chats`."""
        size = min(max(limit, 1), _MAX_PAGE)
        query = _chats_of(owner, search).limit(size + 1)
        if cursor is not None:
            updated_at, chat_id = decode_cursor(cursor)
            # In its stored form: a tuple does not hand on the types of its columns.
            place = tuple_(updated_at, literal(chat_id, PlainText()))
            query = query.where(tuple_(chats.c.updated_at, chats.c.id) < place)

        def work(connection: Connection) -> ChatPage:
            found = [chat_from_row(row) for row in connection.execute(query)]
            page = found[:size]
            return ChatPage(chats=page, next_cursor=encode_cursor(page[-1]) if len(found) > size else None)

        return await self._read(work, "list the chats")

    async def update_chat(
        self,
        owner: str,
        chat_id: str,
        *,
        title: str | UnsetType | None = UNSET,
        metadata: Mapping[str, Any] | UnsetType = UNSET,
        if_title: str | UnsetType | None = UNSET,
    ) -> Chat:
        """See `ChatStore.update_chat`."""

        def work(connection: Connection) -> Chat:
            chat = _lock_existing(connection, owner, chat_id)
            if if_title not in (UNSET, chat.title):
                return chat
            values = {} if title is UNSET else dict(title_values(title))
            if metadata is not UNSET:
                values["metadata"] = _checked_metadata(merge_patch(chat.metadata, metadata))
            if not values:
                return chat
            changed = update(chats).where(chats.c.id == chat_id).values(values).returning(*CHAT)
            return chat_from_row(connection.execute(changed).one())

        return await self._write(work, "change chat", chat_id)

    async def delete_chat(self, owner: str, chat_id: str) -> Chat:
        """See `ChatStore.delete_chat`."""
        deleted: list[Chat] = []

        def work(connection: Connection) -> Chat:
            chat = lock_chat(connection, owner, chat_id)
            if chat is None and deleted:
                return deleted[-1]
            deleted.append(_existing(chat))
            connection.execute(delete(chats).where(chats.c.id == chat_id))
            ended = delete(turns).where(turns.c.chat_id == chat_id, turns.c.status.is_not(None))
            connection.execute(ended)
            return deleted[-1]

        return await self._write(work, "delete chat", chat_id)

    async def choose_path(self, owner: str, chat_id: str, number: int) -> SavedChat:
        """See `ChatStore.choose_path`."""

        def work(connection: Connection) -> SavedChat:
            chat, tree = _lock_tree(connection, owner, chat_id)
            if tree.find(number) is None:
                raise _no_message()
            return SavedChat(chat=show_path(connection, chat, tree.latest_leaf(number)), tree=tree)

        return await self._write(work, "show a path of chat", chat_id)

    async def hide_message(self, owner: str, chat_id: str, number: int) -> SavedChat:
        """See `ChatStore.hide_message`."""

        def work(connection: Connection) -> SavedChat:
            chat, tree = _lock_tree(connection, owner, chat_id)
            if not 0 <= number < len(tree.messages):
                raise _no_message()
            message, hidden = tree[number], tree.branch(number)
            if message.is_hidden:
                return SavedChat(chat=chat, tree=tree)
            run(connection, HIDE_MESSAGE, [{"by_chat_id": chat_id, "by_number": one} for one in hidden])
            tree = tree.without(number)
            leaf = tree.latest_leaf(message.parent) if chat.leaf in hidden else chat.leaf
            return SavedChat(chat=show_path(connection, chat, leaf), tree=tree)

        return await self._write(work, "hide a message of chat", chat_id)

    async def begin_turn(
        self, owner: str, chat_id: str, run_id: str, plan: TurnPlan, *, title: str | None = None
    ) -> Chat:
        """See `ChatStore.begin_turn`."""
        _check_id(chat_id)
        contents: Mapping[int, Mapping[str, Any]] = {}
        if is_large():
            contents = await work_apart(partial(written_contents, plan))
        turn = Beginning(
            owner=owner,
            chat_id=chat_id,
            run_id=run_id,
            plan=plan,
            title=title,
            contents=contents,
            process_id=self.process_id,
        )

        def at_once(connection: Connection) -> Chat | None:
            return begin_at_once(connection, turn, is_new=is_new)

        def work(connection: Connection) -> Chat:
            return begin(connection, turn, is_new=is_new)

        # A chat that the plan does not know is new, as a rule.
        is_new = plan.revision == 0
        try:
            return await self._write_at_once(at_once, work, "begin turn", run_id, "of chat", chat_id)
        except IntegrityError:
            is_new = False
            return await self._write(work, "begin turn", run_id, "of chat", chat_id)

    async def finish_turn(
        self,
        run_id: str,
        *,
        status: EndStatus,
        message: UIMessage | None = None,
        usage: Any = None,
        finish_reason: str | None = None,
        attempt: str | None = None,
    ) -> bool:
        """See `ChatStore.finish_turn`."""
        ending = Ending(attempt or uuid4().hex, status, message, usage, finish_reason)
        at_once, work = (
            partial(finish_at_once, run_id=run_id, ending=ending),
            partial(finish, run_id=run_id, ending=ending),
        )
        try:
            return await self._write_at_once(at_once, work, "end turn", run_id)
        except IntegrityError:
            # The chat was deleted meanwhile.
            return await self._write_at_once(at_once, work, "end turn", run_id)

    async def find_turn(self, run_id: str) -> Turn | None:
        """See `ChatStore.find_turn`."""

        def work(connection: Connection) -> Turn | None:
            return next(map(turn_from_row, run(connection, FIND_TURN, {"by_run_id": run_id})), None)

        return await self._read(work, "find turn", run_id)

    async def open_turns(self, *, before: float | None = None) -> Sequence[Turn]:
        """See `ChatStore.open_turns`."""
        query = select(*TURN).where(turns.c.status.is_(None)).order_by(turns.c.began_at)
        if before is not None:
            query = query.where(turns.c.began_at < before)

        def work(connection: Connection) -> Sequence[Turn]:
            return [turn_from_row(row) for row in connection.execute(query)]

        return await self._read(work, "find open turns")

    @property
    def process_id(self) -> str | None:
        """See `ChatStore.process_id`."""
        return self._presence.process_id

    @property
    def has_other_processes(self) -> bool:
        """Whether another process had the same file of SQLite open when this one joined."""
        return isinstance(self._presence, FilePresence) and self._presence.has_others

    async def join(self, lease: float, on_lost: Callable[[], None]) -> None:
        """See `ChatStore.join`."""
        with TellsUnavailable("join the other processes"):
            await self._presence.join(lease, on_lost)

    async def confirm(self) -> None:
        """See `ChatStore`."""
        with TellsUnavailable("confirm that this process lives"):
            await self._presence.confirm()

    async def is_dead(self, process_id: str) -> bool:
        """See `ChatStore.is_dead`."""
        with TellsUnavailable("see if process", process_id, "lives"):
            return await self._presence.is_dead(process_id)

    async def aclose(self) -> None:
        """See `ChatStore.aclose`."""
        await self._presence.leave()
        await self._database.aclose()

    async def _read(self, work: Work[ResultT], *what: str) -> ResultT:
        with TellsUnavailable(*what):
            return await self._database.read(work)

    async def _write(self, work: Work[ResultT], *what: str) -> ResultT:
        with TellsUnavailable(*what):
            return await self._database.write(work)

    async def _write_at_once(self, at_once: Work[ResultT | None], otherwise: Work[ResultT], *what: str) -> ResultT:
        with TellsUnavailable(*what):
            return await self._database.write_at_once(at_once, otherwise)

    async def _create(self, work: Work[ResultT], *what: str) -> ResultT:
        """Run work that creates a chat if there is none. Try again when another caller was faster."""
        try:
            return await self._write(work, *what)
        except IntegrityError:
            return await self._write(work, *what)


def _checked_metadata(metadata: Any) -> Any:
    # Each change adds to it, and every list of chats has it.
    if len(encode_stored(metadata)) > _MAX_METADATA:
        raise RequestError("would become too large", path="metadata", status=413)
    return metadata


def _read_messages(rows: Rows) -> list[SavedMessage]:
    return [message_from_row(row) for row in rows]


def _check_id(chat_id: str) -> None:
    if not chat_id:
        raise RequestError("must not be empty", path="id")
    if len(encode_text(chat_id).encode()) > _MAX_ID_BYTES:
        raise RequestError("is too long", path="id", status=422)


def _existing(found: ResultT | None) -> ResultT:
    if found is None:
        raise ChatError("There is no such chat.", code="missing")
    return found


def _lock_tree(connection: Connection, owner: str, chat_id: str) -> tuple[Chat, MessageTree]:
    """Lock a chat that no turn holds. Return it with its messages."""
    chat = _lock_existing(connection, owner, chat_id)
    if chat.active_run_id is not None:
        raise ChatError("This chat is being answered.", code="conflict", run_id=chat.active_run_id)
    return chat, MessageTree(_read_messages(run(connection, MESSAGES, {"by_chat_id": chat_id})))


def _no_message() -> ChatError:
    return ChatError("There is no such message.", code="missing")


def _lock_existing(connection: Connection, owner: str, chat_id: str) -> Chat:
    return _existing(lock_chat(connection, owner, chat_id))


def _chats_of(owner: str, search: str) -> Select[Any]:
    found = select(*CHAT).where(chats.c.owner == owner, *_conditions(search))
    return found.order_by(chats.c.updated_at.desc(), chats.c.id.desc())


def _conditions(search: str) -> Iterator[ColumnElement[bool]]:
    for word in fold(search[:_MAX_SEARCH_LENGTH]).split()[:_MAX_SEARCH_WORDS]:
        said = messages.c.folded_text.contains(word, autoescape=True)
        in_messages = exists().where(messages.c.chat_id == chats.c.id, messages.c.is_hidden.is_(False), said)
        yield or_(chats.c.folded_title.contains(word, autoescape=True), in_messages)
