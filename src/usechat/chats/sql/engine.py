"""Opens the database that a URL names.

Only this module tells SQLite from PostgreSQL, besides the lock that `usechat.chats.sql.migrations.migrate` takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from usechat.extras import needing

with needing("sqlite", "postgres"):
    from sqlalchemy import URL, make_url
    from sqlalchemy.exc import ArgumentError

from usechat.chats.sql.database import Database
from usechat.chats.sql.presence.base import Presence
from usechat.chats.sql.retry import PAUSES
from usechat.errors import ConfigurationError

__all__ = ["is_sqlite", "open_database", "open_presence", "parse_url"]

_DRIVERS: Final[Mapping[str, str]] = {
    "sqlite": "sqlite+pysqlite",
    "sqlite+aiosqlite": "sqlite+pysqlite",
    "sqlite+pysqlite": "sqlite+pysqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_RENAMED: Final[Mapping[str, str]] = {"ssl": "sslmode"}
_POOLER: Final = "pgbouncer"
"""The parameter of a PostgreSQL URL that says whether there is a pooler, by its name in other drivers' URLs."""
_NOT_FOR_ASYNCPG: Final = frozenset({"channel_binding", "connect_timeout", "connection_limit", "pool_timeout", "supa"})


def parse_url(url: str) -> URL:
    """Return a database's URL with the name of our driver for it.

    ``sqlite:///file.db``, ``postgresql://…`` and ``postgres://…``. Parameters that hosted databases add for other
    drivers are left out. The others have the same meaning as in libpq, but for ``pgbouncer``: ``true`` where a pooler
    gives each transaction another connection, ``false`` where none does. Without it, new connections find out.

    Raises:
        ConfigurationError: The URL names no database that is supported here. The text does not repeat it: it holds a
            password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError("The database's URL must be like sqlite:///file.db or postgresql://…") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ConfigurationError(f"The database {parsed.drivername} is not supported: use sqlite or postgresql.")
    parsed = parsed.set(drivername=driver)
    if is_sqlite(parsed):
        if not parsed.database or ":memory:" in parsed.database or parsed.query.get("mode") == "memory":
            raise ConfigurationError("Chats are kept in a file: sqlite:///file.db")
        return parsed
    query = {_RENAMED.get(name, name): value for name, value in parsed.query.items() if name not in _NOT_FOR_ASYNCPG}
    if query.get(_POOLER, "true") not in {"true", "false"}:
        raise ConfigurationError(f"The parameter {_POOLER} of the database's URL must be true or false.")
    return parsed.set(query=query)


def is_sqlite(url: URL) -> bool:
    """Return whether the database is a file of SQLite."""
    return url.get_backend_name() == "sqlite"


def open_database(
    url: str, *, may_create: bool = False, pauses: Sequence[float] = PAUSES, seconds: float | None = None
) -> Database:
    """Return the database of a URL; nothing is connected yet.

    Args:
        url: As for `parse_url`.
        may_create: Create a missing SQLite file and its folder.
        pauses: Seconds before each further try when PostgreSQL is away.
        seconds: Seconds that a transaction of PostgreSQL may take, if it is a longer one than those of chats.

    Raises:
        ConfigurationError: As for `parse_url`.
    """
    parsed = parse_url(url)
    # Each module imports a driver that the other does not need.
    if is_sqlite(parsed):
        from usechat.chats.sql.sqlite import SqliteDatabase

        return SqliteDatabase(parsed, may_create=may_create)
    from usechat.chats.sql.postgres import ANSWER_SECONDS, PostgresDatabase

    return PostgresDatabase(parsed, pauses, ANSWER_SECONDS if seconds is None else seconds)


def open_presence(url: str, database: Database) -> Presence:
    """Return this process's presence among those that use a database. It has not joined yet.

    Args:
        url: As for `parse_url`.
        database: That database.
    """
    parsed = parse_url(url)
    if is_sqlite(parsed):
        from usechat.chats.sql.presence.file import FilePresence
        from usechat.chats.sql.sqlite import file_of

        return FilePresence(file_of(parsed))
    from usechat.chats.sql.presence.row import RowPresence

    return RowPresence(database)
