"""The protocol of a database for the chat store: transactions whose work is written once for all databases.

The work of a transaction is a plain function of a SQLAlchemy connection. The database
chooses where it runs: a thread for SQLite, a greenlet over PostgreSQL's asyncio driver.
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
from usechat.guard import describe_outage

__all__ = ["Database", "TellsUnavailable", "Work"]

logger = logging.getLogger(__name__)

_OUR_OWN_FAULT: Final = (IntegrityError, ProgrammingError, DataError, NotSupportedError)

ResultT = TypeVar("ResultT")
Work: TypeAlias = Callable[[Connection], ResultT]
"""The statements of one transaction. It must be safe to run again, also after a run that was committed, and must not
hold on to the connection."""


class Database(Protocol):
    """A database that runs transactions. Any number of tasks may use it at once.

    A task that is cancelled while it waits leaves the transaction either done or undone. It is undone when it had not
    reached its commit.

    Implemented by: `PostgresDatabase`, `SqliteDatabase`.
    """

    async def read(self, work: Work[ResultT]) -> ResultT:
        """Run work that changes nothing and return its result.

        Raises:
            DBAPIError: A statement failed.
            OSError: The database cannot be reached.
        """
        ...

    async def write(self, work: Work[ResultT]) -> ResultT:
        """Run work that changes something and return its result. All changes are kept, or none when it raises.

        Raises:
            DBAPIError: A statement failed.
            OSError: The database cannot be reached.
        """
        ...

    async def write_at_once(self, at_once: Work[ResultT | None], otherwise: Work[ResultT]) -> ResultT:
        """Run work that is one statement or changes nothing; if it returns None, run the other work as `write` does.

        Args:
            at_once: At most one call of `usechat.chats.sql.together.run_together`.
            otherwise: The other work.

        Raises:
            DBAPIError: A statement failed.
            OSError: The database cannot be reached.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections once the work that was given is done."""
        ...


class TellsUnavailable:
    """Map every failure of a database that is away, locked, full or damaged to one error. A context manager.

    Args:
        what: What was to be done, and to what.

    Raises:
        ChatError: ``unavailable``. The cause is logged, without the values that were to be written.
    """

    __slots__ = ("_what",)

    def __init__(self, *what: str | None) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Enter the block."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise `ChatError` for a failure of the database; let other errors pass."""
        if not isinstance(error, SQLAlchemyError | OSError):
            return
        is_statement = isinstance(error, StatementError) and not isinstance(error, DBAPIError)
        if is_statement or isinstance(error, _OUR_OWN_FAULT):
            return
        reason = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        what = " ".join(word for word in self._what if word)
        logger.warning("the database of chats failed; not done: %s: %s", what, describe_outage(reason))
        raise ChatError("Chats cannot be read or saved now. Try again later.", code="unavailable") from error
