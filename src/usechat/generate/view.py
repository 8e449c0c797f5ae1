"""What is made of an answer on its way to one reader.

A view has plain methods only, so that nothing stands between the source of an answer's parts and its reader but one
generator, `usechat.generate.answer.Answer.through`, whatever the reader wants to see.
"""

from __future__ import annotations

from typing import NoReturn, Protocol, TypeVar

from usechat.guard import exception_for
from usechat.parts import Part
from usechat.protocol.shaping import Shaped

__all__ = ["Batches", "View"]

T_co = TypeVar("T_co", covariant=True)


class View(Protocol[T_co]):
    """Makes pieces of an answer's parts, in their order."""

    def begin(self) -> T_co | None:
        """What comes before the first part; None for nothing."""
        ...

    def feed(self, batch: list[Part], shaped: list[Shaped]) -> T_co:
        """Return the piece for some parts; a falsy one is left out.

        Args:
            batch: The parts as the answer's source made them.
            shaped: What the answer's shaper makes of them.
        """
        ...

    def fail(self, error: BaseException) -> T_co:
        """The piece that says that the answer cannot be shown to its end.

        Raises:
            Exception: ``error``, where the reader is to get it.
        """
        ...

    def finish(self) -> T_co | None:
        """What comes after the last part; None for nothing."""
        ...


class Batches:
    """The parts as they are, in the batches that they came in."""

    def begin(self) -> None:
        """Nothing."""

    def feed(self, batch: list[Part], shaped: list[Shaped]) -> list[Part]:
        """The batch, for an application to see."""
        return batch

    def fail(self, error: BaseException) -> NoReturn:
        """Raise it."""
        raise exception_for(error)

    def finish(self) -> None:
        """Nothing."""
