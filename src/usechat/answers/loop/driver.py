"""The driver: execute a turn's asks with plain ``await`` and yield the answer's parts.

Everything that can wait or raise is called here: the model, the tools and the application's functions. Their errors go
to the turn, which decides what follows. Knows no HTTP, no wire format and no message.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, assert_never

from usechat.answers.calls.execute import ToolRunner
from usechat.answers.loop.asks import READ, Ask, Call, CallModel, Open, RunTools, Stream
from usechat.answers.loop.deadline import Deadline
from usechat.answers.loop.time_limits import TimeLimits
from usechat.answers.loop.turn import Turn
from usechat.answers.writer.valid_parts import ValidBatches
from usechat.guard import Contained, contained, is_being_cancelled
from usechat.parts import Part

__all__ = ["call", "close", "read_turn"]

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""Seconds that a stream may take to close. The answer then ends without it."""


async def read_turn(turn: Turn) -> AsyncGenerator[list[Part]]:
    """Yield an answer's parts in the batches in which they come. Closing the generator stops the model and the tools.

    Raises:
        Exception: An error that the turn does not handle. Never a bare `BaseException` of the application.
    """
    # The one that ends first is the last; tools run while a model's stream is open.
    streams: list[AsyncIterator[Any]] = []
    limits = TimeLimits(turn.timeout, asyncio.get_running_loop().time)
    deadline = Deadline()
    task = asyncio.current_task()
    try:
        ask = turn.begin()
        while ask is not None:
            if turn.parts:
                yield turn.take()
            try:
                result = await execute_in_time(ask, streams, limits, deadline)
            except BaseException as error:  # noqa: BLE001 - the turn decides what follows
                # Keep no reference in this frame: the error's traceback refers to the frame, which would be a cycle.
                failure = contained(error, task)
                if is_being_cancelled():
                    # The application raised its own error in place of the cancellation; the answer must still end.
                    raise asyncio.CancelledError from None
            else:
                # The ask may hold the whole conversation: free it.
                ask = turn.go_on(result)
                continue
            ask = turn.fail(failure)
            del failure
        if turn.parts:
            yield turn.take()
    finally:
        deadline.close()
        turn.end()
        while streams:
            await close(streams.pop())


async def execute_in_time(ask: Ask, streams: list[AsyncIterator[Any]], limits: TimeLimits, deadline: Deadline) -> Any:
    """Execute an ask within the time limits and return its result.

    Raises:
        AnswerTimeoutError: The ask takes longer than the answer may.
    """
    stream = streams[-1] if ask is READ else None
    deadline.begin(limits.until(stream))
    try:
        if stream is None:
            return await execute(ask, streams, limits)
        try:
            # Without a default, which would be one more object for the event loop to pass through with each delta.
            batch = await anext(stream)
        except StopAsyncIteration:
            batch = None
    except asyncio.CancelledError:
        if deadline.has_cancelled():
            raise limits.error() from None
        raise
    finally:
        deadline.end()
    if batch is None:
        await close(streams.pop())
    elif not limits.has_content:
        limits.feed(batch, stream)
    return batch


async def execute(ask: Ask, streams: list[AsyncIterator[Any]], limits: TimeLimits) -> Any:
    """Execute an ask other than a read."""
    match ask:
        case Call(function, arguments):
            # Let other tasks run: there may be many of these, each after a signature check.
            await asyncio.sleep(0)
            return await call(function, *arguments)
        case CallModel(model, model_call):
            stream = model.stream(limits.begin_call(model, model_call))
            # Parts of the package's own models are not validated: each delta would cost time.
            is_own = getattr(model, "parts_are_valid", False)
            streams.append(aiter(stream) if is_own else ValidBatches(stream, "a model's stream"))
            limits.stream = streams[-1]
        case RunTools(executions, make_context, on_error, concurrency, tell, watch, chat_id):
            options: dict[str, Any] = {"concurrency": concurrency, "tell": tell, "watch": watch, "chat_id": chat_id}
            runner = ToolRunner(make_context, on_error, **options)
            streams.append(runner.run(executions))
            return runner.outcomes
        case Open(function):
            streams.append(function())
        case Stream.CLOSE:
            while streams:
                await close(streams.pop())
        case Stream.READ:
            raise AssertionError("`execute_in_time` reads")
        case _:
            assert_never(ask)
    return None


async def call(function: Any, *arguments: Any) -> Any:
    """Call a function of the application. Await the result when it is awaitable.

    Raises:
        Exception: The function's error; an `ApplicationError` in place of one that is no `Exception`.
    """
    with Contained():
        result = function(*arguments)
        return await result if inspect.isawaitable(result) else result


async def close(stream: Any, seconds: float | None = None) -> None:
    """Close an async iterator. Log its errors instead of raising them.

    Args:
        stream: The iterator.
        seconds: The time limit; `CLOSE_SECONDS` by default.
    """
    aclose = getattr(stream, "aclose", None)
    # A generator without a frame has ended by itself.
    if aclose is None or getattr(stream, "ag_frame", stream) is None:
        return
    try:
        async with asyncio.timeout(CLOSE_SECONDS if seconds is None else seconds):
            with Contained():
                await aclose()
    except asyncio.CancelledError:
        # The answer is being stopped, and this close is part of that.
        logger.debug("closing a stream of an answer was cancelled")
    except Exception:
        logger.exception("closing a stream of an answer failed")
