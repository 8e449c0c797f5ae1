"""The SQLite database, a file.

A whole transaction runs in one thread that belongs to the database. So the event loop never waits for the disk, and a
transaction costs one thread switch, however many statements it has. One thread writes, in the order in which work comes
in, because SQLite allows one writer at a time. A few other threads read meanwhile, which WAL mode allows.

A writing transaction takes the lock at its beginning (``BEGIN IMMEDIATE``), because a transaction that turns from
reading to writing can fail when another process was faster. Not every commit is flushed to the disk (``synchronous =
NORMAL``). A power cut can lose the last commits. A process that dies loses none. Neither leaves a half-written file.

Source: https://www.sqlite.org/wal.html and pragma.html#pragma_synchronous.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import unquote

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event
from sqlalchemy.exc import DBAPIError, OperationalError

from usechat.chats.sql.database import Work
from usechat.chats.sql.prepared import Rows, use_driver
from usechat.chats.sql.threads import WorkerThreads

__all__ = ["SqliteDatabase", "SqliteDriver", "file_of"]

_BUSY_SECONDS: Final = 30
"""How long a transaction waits for another process to end its own, unless the URL says otherwise (``?timeout=``)."""
_MAX_READERS: Final = 4
_FIRST_PAUSE_SECONDS: Final = 0.0002
_LAST_PAUSE_SECONDS: Final = 0.05
"""Seconds between tries to begin a write. The first pause is about as long as another worker's transaction."""
_MOST_TOGETHER: Final = 32
"""How many waiting transactions are joined into one at most: the commit is the most expensive part of each."""
_WAL_PAUSE_SECONDS: Final = 0.02

ResultT = TypeVar("ResultT")


class SqliteDatabase:
    """A `Database` in a file.

    Args:
        url: As `usechat.chats.sql.engine.parse_url` gives it.
        may_create: Create a missing file and its folder, and put the file into WAL mode.
    """

    def __init__(self, url: URL, *, may_create: bool = False) -> None:
        path = file_of(url)
        patience = float(str(url.query.get("timeout", _BUSY_SECONDS)))
        engine = _create_engine(url, patience)
        self._writer = WorkerThreads(
            partial(_WritingSession, engine, path, may_create, patience), limit=1, most_together=_MOST_TOGETHER
        )
        self._readers = WorkerThreads(partial(_Session, engine, path, may_create), limit=_MAX_READERS)

    async def read(self, work: Work[ResultT]) -> ResultT:
        """See `Database.read`. Each statement sees the data of the moment when it runs."""
        return await self._readers.run(work)

    async def write(self, work: Work[ResultT]) -> ResultT:
        """See `Database.write`."""
        return await self._writer.run(work)

    async def write_at_once(self, at_once: Work[ResultT | None], otherwise: Work[ResultT]) -> ResultT:
        """See `Database.write_at_once`. Both works are one transaction."""

        def work(connection: Connection) -> ResultT:
            result = at_once(connection)
            return otherwise(connection) if result is None else result

        return await self._writer.run(work)

    async def aclose(self) -> None:
        """See `Database.aclose`."""
        await self._writer.aclose()
        await self._readers.aclose()


class SqliteDriver:
    """A `Driver`. SQLAlchemy's dialect must name the parameters.

    Args:
        driver: The connection.
    """

    def __init__(self, driver: sqlite3.Connection) -> None:
        self._driver = driver

    def execute(self, text: str, values: Any) -> Rows:
        """See `Driver.execute`."""
        try:
            return self._driver.execute(text, values).fetchall()
        except sqlite3.Error as error:
            raise _told_error(text, error) from error

    def execute_many(self, text: str, values: Sequence[Any]) -> Rows:
        """See `Driver.execute_many`."""
        try:
            return self._driver.executemany(text, values).fetchall()
        except sqlite3.Error as error:
            raise _told_error(text, error) from error


def _told_error(text: str, error: sqlite3.Error) -> Exception:
    return DBAPIError.instance(text, None, error, sqlite3.Error, hide_parameters=True)


