"""Work on large requests, done apart from the event loop, so that nobody else waits for it.

Small requests, which nearly all are, are worked on where they are: a hop to a thread would cost them more than it
spares. What is large is said once, by whoever reads the request (`mark_large`); what is done for it later, in whichever
task, finds that in its context. Knows no message and no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Final, TypeVar

__all__ = ["is_large", "mark_large", "work_apart"]

ResultT = TypeVar("ResultT")

_THREADS: Final = 2
"""More would not be faster, as Python runs one at a time, and the event loop would have to wait for each of them."""

_is_large: ContextVar[bool] = ContextVar("usechat_is_large", default=False)
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="usechat-large")


def mark_large() -> None:
    """Note that what is done in this context, from now on, is done for a large request."""
    _is_large.set(True)


def is_large() -> bool:
    """Whether the request that is being answered is large."""
    return _is_large.get()


async def work_apart(work: Callable[[], ResultT]) -> ResultT:
    """Return what the work gives; for a large request it is done in a thread, with the context of the caller.

    The work must not touch the event loop. A caller that is cancelled does not wait for its end.
    """
    if not _is_large.get():
        return work()
    return await asyncio.get_running_loop().run_in_executor(_pool, copy_context().run, work)
