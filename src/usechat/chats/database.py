"""What the store of chats needs of a database: whole transactions, whose work is written once for all of them.

The work of a transaction is a plain function of a SQLAlchemy connection. Where it runs is the database's affair: a
thread of SQLite's, or a greenlet over PostgreSQL's asyncio driver.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)

from usechat.errors import ChatError

__all__ = ["Database", "Work", "told_when_unavailable"]

logger = logging.getLogger(__name__)

_OUR_OWN_FAULT: Final = (IntegrityError, ProgrammingError, DataError, NotSupportedError)

ResultT = TypeVar("ResultT")
Work: TypeAlias = Callable[[Connection], ResultT]
"""The statements of one transaction. It must be safe to run again, also after a run that was committed, and must not
hold on to the connection."""


class Database(Protocol):
    """Runs transactions. Safe to use from any number of tasks at once.

    A task that is cancelled while it waits leaves the transaction either undone or done, never half; it is undone where
    it had not come to its commit.
    """

    async def read(self, work: Work[ResultT]) -> ResultT:
        """What work gives that changes nothing.

        Raises:
            DBAPIError: A statement failed.
            OSError: The database is not to be reached.
        """
        ...

    async def write(self, work: Work[ResultT]) -> ResultT:
        """What work gives that changes something: all of it is kept, or nothing when it raises.

        Raises:
            DBAPIError: A statement failed.
            OSError: The database is not to be reached.
        """
        ...

    async def aclose(self) -> None:
        """Let go of all connections, once the work that was given is done."""
        ...


class TellsUnavailable:
    """Makes one error of all ways in which a database is not there, locked, full or damaged: a context manager.

    Raises:
        ChatError: ``unavailable``. What it was is logged, without the values that were to be written.
    """

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Let pass what is nobody's but ours."""
        if not isinstance(error, SQLAlchemyError | OSError):
            return
        is_statement = isinstance(error, StatementError) and not isinstance(error, DBAPIError)
        if is_statement or isinstance(error, _OUR_OWN_FAULT):
            return
        reason = error.orig if isinstance(error, DBAPIError) else error
        logger.error("the database of chats failed: %s", reason)
        raise ChatError("Chats cannot be read or saved now. Try again later.", code="unavailable") from error


told_when_unavailable: Final = TellsUnavailable()
