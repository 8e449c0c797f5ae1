"""Asks: a turn's requests to its driver, as values. A turn calls nothing and waits for nothing itself.

A script is a plain generator. It yields asks and is sent their results; the error of an ask is raised at its ``yield``.
So the rules of an answer read from top to bottom and are tested without an event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import AbstractContextManager
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

import msgspec

from usechat.answers.observing import UNOBSERVED, NoteOutput
from usechat.models.base import Model, ModelCall

if TYPE_CHECKING:
    from usechat.answers.calls.execute import Execution, MakeContext, TellOfTool

__all__ = ["READ", "Ask", "Call", "CallModel", "Open", "RunTools", "Script", "Stream"]

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True):
    """Call a function of the application and await an awaitable result. The result is that value."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


class CallModel(msgspec.Struct, frozen=True):
    """Begin a model call. `Stream.READ` reads its parts."""

    model: Model
    call: ModelCall


class RunTools(msgspec.Struct, frozen=True):
    """Begin to run tools. `Stream.READ` reads their parts.

    The result is a `ToolOutcomes`. It is complete at the end of the stream, or when that is closed.
    """

    executions: Sequence[Execution]
    make_context: MakeContext
    on_error: Callable[[BaseException], str | None]
    concurrency: int | None = None
    """The most calls that run at once; None for no limit."""
    tell: TellOfTool | None = None
    """Tells the application of the begin and the end of each call."""
    watch: Callable[[Execution], AbstractContextManager[NoteOutput]] = UNOBSERVED.watch_tool
    """Returns what to enter while a tool runs."""
    chat_id: str | None = None
    """The chat, for log lines."""


class Open(msgspec.Struct, frozen=True):
    """Begin a stream of the application's batches. `Stream.READ` reads them."""

    function: Callable[[], AsyncIterator[Any]]


class Stream(Enum):
    """Asks to the newest stream that has not ended."""

    READ = "the next batch"
    """The result is a batch of parts, or None at the end."""
    CLOSE = "no more of it"
    """Close the stream now. Needed when it has not ended."""


READ: Final = Stream.READ
"""The member itself, for what runs with each delta: Python 3.11 looks one up in an enumeration by a slow way."""

Ask: TypeAlias = Call | CallModel | RunTools | Open | Stream
Script: TypeAlias = Generator[Ask, Any, T]
