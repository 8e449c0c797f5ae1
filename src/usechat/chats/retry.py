"""Another try for database work whose connection dropped.

A server that restarts, or a network that cuts a connection, takes the transaction with it. What is given here must be
safe to run again, also when the first run was committed and only the answer got lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from sqlalchemy.exc import DBAPIError

__all__ = ["retry_when_disconnected"]

_PAUSES: Final = (0.0, 0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds before each further try: a database that restarts is back within them."""

ResultT = TypeVar("ResultT")


async def retry_when_disconnected(work: Callable[[], Awaitable[ResultT]]) -> ResultT:
    """What ``work`` gives, tried anew while connections drop.

    Raises:
        DBAPIError: It failed for another reason, or the last try failed as well.
        OSError: The database could not be reached at the last try.
    """
    for pause in _PAUSES:
        try:
            return await work()
        except (DBAPIError, OSError) as error:
            if not _is_disconnect(error):
                raise
        await asyncio.sleep(pause)
    return await work()


def _is_disconnect(error: DBAPIError | OSError) -> bool:
    # What took too long once would do so again.
    return error.connection_invalidated if isinstance(error, DBAPIError) else not isinstance(error, TimeoutError)
