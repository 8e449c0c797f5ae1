"""What a turn asks of its driver, as values. A turn calls nothing and waits for nothing itself.

A script is a plain generator that yields asks and is sent the answers; a failed ask is raised where it was yielded. So
every rule of an answer reads from top to bottom, and is tested without an event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import msgspec

from usechat.models.base import Model, ModelCall

if TYPE_CHECKING:
    from usechat.answers.calls.execute import Execution, MakeContext

__all__ = ["Ask", "Call", "CallModel", "Open", "RunTools", "Script", "Stream"]

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True):
    """Call a function of the application's, and await what it returns where that can be awaited. Answered with that."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...] = ()


class CallModel(msgspec.Struct, frozen=True):
    """Begin a model call. What it brings is asked for with `Stream.READ`."""

    model: Model
    call: ModelCall


class RunTools(msgspec.Struct, frozen=True):
    """Begin to run tools. What they show is asked for with `Stream.READ`.

    Answered with the results for the model, by call, which are complete when nothing more comes.
    """

    executions: Sequence[Execution]
    make_context: MakeContext
    on_error: Callable[[BaseException], str | None]


class Open(msgspec.Struct, frozen=True):
    """Begin a stream of batches of the application's. What it brings is asked for with `Stream.READ`."""

    function: Callable[[], AsyncIterator[Any]]


class Stream(Enum):
    """What is asked of the stream that was begun last and has not ended."""

    READ = "the next batch"
    """Answered with a batch of parts, or with None at its end."""
    CLOSE = "no more of it"
    """Have it closed now. Needed for one that has not ended."""


Ask: TypeAlias = Call | CallModel | RunTools | Open | Stream
Script: TypeAlias = Generator[Ask, Any, T]
