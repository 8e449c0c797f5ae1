"""A run in memory: its frames and the readers that wait for more.

A reader that has caught up waits on a future that the next write resolves: no task, queue or lock for each reader. A
slow reader costs only its place. A run's frames are one piece of memory with the places where entries end: an object
for each entry would take as much again as its frames.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final

import msgspec

from usechat.errors import RunError
from usechat.runs.log import EndState, Entry, Limits, RunInfo, Save

__all__ = ["PIECE_BYTES", "MemoryRun", "Place", "exists", "missing", "unavailable"]

PIECE_BYTES: Final = 32 * 2**10
"""The most bytes of one piece for a reader that is behind. A piece is a copy, and a reader that does not read holds its
piece, which some copy again, for as long as it stays."""


def missing() -> RunError:
    """Return the error of a run that is not kept."""
    return RunError("there is no such run", code="missing")


def exists() -> RunError:
    """Return the error of a chat that has a run already."""
    return RunError("the chat has an answer in the making", code="exists")


def unavailable() -> RunError:
    """Return the error of a log that is away."""
    return RunError("the run log cannot be reached", code="unavailable")


class Place:
    """A reader's place in a run.

    Args:
        position: The number of entries that the reader has; negative counts as 0.
    """

    __slots__ = ("position",)

    def __init__(self, position: int = 0) -> None:
        self.position = max(position, 0)


class MemoryRun:
    """A run: its frames and its waiting readers. A `RunWriter`.

    Args:
        info: The run.
        limits: The limits of the log.
        on_end: Called once when the run has ended.
    """

    def __init__(self, info: RunInfo, limits: Limits, on_end: Callable[[MemoryRun], None] | None = None) -> None:
        self.info = info
        self.limits = limits
        self.is_stopped = False
        self.stop_reason: str | None = None
        self.on_stop: Callable[[], None] | None = None
        self.frames: bytearray | bytes = bytearray()
        """All frames."""
        self.ends = array("I")
        """The end of each entry in `frames`."""
        self.is_running = True
        self.is_left = False
        """Whether its readers have left."""
        self.is_full = False
        """Whether the producer must wait; see `RunWriter`."""
        self.ending = b""
        self.failure: RunError | None = None
        self._waiting: list[asyncio.Future[None]] = []
        self._on_end = on_end

    @property
    def is_taken(self) -> bool:
        """Whether another process has the run: never."""
        return False

    def append(self, data: bytes) -> None:
        """Append frames and wake waiting readers.

        Raises:
            RunError: ``fenced`` after the end; ``full`` when the slack after a limit is used up.
        """
        if not self.is_running:
            raise RunError("the run has ended", code="fenced")
        ends = self.ends
        size = len(self.frames) + len(data)
        if len(ends) >= self.limits.max_entries or size > self.limits.max_bytes:
            self._use_slack(size)
        self.frames += data
        ends.append(size)
        if self._waiting:
            self.wake()

    async def room(self) -> None:
        """Return at once: no other process can have the run."""

    def _use_slack(self, size: int) -> None:
        limits = self.limits
        self.ask_to_stop("full")
        is_over = len(self.ends) >= limits.max_entries + limits.slack_entries
        if is_over or size > limits.max_bytes + limits.slack_bytes:
            raise RunError("the run's log is full", code="full")

    def wake(self) -> None:
        """Wake waiting readers."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def since(self, first: int, last: int | None = None) -> bytes:
        """Return the frames of the entries from ``first`` to ``last``, or to the newest."""
        start, end = self.end_of(first), None if last is None else self.end_of(last)
        return self.copy(start, end)

    def copy(self, start: int, end: int | None) -> bytes:
        """Return the bytes of the frames between two places."""
        return bytes(memoryview(self.frames)[start:end])

    def end_of(self, count: int) -> int:
        """Return the size in bytes of the first ``count`` entries."""
        return self.ends[count - 1] if count else 0

    async def finish(self, state: EndState, save: Save | None = None) -> bool:
        """End the run. Return whether it was still running."""
        if self.is_running and save is not None:
            await save()
        return self.end(state)

    def end(self, state: EndState, data: bytes = b"") -> bool:
        """End the run with last frames for every reader. Return whether it was still running."""
        if not self.is_running:
            return False
        self.is_running = False
        self.ending = data
        self.info = msgspec.structs.replace(self.info, state=state)
        # Give back the room to grow.
        self.frames, self.ends = bytes(self.frames), self.ends[:]
        self._stop()
        self.wake()
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end(self)
        return True

    def fail(self, error: RunError) -> None:
        """End the run for its readers, if it has not ended: later frames cannot be had."""
        if self.is_running:
            self.failure = error
            self.end("lost")

    def ask_to_stop(self, reason: str | None) -> bool:
        """Ask the producer to stop, once. Return whether there is one."""
        if self.is_running and not self.is_stopped:
            self.stop_reason = reason
            self._stop()
        return self.is_running

    def _stop(self) -> None:
        self.is_stopped = True
        on_stop, self.on_stop = self.on_stop, None
        if on_stop is not None:
            on_stop()

    def readable(self) -> int:
        """Return the number of entries that readers may have."""
        return len(self.ends)

    async def read(self, place: Place) -> AsyncGenerator[Entry]:
        """Yield the frames after the reader's place and move it. Frames that came meanwhile are one entry, or a few.

        Raises:
            RunError: The error that `fail` was given.
        """
        loop = asyncio.get_running_loop()
        while True:
            readable = self.readable()
            first = place.position
            if first < readable:
                # As `end_of` and `copy` do, without calls: this is done for each delta.
                ends = self.ends
                start, end = ends[first - 1] if first else 0, ends[readable - 1]
                if end - start > PIECE_BYTES:
                    readable = bisect_right(ends, start + PIECE_BYTES, first + 1, readable)
                    end = ends[readable - 1]
                    while end - start > PIECE_BYTES:
                        yield Entry(first, self.copy(start, start + PIECE_BYTES), is_cut=True)
                        start += PIECE_BYTES
                place.position = readable
                yield Entry(readable, bytes(memoryview(self.frames)[start:end]))
            elif self.is_running:
                future = loop.create_future()
                self._waiting.append(future)
                try:
                    await future
                except BaseException:
                    with suppress(ValueError):
                        self._waiting.remove(future)
                    raise
            else:
                break
        if self.failure is not None:
            raise self.failure
        if self.ending:
            place.position = len(self.ends) + 1
            yield Entry(place.position, self.ending, is_end=True)
