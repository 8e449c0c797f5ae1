"""From a database's URL to an engine with the right driver, pool and connection settings.

The one place that knows SQLite from PostgreSQL, besides the lock that `usechat.chats.migrate` takes.

SQLite runs in WAL mode, in which readers and the one writer don't wait for each other; what writes says so at its
beginning (``BEGIN IMMEDIATE``), because a transaction that turns from reading to writing can fail when another was
faster. PostgreSQL may stand behind a pooler that gives each transaction another connection, so no prepared statement
outlives its transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from uuid import uuid4

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from usechat.errors import ConfigurationError

__all__ = ["create_engine", "is_sqlite", "parse_url", "writing"]

_DRIVERS: Final[Mapping[str, str]] = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
_RENAMED: Final[Mapping[str, str]] = {"ssl": "sslmode"}
_NOT_FOR_ASYNCPG: Final = frozenset(
    {"channel_binding", "connect_timeout", "connection_limit", "pgbouncer", "pool_timeout", "supa"}
)
_SQLITE_BUSY_SECONDS: Final = 30
_POOL: Final[Mapping[str, Any]] = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 30}
_WRITES: Final = "usechat_writes"


def parse_url(url: str) -> URL:
    """A database's URL with the driver that is used for it.

    ``sqlite:///file.db``, ``postgresql://…`` and ``postgres://…``. What hosted databases put into their URLs for other
    drivers is left out; the rest means what it does to libpq.

    Raises:
        ConfigurationError: The URL names no database that is supported here. It is not repeated: it holds a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigurationError("The database's URL is not one: sqlite:///file.db or postgresql://…") from None
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise ConfigurationError(f"The database {parsed.drivername} is not supported: use sqlite or postgresql.")
    parsed = parsed.set(drivername=driver)
    if is_sqlite(parsed):
        if not parsed.database or ":memory:" in parsed.database or parsed.query.get("mode") == "memory":
            raise ConfigurationError("Chats are kept in a file: sqlite:///file.db")
        return parsed
    query = {_RENAMED.get(name, name): value for name, value in parsed.query.items() if name not in _NOT_FOR_ASYNCPG}
    return parsed.set(query=query)


def is_sqlite(url: URL) -> bool:
    """Whether the database is a file of SQLite."""
    return url.get_backend_name() == "sqlite"


def create_engine(url: str) -> AsyncEngine:
    """An engine for a database; nothing is connected yet. The folder of a SQLite file is made.

    Raises:
        ConfigurationError: As for `parse_url`.
    """
    parsed = parse_url(url)
    if is_sqlite(parsed):
        return _create_sqlite_engine(parsed)
    arguments: dict[str, Any] = {
        # asyncpg reads libpq's settings (sslmode, application_name, …) from a URL only.
        "dsn": f"postgresql:///?{urlencode(parsed.query, doseq=True)}",
        "timeout": 10,
        "command_timeout": 60,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": lambda: f"usechat_{uuid4().hex}",
    }
    return create_async_engine(
        parsed.set(query={}), connect_args=arguments, pool_pre_ping=True, pool_recycle=1800, **_POOL
    )


def writing(engine: AsyncEngine) -> AsyncEngine:
    """The same engine for transactions that write."""
    return engine.execution_options(**{_WRITES: True})


def _create_sqlite_engine(url: URL) -> AsyncEngine:
    Path(str(url.database).removeprefix("file:").partition("?")[0]).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(url, connect_args={"timeout": _SQLITE_BUSY_SECONDS}, **_POOL)
    event.listen(engine.sync_engine, "connect", _set_up_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    # The driver's own habit is to begin a transaction with the first write; here _begin_sqlite does.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
