"""Brings a database's tables to what this version of the package needs.

Any number of processes may do so at once: one does the work, the others wait and find it done.
"""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from usechat.chats.engine import create_engine, is_sqlite, writing
from usechat.chats.retry import retry_when_cut
from usechat.chats.tables import VERSION_TABLE
from usechat.errors import ConfigurationError

__all__ = ["is_migrated", "migrate"]

_ADVISORY_LOCK: Final = 8_437_201_147
"""PostgreSQL's, held while one process alters tables."""
_WAL_PAUSES: Final = (0.02,) * 500
"""Seconds between the tries to turn WAL on."""


async def migrate(url: str) -> None:
    """Make or alter the tables, if that is due.

    Raises:
        ConfigurationError: As for `usechat.chats.engine.parse_url`, or the tables are a newer version's.
        OSError: PostgreSQL cannot be reached.
    """
    engine = create_engine(url)
    try:
        await retry_when_cut(lambda: _migrate(engine))
    finally:
        await engine.dispose()


async def is_migrated(url: str) -> bool:
    """Whether the tables are what this version needs."""
    engine = create_engine(url)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_is_current)
    finally:
        await engine.dispose()


async def _migrate(engine: AsyncEngine) -> None:
    if is_sqlite(engine.url):
        await _turn_wal_on(engine)
    async with writing(engine).begin() as connection:
        if not is_sqlite(engine.url):
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        await connection.run_sync(_upgrade)


async def _turn_wal_on(engine: AsyncEngine) -> None:
    """Put the file into WAL mode, where it stays; for others that do the same at once SQLite itself does not wait."""
    async with engine.connect() as connection:
        driver: Any = (await connection.get_raw_connection()).driver_connection
        for pause in _WAL_PAUSES:
            try:
                await driver.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError:
                await asyncio.sleep(pause)
            else:
                return
        await driver.execute("PRAGMA journal_mode = WAL")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if not _current(connection) <= known:
        raise ConfigurationError("The database was made by a newer version of usechat: install that one.")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_current(connection: Connection) -> bool:
    return _current(connection) == set(ScriptDirectory.from_config(_config()).get_heads())


def _current(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads())
