"""Outputs: the destinations of the parts that a driver makes. The HTTP edge has another one, for a reader's frames."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from usechat.guard import exception_for
from usechat.parts import Part
from usechat.protocol.shaping import Shaped

__all__ = ["Handover", "Nowhere", "Output"]


class Output(Protocol):
    """Destination of an answer's parts.

    Implemented by: `Handover`, `Nowhere`, `usechat.http.frames.FrameWriter`.
    """

    def begin(self) -> None:
        """Begin the answer."""
        ...

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Write one batch.

        Args:
            parts: The parts as they were made.
            shaped: The parts from the answer's shaper.
        """
        ...

    @property
    def is_full(self) -> bool:
        """Whether the driver must wait (`room`) before it makes more."""
        ...

    async def room(self) -> None:
        """Wait while the output is full."""
        ...

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Write the last parts and end the output.

        Args:
            parts: An `Abort`, an `Error`, or nothing.
            shaped: The shaped parts that the end adds.
            failure: The error that kept the answer from being made or sent.
        """
        ...


class Nowhere:
    """Output of an answer without a reader: the application awaits a value instead."""

    is_full = False

    def begin(self) -> None:
        """Do nothing."""

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Do nothing."""

    async def room(self) -> None:
        """Return at once: this output is never full."""

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Do nothing."""


class Handover:
    """Output of an answer that the application iterates over. Nothing is made before the application asks for more."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._failure: BaseException | None = None
        self._is_over = False
        self._has_come = asyncio.Event()
        self._is_wanted = asyncio.Event()

    def begin(self) -> None:
        """Do nothing."""

    is_full = True
    """The driver waits after each batch."""

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Write a batch for `read`."""
        self._parts += parts
        self._is_wanted.clear()
        self._has_come.set()

    async def room(self) -> None:
        """Wait until the application asks for the next batch."""
        await self._is_wanted.wait()

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Write the last batch, or the failure, for `read`."""
        self._parts += parts if failure is None else []
        self._failure = failure
        self._is_over = True
        self._has_come.set()

    @property
    def unread(self) -> list[Part]:
        """The parts that `read` has not yielded, because it was closed."""
        return self._parts

    async def read(self) -> AsyncGenerator[list[Part]]:
        """Yield the batches.

        Raises:
            Exception: The error that kept the answer from being made.
        """
        while self._parts or not self._is_over:
            self._is_wanted.set()
            await self._has_come.wait()
            self._has_come.clear()
            if self._is_over:
                self._has_come.set()
            batch, self._parts = self._parts, []
            if batch:
                yield batch
        if self._failure is not None:
            raise exception_for(self._failure)
