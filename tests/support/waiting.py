"""Waiting for what has no event of its own, for a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["AT_ONCE", "PATIENCE", "eventually"]

AT_ONCE = 10.0
"""Seconds that something may take which happens at once. It takes some milliseconds, and seconds on a machine that does
much else; what it would wait for otherwise (a heartbeat after 15 s, the end of an answer that is held) takes longer."""

PATIENCE = 60.0
"""Seconds after which a test gives up what has not happened. Only a test that fails waits so long, however busy the
machine is."""

_LOOK_SECONDS = 0.005


async def eventually(look: Callable[[], bool | Awaitable[bool]], *, within: float = PATIENCE) -> None:
    """Return as soon as ``look`` says so.

    Raises:
        TimeoutError: It did not.
    """
    async with asyncio.timeout(within):
        while True:
            seen = look()
            if seen if isinstance(seen, bool) else await seen:
                return
            await asyncio.sleep(_LOOK_SECONDS)
