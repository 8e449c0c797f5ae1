"""Shutdown: no new answer begins, running ones get some seconds, then they end."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Final

__all__ = ["CLOSING_SECONDS", "STOP_SIGNALS", "stopping"]

CLOSING_SECONDS: Final = 2
"""Time for answers to send their ends, before the server cuts them."""
STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stopping(refuse_new: Callable[[], None], end_running: Callable[[], None], seconds: float) -> Generator[None]:
    """Call one function at the signal that stops the server, and another some seconds later.

    An application hears of its end only after the last answer (ASGI lifespan, 3.0), which is too late to end one. So
    this listens in beside the server, which keeps its own handling of the signal. Only the main thread can; in another
    one (a test's, a serverless platform's) nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}

    def begin() -> None:
        refuse_new()
        loop.call_later(seconds, end_running)

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(begin)
        servers = before[signal.Signals(number)]
        if callable(servers):
            servers(number, frame)

    for number, servers in before.items():
        if callable(servers):
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, servers in before.items():
            # One that was not set from Python is None, which cannot be set.
            if callable(servers):
                signal.signal(number, servers)
