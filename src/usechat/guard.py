"""Contains the exceptions of an application's code, so that only its own answer fails.

``sys.exit`` and argparse raise `SystemExit`. When it leaves a task, asyncio ends the whole event loop, and so every
stream on it. Other exceptions that are no `Exception` (the panic of a Rust extension, a `BaseExceptionGroup`) pass
every ``except Exception``, and code that waits for their task waits for ever. So the code that calls the application
lets none of them pass. Knows no answer and no protocol.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, cast

from usechat.errors import ApplicationError, ChatError, RunError

__all__ = [
    "Contained",
    "contained",
    "describe_error",
    "describe_outage",
    "exception_for",
    "is_being_cancelled",
    "original_error",
    "traceback_of",
]

CAUSES_SHOWN = 5
"""The number of exceptions of a group that its text includes."""
_MAX_TEXT = 4000
"""Most characters of an error's text in a log line."""


class Contained:
    """A block that raises an `ApplicationError` for an error of the application that is no `Exception`.

    `KeyboardInterrupt` passes, and so does the cancellation of the task itself. A `CancelledError` without a
    cancellation of the task is an error like others.
    """

    __slots__ = ("task",)

    def __enter__(self) -> None:
        """Remember the current task."""
        self.task = _current_task()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Raise the error that replaces the original."""
        if error is not None and (raised := contained(error, self.task)) is not error:
            raise raised from error


def contained(error: BaseException, task: asyncio.Task[Any] | None) -> Exception:
    """Return the exception that `Contained` raises in place of ``error``.

    Args:
        error: The original.
        task: The task in which the application was called.

    Raises:
        BaseException: ``error`` itself, when the task is cancelled or closed, or the process must end.
    """
    if isinstance(error, Exception):
        return error
    # Python closes a coroutine that is dropped before its end from outside its task.
    is_closed = isinstance(error, GeneratorExit) and task is not _current_task()
    is_cancelled = isinstance(error, asyncio.CancelledError) and is_being_cancelled()
    if is_closed or is_cancelled or isinstance(error, KeyboardInterrupt):
        try:
            raise error
        finally:
            # The error refers to this frame. A reference back would be a cycle.
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
    """Return an exception's text, or the name of its class when it has no text or its ``__str__`` raises.

    The text of an exception that is no `Exception` begins with its class: the text of ``SystemExit(2)`` alone is ``2``.
    """
    name = type(error).__name__
    try:
        with Contained():
            text = str(error)
    except Exception:  # noqa: BLE001 - an exception without a text is reported too
        return name
    if isinstance(error, BaseExceptionGroup):
        # A group's own text has only the number of its exceptions.
        causes = cast("BaseExceptionGroup[BaseException]", error).exceptions
        more = [f"and {len(causes) - CAUSES_SHOWN} more"] if len(causes) > CAUSES_SHOWN else []
        text = f"{error.message}: " + "; ".join([*map(describe_error, causes[:CAUSES_SHOWN]), *more])
    if len(text) > _MAX_TEXT:
        # The text goes into log lines, and may repeat what a client has sent.
        text = f"{text[:_MAX_TEXT]} … ({len(text) - _MAX_TEXT} more characters)"
    if isinstance(error, Exception):
        return text or name
    return f"{name}: {text}" if text else name


def describe_outage(error: BaseException) -> str:
    """Return the text of an error, and of the one that it was raised for, as one line."""
    texts = [describe_error(error)]
    if error.__cause__ is not None:
        texts.append(describe_error(getattr(error.__cause__, "orig", None) or error.__cause__))
    return " ".join(": ".join(text.rstrip(".") for text in texts).split())


def traceback_of(error: BaseException) -> BaseException | None:
    """Return an error as the ``exc_info`` of its log line; None for an outage, whose text says it all."""
    return None if isinstance(error, ChatError | RunError | OSError) else error
