"""Chats in PostgreSQL, through asyncpg.

It may stand behind a pooler that gives each transaction another connection, so no prepared statement outlives its
transaction. A connection is not tested before it is used: work that fails on a cut connection is tried
again on another.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import uuid4

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine

from usechat.extras import needing

with needing("postgres"):
    import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from usechat.chats.sql.database import Work
from usechat.chats.sql.retry import PAUSES, retry_when_cut

__all__ = ["PostgresDatabase"]

_POOL: Final[Mapping[str, Any]] = {"pool_size": 5, "max_overflow": 10, "pool_timeout": 30, "pool_recycle": 1800}

ResultT = TypeVar("ResultT")


class PostgresDatabase:
    """A `Database` on a server.

    Args:
        url: The result of `usechat.chats.sql.engine.parse_url`.
        pauses: Seconds before each further try when it is away.
    """

    def __init__(self, url: URL, pauses: Sequence[float] = PAUSES) -> None:
        self._pauses = pauses
        arguments: dict[str, Any] = {
            # asyncpg reads libpq's settings (sslmode, application_name, …) from a URL only.
            "dsn": f"postgresql:///?{urlencode(url.query, doseq=True)}",
            "timeout": 10,
            "command_timeout": 60,
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            "prepared_statement_name_func": lambda: f"usechat_{uuid4().hex}",
        }
        self._writer = create_async_engine(url.set(query={}), connect_args=arguments, hide_parameters=True, **_POOL)
        # A statement that only reads needs no transaction around it, which would be two more round trips.
        self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    async def read(self, work: Work[ResultT]) -> ResultT:
        """See `Database.read`. Each statement sees the data of the moment when it runs."""

        async def attempt() -> ResultT:
            with told_while_connecting():
                async with self._reader.connect() as connection:
                    return await connection.run_sync(work)

        return await retry_when_cut(attempt, self._pauses)

    async def write(self, work: Work[ResultT]) -> ResultT:
        """See `Database.write`."""

        async def attempt() -> ResultT:
            with told_while_connecting():
                async with self._writer.begin() as connection:
                    return await connection.run_sync(work)

        return await retry_when_cut(attempt, self._pauses)

    async def aclose(self) -> None:
        """See `Database.aclose`."""
        await self._writer.dispose()


@contextmanager
def told_while_connecting() -> Generator[None]:
    """Turn asyncpg's errors while connecting into `OSError`.

    SQLAlchemy wraps the errors of statements and of connecting. It does not wrap the errors of a connection that is cut
    while it is set up.
    """
    try:
        yield
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.ClientConfigurationError,
    ) as error:
        raise PermissionError(str(error)) from error
    except (asyncpg.InterfaceError, asyncpg.PostgresError) as error:
        raise ConnectionResetError(str(error)) from error
