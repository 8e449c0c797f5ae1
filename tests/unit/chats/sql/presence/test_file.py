"""Processes that use a file of SQLite, as the locks beside it tell."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from usechat.chats.sql.presence.file import FilePresence
from usechat.errors import ConfigurationError

pytestmark = pytest.mark.anyio


async def join(file: Path) -> tuple[FilePresence, str]:
    presence = FilePresence(file)
    await presence.join(15, lambda: None)
    assert presence.process_id is not None
    return presence, presence.process_id


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "chats [of all]*.db"
    path.touch()
    path.chmod(0o660)
    return path


def mode_of(file: Path) -> int:
    return file.stat().st_mode & 0o777


async def test_process_lives_until_it_leaves(file: Path) -> None:
    one, name = await join(file)
    other, other_name = await join(file)
    assert [await other.is_dead(name), await one.is_dead(other_name), await one.is_dead(name)] == [False] * 3
    await one.leave()
    assert await other.is_dead(name)
    assert one.process_id is None
    await other.leave()
    await other.leave()
    assert list(file.parent.iterdir()) == [file]


async def test_process_that_has_not_joined_can_look(file: Path) -> None:
    one, name = await join(file)
    other = FilePresence(file)
    assert not await other.is_dead(name)
    await one.leave()
    assert await other.is_dead(name)


async def test_what_a_killed_process_has_left_is_removed(file: Path) -> None:
    # Its lock has gone with it.
    left = file.with_name(f"{file.name}-process-0123456789abcdef")
    left.touch()
    others = file.with_name(f"{file.name}-process-of-somebody")
    others.touch()
    one = FilePresence(file)
    assert await one.is_dead("0123456789abcdef")
    assert not left.exists()
    left.touch()
    await one.join(15, lambda: None)
    assert not left.exists()
    assert others.exists()
    await one.leave()


async def test_name_of_another_making_tells_nothing(file: Path) -> None:
    assert not await FilePresence(file).is_dead("../../etc/passwd")


async def test_lock_that_cannot_be_read_counts_as_held(file: Path) -> None:
    broken = file.with_name(f"{file.name}-process-0123456789abcdef")
    broken.mkdir()
    assert not await FilePresence(file).is_dead("0123456789abcdef")


async def test_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no file can be made beside"):
        await FilePresence(tmp_path / "nowhere" / "chats.db").join(15, lambda: None)


async def test_lock_lets_those_in_who_may_use_the_database(file: Path) -> None:
    one, name = await join(file)
    [lock] = file.parent.glob(f"*{name}")
    assert mode_of(lock) == mode_of(file) == 0o660
    await one.leave()


async def test_lock_is_one_that_sqlite_knows(file: Path) -> None:
    one, name = await join(file)
    [lock] = file.parent.glob(f"*{name}")
    connection = sqlite3.connect(lock, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        connection.execute("SELECT * FROM sqlite_master")
    connection.close()
    await one.leave()
