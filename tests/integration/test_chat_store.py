"""The chat store in a database: the suite on every database, what its statements cost, and broken connections."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event

from tests.support.databases import DATABASES, make_migrated_url
from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer
from usechat.chats.sql.database import Work
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import ChatStore, TurnPlan
from usechat.errors import RequestError
from usechat.ids import generate_id
from usechat.testing.stores import ChatStoreSuite
from usechat.testing.stores.chats import Message, assistant, begin, contents, statuses, user

pytestmark = pytest.mark.anyio

ResultT = TypeVar("ResultT")


@pytest.fixture(params=[*DATABASES, "pgbouncer"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "pgbouncer":
        return pooler(request).url_of(make_migrated_url("postgresql", request, tmp_path))
    return make_migrated_url(request.param, request, tmp_path)


def pooler(request: pytest.FixtureRequest) -> PgBouncer:
    return request.getfixturevalue("pgbouncer")


@pytest.fixture
async def store(url: str) -> AsyncIterator[ChatStore]:
    made = SqlChatStore(url)
    yield made
    await made.aclose()


class TestSqlChatStore(ChatStoreSuite):
    @pytest.fixture
    async def other(self, url: str) -> AsyncIterator[ChatStore]:
        made = SqlChatStore(url)
        yield made
        await made.aclose()


async def test_id_that_is_too_long_as_it_is_stored_is_refused(store: ChatStore) -> None:
    with pytest.raises(RequestError) as raised:
        await store.create_chat("ada", "\x00" * 200)
    assert (raised.value.status, raised.value.path) == (422, "id")


@contextmanager
def counted_statements() -> Generator[list[str]]:
    """The statements that are sent meanwhile, to any database."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


async def test_turn_takes_few_statements_however_long_the_chat_is(store: ChatStore, url: str) -> None:
    said = [make(f"{role}{number}") for number in range(30) for role, make in (("u", user), ("a", assistant))]
    with counted_statements() as sent:
        await begin(store, "r1", *said[:-1])
        # Of a new chat loading takes one, beginning three: so many messages are written for themselves.
        assert len(sent) == 4
    await store.finish_turn("r1", status="whole", message=said[-1])
    with counted_statements() as sent:
        await begin(store, "r2", *said, user("last"))
        # Loading takes two, beginning three; PostgreSQL has one for either.
        begun = 5 if url.startswith("sqlite") else 2
        assert len(sent) == begun
        assert await store.finish_turn("r2", status="whole", message=assistant("end"), usage={"out": 1})
        # And so does ending.
        assert len(sent) == begun + (3 if url.startswith("sqlite") else 1)
    assert contents(await store.load_chat("ada", "c")) == [*said, user("last"), assistant("end")]


class AnswersGetLost(SqlChatStore):
    """A store that never learns that its first commit went through."""

    async def _write(self, work: Work[ResultT], *what: str) -> ResultT:
        await super()._write(work, *what)
        return await super()._write(work, *what)

    async def _write_at_once(self, at_once: Work[ResultT | None], otherwise: Work[ResultT], *what: str) -> ResultT:
        await super()._write_at_once(at_once, otherwise, *what)
        return await super()._write_at_once(at_once, otherwise, *what)


async def test_work_whose_commit_was_not_confirmed_is_not_done_twice(url: str) -> None:
    store = AnswersGetLost(url)
    await store.create_chat("ada", "c", metadata={"a": 1})
    await begin(store, "r1", user("u1"))
    await store.update_chat("ada", "c", metadata={"b": 2})
    assert await store.finish_turn("r1", status="whole", message=assistant("a1"), usage={"out": 1})
    saved = await store.load_chat("ada", "c")
    assert (contents(saved), saved.messages[1].usage) == ([user("u1"), assistant("a1")], {"out": 1})
    assert saved.chat.metadata == {"a": 1, "b": 2}
    assert await store.delete_chat("ada", "c") == saved.chat
    await store.aclose()


async def test_dropped_connections_are_survived(postgres_server: PostgresServer) -> None:
    url = postgres_server.make_migrated_database()
    store = SqlChatStore(url)
    await asyncio.gather(*(store.create_chat("ada", f"c{number}") for number in range(10)))
    for number in range(10):
        assert postgres_server.drop_connections() > 0
        await begin(store, f"r{number}", user("u1"), chat=f"c{number}")
        postgres_server.drop_connections()
        assert await store.finish_turn(f"r{number}", status="whole", message=assistant("a1"))
        postgres_server.drop_connections()
        assert len((await store.list_chats("ada")).chats) == 10
        postgres_server.drop_connections()
        assert (await store.update_chat("ada", f"c{number}", title="New")).title == "New"
    await store.aclose()


async def test_restart_of_the_database_is_survived(postgres_server: PostgresServer) -> None:
    url = postgres_server.make_migrated_database()
    store = SqlChatStore(url)
    await begin(store, "r1", user("u1"))
    postgres_server.stop()
    waiting = asyncio.create_task(store.finish_turn("r1", status="whole", message=assistant("a1")))
    await asyncio.to_thread(postgres_server.start)
    assert await waiting
    assert statuses(await store.load_chat("ada", "c")) == ["whole", "whole"]
    await store.aclose()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)

odd_texts = st.text(st.characters() | st.sampled_from("\x00\ud800\udfff\\\u2028'\"%é😀"), max_size=20)

ui_messages = st.fixed_dictionaries(
    {
        "id": odd_texts.filter(bool),
        "role": st.just("user"),
        "parts": st.lists(
            st.fixed_dictionaries({"type": st.just("text"), "text": odd_texts})
            | st.fixed_dictionaries({"type": st.text()}, optional={"data": json_values, "state": json_values}),
            max_size=3,
        ),
    },
    optional={"metadata": json_values, "x-unknown": json_values | odd_texts},
)


def as_javascript_has_it(value: Any) -> str:
    """As JSON; two halves that make a pair are the pair there."""
    return json.dumps(json.loads(json.dumps(value)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(message=ui_messages, chat=odd_texts)
async def test_any_message_comes_back_as_it_was(store: ChatStore, message: Message, chat: str) -> None:
    chat = f"{chat} {generate_id()}"
    await store.begin_turn("ada", chat, generate_id(), TurnPlan(added=[message]))
    saved = await store.load_chat("ada", chat)
    assert [as_javascript_has_it(kept) for kept in contents(saved)] == [as_javascript_has_it(message)]
    assert saved.chat.id == chat
