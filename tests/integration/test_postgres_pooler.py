"""What stays open and prepared in PostgreSQL, and turns behind a pooler that gives each transaction another connection.

The whole suite of the store runs behind the pooler too (test_chat_store.py).
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection

from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer
from usechat.chats.sql.engine import open_database
from usechat.chats.sql.migrations.migrate import check_tables, migrate
from usechat.chats.sql.prepared import run
from usechat.chats.sql.statements import FIND_CHAT
from usechat.chats.sql.store import SqlChatStore
from usechat.testing.stores.chats import contents, converse

pytestmark = pytest.mark.anyio


@pytest.fixture
def direct(postgres_server: PostgresServer) -> str:
    return postgres_server.make_migrated_database()


async def count_prepared(url: str) -> int:
    """Read a chat twice; return how many statements its connection has prepared then."""
    database = open_database(url)

    def work(connection: Connection) -> int:
        for _ in range(2):
            run(connection, FIND_CHAT, {"by_id": "c"})
        return connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''").scalar_one()

    counted = await database.read(work)
    await database.aclose()
    return counted


def name_connection(connection: Connection) -> int:
    return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()


async def test_burst_opens_connections_that_the_next_one_uses_again(direct: str) -> None:
    database = open_database(direct)
    first, second = [
        set(await asyncio.gather(*(database.read(name_connection) for _ in range(40)))) for _burst in range(2)
    ]
    await database.aclose()
    assert second <= first


async def test_who_comes_later_gets_no_connection_before_those_who_wait(direct: str) -> None:
    database = open_database(direct)
    # All connections are open.
    await asyncio.gather(*(database.read(name_connection) for _ in range(40)))
    done: list[str] = []

    async def read_twice() -> None:
        for name in ("first", "second"):
            await database.read(name_connection)
            done.append(name)

    await asyncio.gather(*(read_twice() for _ in range(40)))
    await database.aclose()
    # Those that were not ended by then had a connection.
    assert done.index("second") >= 30


async def test_tables_are_made_through_the_pooler(postgres_server: PostgresServer, pgbouncer: PgBouncer) -> None:
    url = pgbouncer.url_of(postgres_server.make_database())
    await migrate(url)
    await check_tables(url, [])


async def test_statements_stay_prepared_where_nothing_stands_between(direct: str) -> None:
    assert await count_prepared(direct) == 1
    assert await count_prepared(f"{direct}?pgbouncer=false") == 1


async def test_nothing_stays_prepared_behind_a_pooler_that_is_found_or_named(direct: str, pgbouncer: PgBouncer) -> None:
    assert await count_prepared(pgbouncer.url_of(direct)) == 0
    assert await count_prepared(f"{direct}?pgbouncer=true") == 0


async def test_pooler_that_is_denied_loses_no_turn(direct: str, pgbouncer: PgBouncer) -> None:
    store = SqlChatStore(f"{pgbouncer.url_of(direct)}?pgbouncer=false")
    for number in range(5):
        await converse(store, f"c{number}", "Hello", "Hi")
        assert len(contents(await store.load_chat("ada", f"c{number}"))) == 2
    await store.aclose()


async def test_tables_that_are_altered_meanwhile_are_read_anew(direct: str, postgres_server: PostgresServer) -> None:
    store = SqlChatStore(direct)
    await converse(store, "c", "Hello", "Hi")
    before = await store.load_chat("ada", "c")
    database = direct.rpartition("/")[2]
    postgres_server.ask("ALTER TABLE usechat_chats ALTER COLUMN size TYPE bigint", database=database)
    assert await store.load_chat("ada", "c") == before
    await store.aclose()
