"""The straight way of a delta: while a reader waits, what comes for it is handed on by plain calls, and no task wakes.

To wake a task, and to resume each coroutine and generator down to the one that waits, costs more than all that is done
with a delta. So whoever waits may name a taker, which is offered what comes meanwhile. What it takes, nobody else sees;
with what it refuses, the one who waits is woken as ever. Every stage can therefore refuse what it has no plain way for
(the begin and the end of a block, a reader that is slow), and all that is rare stays in coroutines.

Rule 1: a taker is asked only while the one who waits does wait, so that nothing overtakes anything.
Rule 2: a taker raises nothing. What goes wrong in it is kept for the one who waits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

__all__ = ["Divertible", "Sink", "Taker"]

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)

Taker: TypeAlias = Callable[[T], bool]
"""Is offered what has come; returns whether it took it. If not, whoever waits is woken with it."""


class Sink(Protocol[T_contra]):
    """Where the straight way ends: the reader's connection, or a run's log."""

    @property
    def is_ready(self) -> bool:
        """Whether it can take a piece now. False for instance while the reader's connection is full."""
        ...

    def push(self, piece: T_contra) -> None:
        """Take a piece. Only to be called while it is ready."""
        ...


@runtime_checkable
class Divertible(Protocol):
    """An iterator whose reader can do without being woken."""

    def divert(self, taker: Taker[list[Any]]) -> None:
        """From now on offer each batch to ``taker`` first, while somebody waits for it.

        Batches may then hold a `usechat.parts.DeltaRun` in place of deltas.
        """
        ...
