"""Brings a database's tables to the state that this version of the package needs.

Any number of processes may try at once: one does the work, the others wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from usechat.extras import needing

with needing("sqlite", "postgres"):
    from alembic import command
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from sqlalchemy import Connection, text

from usechat.chats.sql.engine import open_database
from usechat.chats.sql.tables import VERSION_TABLE
from usechat.errors import ConfigurationError

__all__ = ["check_tables", "is_migrated", "migrate"]

_ADVISORY_LOCK: Final = 8_437_201_147
"""PostgreSQL's advisory lock that is held while one process alters tables."""

_MIGRATION_SECONDS: Final = 3600.0
"""Seconds that it may take: with large tables, and behind another process that does it."""


async def migrate(url: str) -> None:
    """Create or alter the tables if they are not of this version.

    Raises:
        ConfigurationError: As for `usechat.chats.sql.engine.parse_url`, or the tables are a newer version's.
        OSError: PostgreSQL cannot be reached.
    """
    database = open_database(url, may_create=True, seconds=_MIGRATION_SECONDS)
    try:
        await database.write(_migrate)
    finally:
        await database.aclose()


async def check_tables(url: str, pauses: Sequence[float]) -> None:
    """Raise unless the tables are those that this version needs.

    Args:
        url: Of PostgreSQL.
        pauses: Seconds before each further try to connect.

    Raises:
        ConfigurationError: The tables are missing or of another version; the text tells how to fix that.
        OSError: The database cannot be reached.
    """
    database = open_database(url, pauses=pauses)
    try:
        await database.read(_check_current)
    finally:
        await database.aclose()


async def is_migrated(url: str) -> bool:
    """Return whether the tables are what this version needs."""
    database = open_database(url, may_create=True)
    try:
        return await database.read(_is_current)
    finally:
        await database.aclose()


def _migrate(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
    _upgrade(connection)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _upgrade(connection: Connection) -> None:
    config = _config()
    _check_known(connection, config)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_known(connection: Connection, config: Config) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if not _current(connection) <= known:
        raise ConfigurationError("The database was made by a newer version of usechat: install that one.")


def _check_current(connection: Connection) -> None:
    _check_known(connection, _config())
    if not _is_current(connection):
        raise ConfigurationError(
            "the tables are not there, or are an older version's: run usechat migrate with USECHAT_DATABASE_URL set to "
            "this database (pip install 'usechat[server]'), or await chats.migrate() in a program of your own."
        )


def _is_current(connection: Connection) -> bool:
    return _current(connection) == set(ScriptDirectory.from_config(_config()).get_heads())


def _current(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}).get_current_heads())
