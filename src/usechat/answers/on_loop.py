"""Calls of other threads, made on the event loop that they concern."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

__all__ = ["handed_over"]


def handed_over(task: asyncio.Task[Any] | None, call: Callable[..., object], *arguments: object) -> bool:
    """Have the event loop of a task make a call, if another thread asks for it. Return whether that is so.

    A task that is cancelled from another thread hears of it when its event loop next has something to do.
    """
    if task is None or task.get_loop() is current_loop():
        return False
    with suppress(RuntimeError):  # The loop is closed, and the task over.
        task.get_loop().call_soon_threadsafe(call, *arguments)
    return True


def current_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
