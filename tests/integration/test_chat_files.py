"""Chats in a file of SQLite: others that hold it, files that vanish, disks that are full, tasks that leave."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import AsyncIterator, Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from tests.support.databases import make_migrated_file
from usechat.chats.sql import sqlite
from usechat.chats.sql.migrations.migrate import is_migrated, migrate
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import TurnPlan
from usechat.errors import ChatError

pytestmark = pytest.mark.anyio

PATIENT = 30.0
HASTY = 0.05
"""Seconds that a transaction waits for another process."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    make_migrated_file(tmp_path)
    return tmp_path / "chats.db"


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqlChatStore]:
    made = SqlChatStore(f"sqlite:///{file}?timeout={PATIENT}")
    yield made
    await made.aclose()


@pytest.fixture
async def hasty(file: Path) -> AsyncIterator[SqlChatStore]:
    made = SqlChatStore(f"sqlite:///{file}?timeout={HASTY}")
    yield made
    await made.aclose()


@contextmanager
def held(file: Path) -> Generator[None]:
    """As another process holds it that writes; the block's end lets go of it."""
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def no_room(file: Path) -> Generator[None]:
    """A disk on which no file can grow beyond what this one has."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def replace_file(file: Path, by: bytes | Path) -> None:
    """Put something else in its place, and take away what SQLite keeps beside it."""
    for left in file.parent.glob(f"{file.name}*"):
        left.unlink()
    if isinstance(by, Path):
        by.rename(file)
    else:
        file.write_bytes(by)


@contextmanager
def taken_away(file: Path) -> Generator[None]:
    """The file is not there, and nobody makes one, until the block ends."""
    away = file.rename(file.with_name("away.db"))
    try:
        yield
        assert not file.exists()
    finally:
        away.rename(file)


def user(text: str) -> dict[str, Any]:
    return {"id": "u", "role": "user", "parts": [{"type": "text", "text": text}]}


async def chat_ids(store: SqlChatStore) -> list[str]:
    return [chat.id for chat in (await store.list_chats("ada")).chats]


async def test_reading_goes_on_while_writing_waits(store: SqlChatStore, file: Path) -> None:
    await store.create_chat("ada", "first")
    with held(file):
        writing = asyncio.create_task(store.create_chat("ada", "second"))
        for _ in range(20):
            assert await chat_ids(store) == ["first"]
        assert not writing.done()
    await asyncio.wait_for(writing, PATIENT)
    assert await chat_ids(store) == ["second", "first"]


async def test_lock_that_stays_is_told(hasty: SqlChatStore, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    with held(file), pytest.raises(ChatError) as raised:
        await hasty.create_chat("ada", "c", title="a-secret")
    assert raised.value.code == "unavailable"
    assert "locked" in caplog.text
    assert "secret" not in caplog.text
    assert (await hasty.create_chat("ada", "c")).id == "c"


async def test_full_disk_is_told_and_leaves_the_chat_as_it_was(store: SqlChatStore, file: Path) -> None:
    plan = TurnPlan(added=[user("x" * 1_000_000)])
    with no_room(file), pytest.raises(ChatError) as raised:
        await store.begin_turn("ada", "c", "r", plan)
    assert raised.value.code == "unavailable"
    assert await chat_ids(store) == []
    await store.begin_turn("ada", "c", "r", plan)
    assert [saved.message for saved in (await store.load_chat("ada", "c")).messages] == [user("x" * 1_000_000)]


async def test_file_that_others_use_is_migrated_when_they_let_go(tmp_path: Path) -> None:
    file = tmp_path / "chats.db"
    with held(file):
        migrating = asyncio.create_task(migrate(f"sqlite:///{file}"))
        await asyncio.wait([migrating], timeout=0.1)
        assert not migrating.done()
    await asyncio.wait_for(migrating, PATIENT)
    assert await is_migrated(f"sqlite:///{file}")


async def test_file_that_others_keep_to_themselves_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "_BUSY_SECONDS", HASTY)
    file = tmp_path / "chats.db"
    with held(file), pytest.raises(OperationalError, match="locked"):
        await migrate(f"sqlite:///{file}")


async def test_file_that_is_gone_is_told_until_it_is_back(store: SqlChatStore, file: Path) -> None:
    await store.create_chat("ada", "c")
    with taken_away(file):
        for attempt in (store.create_chat("ada", "d"), store.get_chat("ada", "c")):
            with pytest.raises(ChatError) as raised:
                await attempt
            assert raised.value.code == "unavailable"
    assert await chat_ids(store) == ["c"]


async def test_file_that_takes_its_place_is_used(store: SqlChatStore, file: Path, tmp_path: Path) -> None:
    await store.create_chat("ada", "old")
    backup = tmp_path / "backup.db"
    await migrate(f"sqlite:///{backup}")
    restored = SqlChatStore(f"sqlite:///{backup}")
    await restored.create_chat("ada", "restored")
    await restored.aclose()
    replace_file(file, backup)
    assert await chat_ids(store) == ["restored"]
    assert (await store.create_chat("ada", "old")).revision == 0


async def test_file_that_is_no_database_is_told(store: SqlChatStore, file: Path) -> None:
    replace_file(file, b"no database" * 1000)
    with pytest.raises(ChatError) as raised:
        await store.get_chat("ada", "c")
    assert raised.value.code == "unavailable"


async def test_file_without_tables_is_told(tmp_path: Path) -> None:
    made = tmp_path / "never-made.db"
    store = SqlChatStore(f"sqlite:///{made}")
    with pytest.raises(ChatError) as raised:
        await store.create_chat("ada", "c")
    assert raised.value.code == "unavailable"
    await store.aclose()
    with pytest.raises(FileNotFoundError):
        made.stat()


async def test_task_that_leaves_leaves_nothing(store: SqlChatStore, file: Path) -> None:
    with held(file):
        tasks = [asyncio.create_task(store.create_chat("ada", f"c{number}")) for number in range(3)]
        await chat_ids(store)
        for task in tasks[:2]:
            task.cancel()
        ended = await asyncio.gather(*tasks[:2], return_exceptions=True)
        assert [type(result) for result in ended] == [asyncio.CancelledError] * 2
    await tasks[2]
    assert await chat_ids(store) == ["c2"]


async def test_store_that_was_closed_opens_again(store: SqlChatStore) -> None:
    await store.create_chat("ada", "c")
    await store.aclose()
    assert await chat_ids(store) == ["c"]


async def test_waiting_work_is_done_before_the_store_closes(store: SqlChatStore, file: Path) -> None:
    creating = [asyncio.create_task(store.create_chat("ada", f"c{number}")) for number in range(10)]
    await asyncio.sleep(0)
    await store.aclose()
    assert [chat.id for chat in await asyncio.gather(*creating)] == [f"c{number}" for number in range(10)]


def test_loop_that_ends_early_leaves_the_store_usable(tmp_path: Path) -> None:
    file = tmp_path / "chats.db"
    asyncio.run(migrate(f"sqlite:///{file}"))
    store = SqlChatStore(f"sqlite:///{file}?timeout={PATIENT}")

    async def leave() -> None:
        task = asyncio.create_task(store.create_chat("ada", "c"))
        await asyncio.sleep(0)
        task.cancel()

    with held(file):
        asyncio.run(leave())

    async def ask() -> list[str]:
        await store.create_chat("ada", "d")
        found = await chat_ids(store)
        await store.aclose()
        return found

    assert asyncio.run(ask()) == ["d"]
