"""Contains what an application's code raises, so that only its own answer fails.

asyncio lets `SystemExit`, which ``sys.exit`` and argparse raise, end the whole event loop when it leaves a task, and so
every stream on it. Other exceptions that are no `Exception` (the panic of a Rust extension, a `BaseExceptionGroup`)
pass every ``except Exception``, and whoever waits for their task waits for ever. So none of them leaves the code that
calls the application. Knows no answer and no protocol.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, cast

from usechat.errors import ApplicationError

__all__ = [
    "Contained",
    "contained",
    "describe_error",
    "exception_for",
    "is_being_cancelled",
    "original_error",
]

CAUSES_TOLD = 5
"""How many of an exception group are told in its text."""
_MAX_TEXT = 4000
"""Characters of an error's text in a log line."""


class Contained:
    """Turn what the application raises in this block and is no `Exception` into an `ApplicationError`.

    `KeyboardInterrupt` passes, and so does the cancellation of the task itself. A `CancelledError` that nobody
    requested is an error like others.
    """

    __slots__ = ("task",)

    def __enter__(self) -> None:
        """Remember the current task."""
        self.task = _current_task()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the error that takes the original's place."""
        if error is not None and (raised := contained(error, self.task)) is not error:
            raise raised from error


def contained(error: BaseException, task: asyncio.Task[Any] | None) -> Exception:
    """Return the exception that `Contained` raises in place of ``error``.

    Args:
        error: What was raised.
        task: The task in which the application was called.

    Raises:
        BaseException: ``error`` itself, when the task is cancelled or closed, or the process is to end.
    """
    if isinstance(error, Exception):
        return error
    # A coroutine that is dropped before its end is closed from outside of its task.
    is_closed = isinstance(error, GeneratorExit) and task is not _current_task()
    is_cancelled = isinstance(error, asyncio.CancelledError) and is_being_cancelled()
    if is_closed or is_cancelled or isinstance(error, KeyboardInterrupt):
        try:
            raise error
        finally:
            # It refers to this frame, which must not refer to it.
            del error
    return ApplicationError(error)


def is_being_cancelled() -> bool:
    """Return whether this task is being cancelled. If not, a `CancelledError` comes from the code it called."""
    task = _current_task()
    return task is not None and task.cancelling() > 0


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def original_error(error: BaseException) -> BaseException:
    """Return the original of an `ApplicationError`, or the error itself."""
    return error.error if isinstance(error, ApplicationError) else error


def exception_for(error: BaseException) -> Exception:
    """Return an error that is safe to raise in another task: itself, or an `ApplicationError`."""
    return error if isinstance(error, Exception) else ApplicationError(error)


def describe_error(error: BaseException) -> str:
    """Return an exception's text; its class's name where it has no text, or cannot write it.

    What is no `Exception` says little without its class: the text of ``SystemExit(2)`` is ``2``.
    """
    name = type(error).__name__
    try:
        with Contained():
            text = str(error)
    except Exception:  # noqa: BLE001 - an exception that cannot be written is reported all the same
        return name
    if isinstance(error, BaseExceptionGroup):
        # Its own text says only how many there are.
        causes = cast("BaseExceptionGroup[BaseException]", error).exceptions
        more = [f"and {len(causes) - CAUSES_TOLD} more"] if len(causes) > CAUSES_TOLD else []
        text = f"{error.message}: " + "; ".join([*map(describe_error, causes[:CAUSES_TOLD]), *more])
    if len(text) > _MAX_TEXT:
        # It goes into log lines, and may repeat what somebody else has sent.
        text = f"{text[:_MAX_TEXT]} … ({len(text) - _MAX_TEXT} more characters)"
    if isinstance(error, Exception):
        return text or name
    return f"{name}: {text}" if text else name
