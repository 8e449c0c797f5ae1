"""Work on large requests, done apart from the event loop, so that nobody else waits for it.

Small requests, which nearly all are, are worked on where they are: a hop to a thread would cost them more than it
spares. What is large is said once, by whoever reads the request (`mark_large`); what is done for it later, in whichever
task, finds that in its context. Knows no message and no HTTP.
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
"""More would not be faster, as Python runs one at a time, and the event loop would have to wait for each of them."""

_SWITCH_SECONDS: Final = 0.0005
"""After how long a thread gives way to the event loop. Python's 5 ms come on top of each read and write of a socket."""

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
    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(_pool, lambda: context.run(_work_aside, work))


class _GivingWay:
    """While any thread is within, threads give way to others sooner, and the garbage collector waits.

    A large request is many objects, none of them garbage. The collector would look through all of them again and again
    while they become more, and nothing else can run meanwhile.
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
