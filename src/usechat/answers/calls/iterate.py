"""Iterate over the outputs of a tool that is a generator, async or plain."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Generator
from typing import Any

import anyio.to_thread

__all__ = ["as_generator", "iterate_on_thread"]


async def as_generator(outputs: AsyncIterable[Any]) -> AsyncGenerator[Any]:
    """Yield the items of ``outputs``. Closing this generator closes ``outputs`` when that has ``aclose``."""
    try:
        async for output in outputs:
            yield output
    finally:
        if isinstance(outputs, AsyncGenerator):
            await outputs.aclose()


END = object()


async def iterate_on_thread(values: Generator[Any]) -> AsyncGenerator[Any]:
    """Yield a plain generator's values. Each one is made on a thread."""
    is_over = threading.Event()
    running = threading.Lock()
    # One context for all steps: the generator finds in the next step what it set in the last.
    context = contextvars.copy_context()

    def step() -> Any:
        with running:
            value = context.run(next, values, END)
        if is_over.is_set():
            close()
        return value

    def close() -> None:
        # A generator that is running on its thread cannot be closed from elsewhere; that thread closes it.
        if running.acquire(blocking=False):
            try:
                context.run(values.close)
            finally:
                running.release()

    try:
        while (value := await anyio.to_thread.run_sync(step, abandon_on_cancel=True)) is not END:
            yield value
    finally:
        is_over.set()
        await anyio.to_thread.run_sync(close, abandon_on_cancel=True)
