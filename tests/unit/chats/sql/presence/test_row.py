"""Processes that count up a number in a database: the rows are SQLite's here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.support.waiting import PATIENCE, eventually
from usechat.chats.sql.database import Database
from usechat.chats.sql.engine import open_database
from usechat.chats.sql.migrations.migrate import migrate
from usechat.chats.sql.presence.row import RowPresence

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/chats.db"
    await migrate(url)
    made = open_database(url)
    yield made
    await made.aclose()


async def run(database: Database, statement: str, **values: Any) -> None:
    def work(connection: Connection) -> None:
        connection.execute(text(statement), values)

    await database.write(work)


async def has_counted(database: Database, name: str, beats: int) -> bool:
    asked = text("SELECT beats FROM usechat_processes WHERE id = :id")
    return (await database.read(lambda connection: connection.scalar(asked, {"id": name}))) >= beats


def never() -> None:
    raise AssertionError


async def test_process_lives_until_it_leaves(database: Database) -> None:
    one, other = RowPresence(database), RowPresence(database)
    await one.join(0.5, never)
    await other.join(0.5, never)
    name = one.process_id
    assert name is not None
    assert not await one.is_dead(name)
    assert not await other.is_dead(name)
    # More than a lease later.
    await eventually(lambda: has_counted(database, name, 6))
    assert not await other.is_dead(name)
    await one.leave()
    assert await other.is_dead(name)
    await other.leave()


async def test_process_that_gives_no_sign_for_a_lease_is_dead(database: Database) -> None:
    one = RowPresence(database)
    await one.join(0.2, never)
    await run(database, "INSERT INTO usechat_processes VALUES ('silent', 7, 0.1)")
    await eventually(lambda: one.is_dead("silent"))
    await one.leave()


async def test_lease_is_the_longer_one_of_both(database: Database) -> None:
    one = RowPresence(database)
    await one.join(0.1, never)
    await run(database, "INSERT INTO usechat_processes VALUES ('silent', 7, 600)")
    assert not await one.is_dead("silent")
    await asyncio.sleep(0.3)
    assert not await one.is_dead("silent")
    await one.leave()


async def test_who_was_paused_itself_begins_to_watch_anew(database: Database) -> None:
    one = RowPresence(database)
    await one.join(0.2, never)
    await run(database, "INSERT INTO usechat_processes VALUES ('silent', 7, 0.1)")
    assert not await one.is_dead("silent")
    # Far longer than a lease, in which it did not look.
    await asyncio.sleep(0.6)
    assert not await one.is_dead("silent")
    await one.leave()


async def test_process_that_was_taken_for_dead_learns_so_and_comes_back(database: Database) -> None:
    one = RowPresence(database)
    lost = asyncio.Event()
    await one.join(0.2, lost.set)
    name = one.process_id
    await run(database, "DELETE FROM usechat_processes")
    await asyncio.wait_for(lost.wait(), PATIENCE)
    assert one.process_id not in (None, name)
    await one.leave()


async def test_two_signs_of_life_at_once_learn_it_once(database: Database) -> None:
    one, lost = RowPresence(database), list[None]()
    await one.join(600, lambda: lost.append(None))
    await one.confirm()
    assert lost == []
    await run(database, "DELETE FROM usechat_processes")
    await asyncio.gather(one.confirm(), one.confirm())
    assert len(lost) == 1
    await one.leave()
    await one.confirm()
    assert one.process_id is None


async def test_database_that_is_away_is_told_and_waited_for(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    one = RowPresence(database)
    await one.join(0.1, never)
    await run(database, "ALTER TABLE usechat_processes RENAME TO away")
    await eventually(lambda: "does not learn that this process lives" in caplog.text)
    await one.leave()
    assert "could not be removed" in caplog.text
