"""Reads a foreign stream to its end, and closes it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from usechat.adapters.progress import AnswerProgress
from usechat.parts import FinishReason, Part

__all__ = ["closing", "read_answer", "read_stream"]


async def read_stream(
    stream: AsyncIterable[Any], answer: AnswerProgress, read: Callable[[Any], None]
) -> AsyncGenerator[Part]:
    """Yield the parts of a stream.

    Args:
        stream: The stream.
        answer: Gathers the parts.
        read: Reads one item into ``answer``.

    Raises:
        Exception: Those of the stream, after the end of the open step.
    """
    try:
        async with closing(stream) as items:
            async for item in items:
                read(item)
                for part in answer.take():
                    yield part
    except Exception:
        if answer.step is not None:
            answer.note(finish_reason=FinishReason("error"))
        answer.end_step()
        for part in answer.take():
            yield part
        raise


async def read_answer(
    stream: AsyncIterable[Any], answer: AnswerProgress, read: Callable[[Any], None]
) -> AsyncGenerator[Part]:
    """Yield the parts of a stream, and the end of its last step; as `read_stream` otherwise."""
    async with aclosing(read_stream(stream, answer, read)) as parts:
        async for part in parts:
            yield part
    answer.end_step()
    for part in answer.take():
        yield part


@asynccontextmanager
async def closing(stream: Any) -> AsyncGenerator[AsyncIterator[Any]]:
    """Yield the stream's iterator, and close both at the end.

    An asynchronous generator is closed by ``aclose``; a stream of the ``openai`` package has a connection, which only
    its own ``close`` gives back. What is no iterator yet is entered to get one.
    """
    if not hasattr(stream, "__aiter__") and hasattr(stream, "__aenter__"):
        async with stream as entered, closing(entered) as iterator:
            yield iterator
        return
    iterator = aiter(stream)
    try:
        yield iterator
    finally:
        for each, name in ((iterator, "aclose"), (stream, "aclose"), (stream, "close")):
            function = getattr(each, name, None)
            result = function() if callable(function) else None
            if inspect.isawaitable(result):
                await result
