"""Where a driver hands what an answer brings. A reader's frames are another output, at the HTTP edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from usechat.guard import exception_for
from usechat.parts import Part
from usechat.protocol.shaping import Shaped

__all__ = ["Handover", "Nowhere", "Output"]


class Output(Protocol):
    """Takes an answer as it is made."""

    def begin(self) -> None:
        """Take note that the answer begins."""
        ...

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Take what came together.

        Args:
            parts: The parts as they were made.
            shaped: What the answer's shaper makes of them.
        """
        ...

    @property
    def is_full(self) -> bool:
        """Whether the reader is so far behind that the answer has to wait."""
        ...

    async def room(self) -> None:
        """Wait while it is full."""
        ...

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Take the last of it, after which nothing comes.

        Args:
            parts: An `Abort`, an `Error`, or nothing.
            shaped: What the end adds to what was shown.
            failure: What kept the answer from being made or sent.
        """
        ...


class Nowhere:
    """The output of an answer that nobody reads: what came of it is awaited."""

    is_full = False

    def begin(self) -> None:
        """Do nothing."""

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Do nothing."""

    async def room(self) -> None:
        """There always is."""

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Do nothing."""


class Handover:
    """The output of an answer that the application iterates over: nothing is made before it asks for more."""

    def __init__(self) -> None:
        self._parts: list[Part] = []
        self._failure: BaseException | None = None
        self._is_over = False
        self._has_come = asyncio.Event()
        self._is_wanted = asyncio.Event()

    def begin(self) -> None:
        """Do nothing."""

    is_full = True
    """Each batch is waited for."""

    def write(self, parts: list[Part], shaped: Sequence[Shaped]) -> None:
        """Hand over a batch."""
        self._parts += parts
        self._is_wanted.clear()
        self._has_come.set()

    async def room(self) -> None:
        """Wait until the next batch is asked for."""
        await self._is_wanted.wait()

    def end(self, parts: list[Part], shaped: Sequence[Shaped], failure: BaseException | None) -> None:
        """Hand over the last batch, or the failure."""
        self._parts += parts if failure is None else []
        self._failure = failure
        self._is_over = True
        self._has_come.set()

    async def read(self) -> AsyncGenerator[list[Part]]:
        """Yield the batches.

        Raises:
            Exception: What kept the answer from being made.
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
