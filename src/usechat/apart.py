"""Runs the work of large requests in threads, so that other requests do not wait for it.

Nearly all requests are small, and their work runs in place: a hop to a thread would cost more than it saves. The code
that reads a large request marks its context once (`mark_large`). Later work for the request, in any task, finds the
mark there. Knows no message and no HTTP.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Final, TypeVar

__all__ = ["is_large", "mark_large", "work_apart"]

ResultT = TypeVar("ResultT")

_THREADS: Final = 2
"""More threads would not be faster: Python runs one thread at a time, and the event loop waits for each."""

_SWITCH_SECONDS: Final = 0.0005
"""Seconds after which a thread gives way to the event loop. Python's 5 ms would delay each use of a socket."""

_is_large: ContextVar[bool] = ContextVar("usechat_is_large", default=False)
_pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="usechat-large")


def mark_large() -> None:
    """Mark the current context as work for a large request."""
    _is_large.set(True)


def is_large() -> bool:
    """Return whether the current context works for a large request."""
    return _is_large.get()


async def work_apart(work: Callable[[], ResultT]) -> ResultT:
    """Run the work and return its result. For a large request, run it in a thread with the caller's context.

    The work must not touch the event loop. A cancelled caller does not wait for the end of the work.
    """
    if not _is_large.get():
        return work()
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: context.run(_work_aside, work))


class _GivingWay:
    """A block in which threads give way sooner and the garbage collector pauses.

    A large request makes many objects, none of them garbage. The collector would scan all of them again and again while
    their number grows, and nothing else runs during a scan.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._interval = 0.0
        self._collects = False

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._interval, self._collects = sys.getswitchinterval(), gc.isenabled()
                sys.setswitchinterval(min(self._interval, _SWITCH_SECONDS))
                gc.disable()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside:
                return
            sys.setswitchinterval(self._interval)
            if self._collects:
                gc.enable()


_giving_way: Final = _GivingWay()


def _work_aside(work: Callable[[], ResultT]) -> ResultT:
    with _giving_way:
        return work()
