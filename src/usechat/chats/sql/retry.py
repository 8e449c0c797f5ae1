"""Retries database work that failed because the connection or the server did.

A server that restarts, or a network that cuts a connection, ends the transaction. So does a server that resolves a
deadlock. The work must be safe to run again, also when the first run was committed and only the reply was lost.

Source: PostgreSQL 15, appendix A (error codes).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError

__all__ = ["PAUSES", "is_read_only", "retry_when_cut"]

PAUSES: Final = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0)
"""Seconds before each further try: a database that restarts is back within them."""

_PASSING_STATES: Final = (
    "08",  # the connection broke, or could not be made
    "40001",  # a conflict with another transaction
    "40P01",  # a deadlock
    "53300",  # too many connections
    "57P01",  # shutting down
    "57P02",  # crashed
    "57P03",  # starting up
)
"""Prefixes of PostgreSQL's error codes that do not depend on the statement."""

_READ_ONLY: Final = "25006"
"""The connection is to a standby, or was made while the database took no writes; a new one may be better."""
_READ_ONLY_TRIES: Final = 3

ResultT = TypeVar("ResultT")


async def retry_when_cut(work: Callable[[], Awaitable[ResultT]], pauses: Sequence[float] = PAUSES) -> ResultT:
    """Run ``work`` and return its result. Try again while connections drop or the database is not ready.

    Raises:
        DBAPIError: It failed for another reason, or the last try failed as well.
        OSError: The database could not be reached at the last try.
    """
    for tries, pause in enumerate(pauses, 1):
        try:
            return await work()
        except (DBAPIError, OSError) as error:
            if not _is_passing(error) and not (is_read_only(error) and tries < _READ_ONLY_TRIES):
                raise
        await asyncio.sleep(pause)
    return await work()


def _is_passing(error: DBAPIError | OSError) -> bool:
    if isinstance(error, OSError):
        # Work that timed out would time out again, and a refused login would be refused again.
        return not isinstance(error, TimeoutError | PermissionError)
    state = getattr(error.orig, "sqlstate", None) or ""
    return error.connection_invalidated or state.startswith(_PASSING_STATES)


def is_read_only(error: DBAPIError | OSError) -> bool:
    """Return whether the connection takes no writes."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _READ_ONLY
