"""What an application's code raises harms nothing but the answer it was called for.

asyncio lets `SystemExit`, which ``sys.exit`` and argparse raise, end the whole event loop when it leaves a task, and so
every stream on it. Other exceptions that are no `Exception` (the panic of a Rust extension, a `BaseExceptionGroup`)
pass every ``except Exception``, and what waits for their task waits on. So none of them leaves the code that calls the
application. Knows no answer and no protocol.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

from usechat.errors import ApplicationError

__all__ = [
    "Contained",
    "contained",
    "describe_error",
    "exception_for",
    "is_being_cancelled",
    "original_error",
]


_MAX_TEXT = 4000


class Contained:
    """Within it, call the application: what that raises and is no `Exception` becomes an `ApplicationError`.

    `KeyboardInterrupt` passes, and so does the cancellation of the task itself. A `CancelledError` that nobody asked
    for is an error like others.
    """

    __slots__ = ("task",)

    def __enter__(self) -> None:
        """Remember whose task it is."""
        self.task = _current_task()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise what is to be raised in the error's place."""
        if error is not None and (raised := contained(error, self.task)) is not error:
            raise raised from error


def contained(error: BaseException, task: asyncio.Task[Any] | None) -> Exception:
    """Return the exception to go on with where the application raised ``error``: what `Contained` would raise.

    Args:
        error: What was raised.
        task: The one in which the application was called.

    Raises:
        BaseException: ``error`` itself, where it has to go on: the task is cancelled or closed, or all is to end.
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
    """Return whether somebody cancels this task; otherwise a `CancelledError` in it comes from what it called."""
    task = _current_task()
    return task is not None and task.cancelling() > 0


def _current_task() -> asyncio.Task[Any] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def original_error(error: BaseException) -> BaseException:
    """Return what the application raised, where an `ApplicationError` stands for it."""
    return error.error if isinstance(error, ApplicationError) else error


def exception_for(error: BaseException) -> Exception:
    """Return an error to be raised in somebody else's task: itself, or the `ApplicationError` that stands for it."""
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
    if len(text) > _MAX_TEXT:
        # It goes into log lines, and may repeat what somebody else has sent.
        text = f"{text[:_MAX_TEXT]} … ({len(text) - _MAX_TEXT} more characters)"
    if isinstance(error, Exception):
        return text or name
    return f"{name}: {text}" if text else name
