"""The tables of saved chats: made from nothing, by many at once, once; and the same as the package expects."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from tests.support.databases import DATABASES, make_url
from usechat.chats.sql import tables
from usechat.chats.sql.database import Work
from usechat.chats.sql.engine import open_database
from usechat.chats.sql.migrations.migrate import is_migrated, migrate
from usechat.chats.sql.store import SqlChatStore
from usechat.errors import ConfigurationError

pytestmark = pytest.mark.anyio

ResultT = TypeVar("ResultT")

MIGRATE = """
import asyncio, sys
from usechat.chats.sql.migrations.migrate import migrate
from usechat.chats.sql.store import SqlChatStore

async def start(url):
    await migrate(url)
    store = SqlChatStore(url)
    await store.create_chat("ada", "chat")
    await store.aclose()

sys.stdin.readline()
asyncio.run(start(sys.argv[1]))
"""


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return make_url(request.param, request, tmp_path)


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"version_table": tables.VERSION_TABLE})
    return compare_metadata(context, tables.metadata)


async def run(url: str, statement: str) -> list[tuple[Any, ...]]:
    def work(connection: Connection) -> list[tuple[Any, ...]]:
        result = connection.execute(text(statement))
        return [tuple(row) for row in result] if result.returns_rows else []

    return await transact(url, work)


async def transact(url: str, work: Work[ResultT]) -> ResultT:
    database = open_database(url, may_create=True)
    try:
        return await database.write(work)
    finally:
        await database.aclose()


async def test_migrations_make_the_tables_that_the_package_uses(url: str) -> None:
    assert not await is_migrated(url)
    await migrate(url)
    assert await is_migrated(url)
    assert await transact(url, differences) == []


async def test_second_migration_changes_nothing(url: str) -> None:
    await migrate(url)
    store = SqlChatStore(url)
    chat = await store.create_chat("ada", "c")
    await migrate(url)
    assert await store.get_chat("ada", "c") == chat
    await store.aclose()


def test_processes_that_start_at_once_all_start(url: str) -> None:
    starting = [
        subprocess.Popen([sys.executable, "-c", MIGRATE, url], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    for process in starting:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1].decode() for process in starting]
    assert [(process.returncode, error) for process, error in zip(starting, errors, strict=True)] == [(0, "")] * 4


async def test_sqlite_writes_ahead_and_guards_references(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/chats.db"
    await asyncio.gather(*(migrate(url) for _ in range(5)))
    names = ("journal_mode", "foreign_keys", "synchronous")
    asked = await transact(url, lambda connection: [connection.scalar(text(f"PRAGMA {name}")) for name in names])
    assert asked == ["wal", 1, 1]


async def make_first_tables(url: str) -> None:
    """Make the tables of the first version, with chats that it has saved (as SQLite dumps them)."""
    dump = (Path(__file__).parent / "chats_of_0001.sql").read_text()
    if not url.startswith("sqlite"):
        dump = dump.replace("DOUBLE", "DOUBLE PRECISION")

    def work(connection: Connection) -> None:
        for statement in dump.strip().split(";\n"):
            connection.exec_driver_sql(statement.removesuffix(";"))

    await transact(url, work)


async def test_chats_of_the_first_version_are_kept(url: str) -> None:
    await make_first_tables(url)
    assert not await is_migrated(url)
    await migrate(url)
    assert await transact(url, differences) == []
    store = SqlChatStore(url)
    tides = await store.load_chat("ada", "tides")
    assert [(one.id, one.number, one.parent, one.status) for one in tides.messages] == [
        ("u1", 0, None, "whole"),
        ("a1", 1, 0, "whole"),
        ("u2", 2, 1, "whole"),
        ("a2", 3, 2, "whole"),
    ]
    assert (tides.chat.title, tides.chat.metadata, tides.chat.size) == (
        "Where do tides come from?",
        {"color": "blue"},
        4,
    )
    assert (await store.load_chat("ada", "empty")).messages == []
    await store.aclose()


async def test_turns_that_the_first_version_left_open_can_be_ended(url: str) -> None:
    await make_first_tables(url)
    await migrate(url)
    store = SqlChatStore(url)
    turns = {turn.run_id: turn for turn in await store.open_turns()}
    assert {run_id: (turn.parent, turn.continues, turn.process_id) for run_id, turn in turns.items()} == {
        "r4": (1, 1, None),
        "r5": (0, None, None),
    }
    said: dict[str, Any] = {"role": "assistant", "parts": [{"type": "text", "text": "Done."}]}
    assert await store.finish_turn("r4", status="whole", message={"id": "a3", **said})
    assert await store.finish_turn("r5", status="lost", message={"id": "a5", **said})
    mail, opened = await store.load_chat("ada", "mail"), await store.load_chat("ada", "open")
    assert [(one.id, one.number, one.parent, one.status) for one in mail.messages] == [
        ("u3", 0, None, "whole"),
        ("a3", 1, 0, "whole"),
    ]
    assert [(one.id, one.number, one.parent, one.status) for one in opened.messages] == [
        ("u5", 0, None, "whole"),
        ("a5", 1, 0, "lost"),
    ]
    await store.aclose()


async def test_tables_of_a_newer_version_are_left_alone(url: str) -> None:
    await migrate(url)
    await run(url, "UPDATE usechat_version SET version_num = '9999'")
    assert not await is_migrated(url)
    with pytest.raises(ConfigurationError, match="newer"):
        await migrate(url)


async def test_other_tables_in_the_database_are_left_alone(url: str) -> None:
    await run(url, "CREATE TABLE messages (id INTEGER)")
    await migrate(url)
    assert await run(url, "SELECT * FROM messages") == []
