"""Chats in PostgreSQL, through asyncpg.

A connection is not tested before it is used: work that fails on a cut connection is tried again on another. What one
connection has met (a server that is silent, or takes no writes) is likely to be true of all that were open by then, so
none of them is used again.

A pooler between here and the server may give each transaction another connection of the server. A statement that was
prepared in one transaction is then missing in the next one. So statements stay prepared only where new connections
find no pooler (`_Route`).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlencode
from uuid import uuid4
from weakref import WeakSet

from sqlalchemy import URL
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from usechat.extras import needing

with needing("postgres"):
    import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from usechat.chats.sql.database import Work
from usechat.chats.sql.prepared import Rows, use_driver
from usechat.chats.sql.retry import PAUSES, is_read_only, retry_when_cut

__all__ = ["ANSWER_SECONDS", "PostgresDatabase"]

ANSWER_SECONDS: Final = 5.0
"""Seconds that a transaction may take, with its wait for a connection. Most take milliseconds."""
_CLOSE_SECONDS: Final = 1.0
"""Seconds that the connections may take to close."""
# All of them stay open: to open one and prepare its statements takes longer than ten turns.
_POOL: Final[Mapping[str, Any]] = {"pool_size": 10, "max_overflow": 0, "pool_recycle": 1800}
_SESSION: Final = "usechat.session"
_KINDS: Final[Mapping[type[Exception], type[DBAPIError]]] = {
    asyncpg.IntegrityConstraintViolationError: IntegrityError,
    asyncpg.SyntaxOrAccessError: ProgrammingError,
    asyncpg.DataError: DataError,
}
_ERRORS: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_STALE: Final = (
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.InvalidCachedStatementError,
    asyncpg.OutdatedSchemaCacheError,
)
"""A statement has to be prepared anew: it is gone, or the tables were altered."""

ResultT = TypeVar("ResultT")


class PostgresDatabase:
    """A `Database` on a server.

    Args:
        url: The result of `usechat.chats.sql.engine.parse_url`.
        pauses: Seconds before each further try when it is away.
        seconds: Seconds that a transaction may take.
    """

    def __init__(self, url: URL, pauses: Sequence[float] = PAUSES, seconds: float = ANSWER_SECONDS) -> None:
        self._pauses = pauses
        self._seconds = seconds
        self._place = f"{url.host or 'this machine'}:{url.port or 5432}"
        self._sessions: WeakSet[_Session] = WeakSet()
        self._sound_since = -math.inf
        """Connections that were open before this moment are not used again."""
        query = dict(url.query)
        self._route = _Route(query.pop("pgbouncer", ""))
        arguments: dict[str, Any] = {
            # asyncpg reads libpq's settings (sslmode, application_name, …) from a URL only.
            "dsn": f"postgresql:///?{urlencode(query, doseq=True)}",
            "statement_cache_size": 0,
            "prepared_statement_cache_size": 0,
            # SQLAlchemy's statements have no name: those with one would stay in a pooler's connection.
            "prepared_statement_name_func": lambda: "",
        }
        pool: dict[str, Any] = {**_POOL, "pool_timeout": 2 * seconds}
        # Transactions are begun and ended on the driver's connection, which also runs most of their statements.
        pool["isolation_level"] = "AUTOCOMMIT"
        self._engine = create_async_engine(url.set(query={}), connect_args=arguments, hide_parameters=True, **pool)
        # The pool itself gives a connection to whoever comes when it is free, before those who wait for one.
        self._places = asyncio.Semaphore(_POOL["pool_size"])

    async def read(self, work: Work[ResultT]) -> ResultT:
        """See `Database.read`. Each statement sees the data of the moment when it runs."""
        return await retry_when_cut(lambda: self._attempt(work, in_transaction=False), self._pauses)

    async def write(self, work: Work[ResultT]) -> ResultT:
        """See `Database.write`."""
        return await retry_when_cut(lambda: self._attempt(work, in_transaction=True), self._pauses)

    async def write_at_once(self, at_once: Work[ResultT | None], otherwise: Work[ResultT]) -> ResultT:
        """See `Database.write_at_once`. One statement needs no transaction around it, which is two more round trips."""
        result = await retry_when_cut(lambda: self._attempt(at_once, in_transaction=False), self._pauses)
        return await self.write(otherwise) if result is None else result

    async def aclose(self) -> None:
        """See `Database.aclose`. A server that is silent is left as it is."""
        closing = [session.close(_CLOSE_SECONDS) for session in list(self._sessions)]
        await asyncio.gather(*closing, return_exceptions=True)
        await self._engine.dispose()

    async def _attempt(self, work: Work[ResultT], *, in_transaction: bool) -> ResultT:
        began = time.monotonic()
        limit = asyncio.timeout(self._seconds)
        try:
            async with limit, self._places:
                return await self._run(work, in_transaction=in_transaction)
        except (DBAPIError, OSError) as error:
            if is_read_only(error):
                self._sound_since = time.monotonic()
            elif isinstance(error, OSError) or error.connection_invalidated:
                self._sound_since = max(began, self._sound_since)
            if limit.expired():
                raise TimeoutError(f"PostgreSQL at {self._place} did not answer in {self._seconds:g} seconds") from None
            raise

    async def _run(self, work: Work[ResultT], *, in_transaction: bool) -> ResultT:
        while True:
            with told_while_connecting():
                async with self._engine.connect() as connection:
                    session = await self._session_of(connection)
                    if session.opened_at >= self._sound_since and not session.is_closed:
                        # Without a name, a statement is prepared in one round trip and run in the next one: a pooler
                        # may have sent somebody else's in between.
                        return await session.run(connection, work, in_transaction or not self._route.is_direct)
                    await session.drop(connection)

    async def _session_of(self, connection: AsyncConnection) -> _Session:
        """Return the session of a connection, which it has for as long as it is open."""
        raw = await connection.get_raw_connection()
        session: _Session | None = raw.info.get(_SESSION)
        if session is None:
            session = _Session(raw.dbapi_connection, self._route)
            self._sessions.add(session)
            try:
                await session.look()
            except BaseException:
                await session.drop(connection)
                raise
            raw.info[_SESSION] = session
            await connection.run_sync(use_driver, session)
        return session


class _Route:
    """The way to a server: whether there is a pooler.

    Args:
        pooler: ``"true"`` or ``"false"`` as the URL says; anything else to find out.
    """

    def __init__(self, pooler: object) -> None:
        self.is_direct = pooler != "true"
        self._is_told = pooler in {"true", "false"}

    async def look(self, driver: Any) -> None:
        """Find out with a new connection. A pooler that was found once is taken to stay."""
        if self._is_told or not self.is_direct:
            return
        # A pooler tells its clients process ids of its own making, because a client cancels its statement by that id
        # while the connection to the server is somebody else's at other times.
        async with driver.transaction():
            statement = await driver.prepare("SELECT pg_backend_pid()", name="")
            self.is_direct = await statement.fetchval() == driver.get_server_pid()


class _Session:
    """An open connection, and a `Driver` for it.

    Args:
        adapter: The connection as SQLAlchemy's pool has it.
        route: The way to the server.
    """

    def __init__(self, adapter: Any, route: _Route) -> None:
        self._call: Callable[[Callable[[Any], Awaitable[Any]]], Any] = adapter.run_async
        self._driver = adapter.driver_connection
        self._route = route
        self._prepared: dict[str, Any] = {}
        self.opened_at = time.monotonic()

    @property
    def is_closed(self) -> bool:
        """Whether the connection is closed, as far as this side has noticed."""
        return self._driver.is_closed()

    async def look(self) -> None:
        """Find out about the way to the server."""
        await self._route.look(self._driver)

    async def close(self, seconds: float) -> None:
        """Close the connection, within some seconds."""
        await self._driver.close(timeout=seconds)

    async def drop(self, connection: AsyncConnection) -> None:
        """Cut the connection, which takes no time. It is not used again."""
        self._driver.terminate()
        await connection.invalidate()

    async def run(self, connection: AsyncConnection, work: Work[ResultT], in_transaction: bool) -> ResultT:
        """Run the work and return its result. Undo it when it fails in a transaction."""
        try:
            if not in_transaction:
                return await connection.run_sync(work)
            await self._told("BEGIN", self._driver.execute("BEGIN"))
            result = await connection.run_sync(work)
            await self._told("COMMIT", self._driver.execute("COMMIT"))
        except BaseException as error:
            if isinstance(error, DBAPIError) and _is_torn(error):
                error.connection_invalidated = True
            is_undone = False
            try:
                is_undone = await self._is_undone(error)
            finally:
                if not is_undone:
                    await self.drop(connection)
            raise
        return result

    async def _is_undone(self, error: BaseException) -> bool:
        """Undo the transaction after an error. Return False when the connection's state is not known."""
        if not isinstance(error, Exception) or isinstance(error, OSError) or self.is_closed:
            return False
        try:
            if self._driver.is_in_transaction():
                await self._driver.execute("ROLLBACK")
        except (*_ERRORS, OSError):
            return False
        return not (isinstance(error, DBAPIError) and (error.connection_invalidated or is_read_only(error)))

    def execute(self, text: str, values: Sequence[Any]) -> Rows:
        """See `Driver.execute`."""
        return self._call(lambda _driver: self._told(text, self._fetch(text, values)))

    def execute_many(self, text: str, values: Sequence[Any]) -> Rows:
        """See `Driver.execute_many`."""
        return self._call(lambda _driver: self._told(text, self._fetch_none(text, values)))

    async def _fetch(self, text: str, values: Sequence[Any]) -> Rows:
        return await (await self._prepare(text)).fetch(*values)

    async def _fetch_none(self, text: str, values: Sequence[Any]) -> Rows:
        await (await self._prepare(text)).executemany(values)
        return ()

    async def _prepare(self, text: str) -> Any:
        if not self._route.is_direct:
            return await self._driver.prepare(text, name="")
        statement = self._prepared.get(text)
        if statement is None:
            statement = self._prepared[text] = await self._driver.prepare(text, name=f"usechat_{uuid4().hex}")
        return statement

    async def _told(self, text: str, result: Awaitable[ResultT]) -> ResultT:
        """Wait for a result. Raise the driver's errors as SQLAlchemy's."""
        try:
            return await result
        except _ERRORS as error:
            if isinstance(error, asyncpg.InvalidSQLStatementNameError):
                # Something between here and the server loses what was prepared.
                self._route.is_direct = False
            kind = next((ours for theirs, ours in _KINDS.items() if isinstance(error, theirs)), DBAPIError)
            # asyncpg also says so of a connection that the server has begun to close.
            is_cut = self.is_closed or isinstance(error, (*_STALE, asyncpg.InternalClientError))
            raise kind(text, None, error, hide_parameters=True, connection_invalidated=is_cut) from error


def _is_torn(error: DBAPIError) -> bool:
    """Return whether the driver was in the middle of something when the statement came, ours or SQLAlchemy's.

    It is when the server has just said that it ends the connection, and the end itself has not arrived.
    """
    causes = (error.orig, error.orig and error.orig.__cause__)
    return any(isinstance(cause, asyncpg.InternalClientError) for cause in causes)


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
    except _ERRORS as error:
        raise ConnectionResetError(str(error)) from error