class _Session:
    """A reading thread's connection. It is opened again after a failure, or when the file was replaced.

    Args:
        engine: Makes connections.
        path: The file.
        may_create: As for `SqliteDatabase`.
    """

    def __init__(self, engine: Engine, path: Path, may_create: bool) -> None:
        self._engine = engine
        self._path = path
        self._may_create = may_create
        self._file_name = str(path)
        self._connected: tuple[Connection, sqlite3.Connection] | None = None
        self._file: tuple[int, int] | None = None

    def run(self, work: Work[ResultT], check_wanted: Callable[[], None]) -> ResultT:
        """Run the work and return its result. Undo it when nobody waits for it any more.

        Raises:
            Abandoned: It was undone.
            OSError: The file is gone, or cannot be made.
            DBAPIError: A statement failed.
        """
        try:
            return self._transact(work, check_wanted)
        except (DBAPIError, sqlite3.Error) as error:
            # After any failure (locked, full, damaged), the next transaction begins with a new connection.
            self.close()
            if isinstance(error, DBAPIError):
                raise
            raise OperationalError(None, None, error) from error

    def _transact(self, work: Work[ResultT], check_wanted: Callable[[], None]) -> ResultT:
        # Reading needs no transaction, which would cost as much as the statement.
        return work(self._connect()[0])

    def _connect(self) -> tuple[Connection, sqlite3.Connection]:
        if self._connected is not None and self._file == self._identify():
            return self._connected
        self.close()
        if self._may_create:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _create_private(self._path)
        else:
            self._identify()
        connection = self._engine.connect()
        driver = cast("sqlite3.Connection", connection.connection.driver_connection)
        use_driver(connection, SqliteDriver(driver))
        self._connected = connection, driver
        if self._may_create:
            _turn_wal_on(driver)
        self._set_up(driver)
        self._file = self._identify()
        return self._connected

    def _set_up(self, driver: sqlite3.Connection) -> None:
        """Set up a new connection."""

    def _identify(self) -> tuple[int, int]:
        # SQLite would go on writing to a file that was removed or replaced, and nobody would ever see it.
        found = os.stat(self._file_name)  # noqa: PTH116 - asked for each transaction; a path's own takes three times as long
        return found.st_dev, found.st_ino

    def close(self) -> None:
        """Close the connection."""
        if self._connected is not None:
            self._connected[0].close()
            self._connected = None


class _WritingSession(_Session):
    """The writing thread's connection.

    Args:
        engine: Makes connections.
        path: The file.
        may_create: As for `SqliteDatabase`.
        patience: Seconds to wait for another process to end its transaction.
    """

    def __init__(self, engine: Engine, path: Path, may_create: bool, patience: float) -> None:
        super().__init__(engine, path, may_create)
        self._patience = patience

    def _transact(self, work: Work[ResultT], check_wanted: Callable[[], None]) -> ResultT:
        connection, driver = self._connect()
        self._begin(driver)
        try:
            result = work(connection)
            check_wanted()
        except BaseException:
            driver.rollback()
            raise
        # Not ``commit()``, which releases the interpreter's lock three times and waits for it each time.
        driver.execute("COMMIT")
        return result

    def _begin(self, driver: sqlite3.Connection) -> None:
        end = time.monotonic() + self._patience
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() + pause > end:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.25, _LAST_PAUSE_SECONDS)
            else:
                return

    def _set_up(self, driver: sqlite3.Connection) -> None:
        # SQLite's own pauses are whole milliseconds, in which another worker's transaction has long ended, and with it
        # everybody waits who waits for this thread.
        driver.execute("PRAGMA busy_timeout = 0")


def _create_private(path: Path) -> None:
    """Create the file, if it is missing, for this user alone. SQLite gives its other files the same mode."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def file_of(url: URL) -> Path:
    """Return the file that a URL names."""
    location = str(url.database)
    is_uri = location.startswith("file:")
    return Path(unquote(location.removeprefix("file:").partition("?")[0]) if is_uri else location)


def _create_engine(url: URL, patience: float) -> Engine:
    patient = url.update_query_dict({"timeout": str(patience)})
    # Transactions are begun and ended on the driver's connection: SQLAlchemy knows no ``BEGIN IMMEDIATE``, and what
    # stands in for it (an event) would be asked about at every statement.
    engine = create_engine(
        patient, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True, paramstyle="named"
    )
    event.listen(engine, "connect", _set_up)
    return engine


def _set_up(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = NORMAL")


def _turn_wal_on(connection: sqlite3.Connection) -> None:
    """Put the file into WAL mode, which lasts. Wait for other processes: SQLite itself does not."""
    end = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(_WAL_PAUSE_SECONDS)
        else:
            return
