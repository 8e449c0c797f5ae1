"""The run log in memory, for a single worker. The log on Redis uses its runs too.

A reader that has caught up waits on a future that the next write resolves: no task, queue or lock for each reader. A
slow reader costs only its place. A run's frames are one piece of memory with the places where entries end: an object
for each entry would take as much again as its frames.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from array import array
from bisect import bisect_right
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec

from usechat.errors import RunError
from usechat.ids import generate_id
from usechat.runs.line import MemoryLine
from usechat.runs.log import EndState, Entry, Limits, OnRelease, RunInfo, RunWriter, Save

__all__ = ["MemoryLog", "MemoryRun", "Place"]

MAX_RESUMED = 100_000
"""The most chats that are remembered as ones whose client resumes, or as asked for."""
PIECE_BYTES: Final = 32 * 2**10
"""The most bytes of one piece for a reader that is behind. A piece is a copy, and a reader that does not read holds its
piece, which some copy again, for as long as it stays."""


def missing() -> RunError:
    return RunError("there is no such run", code="missing")


def exists() -> RunError:
    return RunError("the chat has an answer in the making", code="exists")


def unavailable() -> RunError:
    return RunError("the run log cannot be reached", code="unavailable")


def remember(chats: dict[str, float], chat_id: str, seconds: float) -> None:
    """Put a chat, with the time until when it counts, at the end of a bounded dict."""
    chats.pop(chat_id, None)
    chats[chat_id] = time.monotonic() + seconds
    while len(chats) > MAX_RESUMED:
        del chats[next(iter(chats))]


def is_remembered(chats: Mapping[str, float], chat_id: str) -> bool:
    return time.monotonic() < chats.get(chat_id, -math.inf)


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


class MemoryLog:
    """The runs of this process, made by ``make_run``. They end with the process, so no producer outlives its lease."""

    is_shared = False
    on_gone: OnRelease | None = None
    on_hurry: Callable[[str], object] | None = None

    def __init__(self, limits: Limits | None = None, make_run: type[MemoryRun] = MemoryRun) -> None:
        self.limits = limits or Limits()
        self._make_run = make_run
        self.line = MemoryLine()
        self.runs: dict[str, MemoryRun] = {}
        self._newest: dict[str, str] = {}
        self._resumed: dict[str, float] = {}
        self._asked: dict[str, float] = {}
        """The chats whose client resumes, or that were asked for, and until when that counts."""
        self._tokens = itertools.count(1)
        self._ended: dict[str, float] = {}
        """When each ended run is forgotten, in that order."""
        self._ended_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    async def open(
        self,
        chat_id: str,
        *,
        owner: str = "",
        headers: Mapping[str, str],
        meta: Mapping[str, Any],
        run_id: str | None = None,
    ) -> RunWriter:
        """Begin a run.

        Raises:
            RunError: ``exists``: the chat has one that is still running.
        """
        current = self.runs.get(self._newest.get(chat_id, ""))
        if current is not None and current.is_running:
            raise exists()
        info = RunInfo(
            id=run_id or generate_id("run"),
            chat_id=chat_id,
            owner=owner,
            token=next(self._tokens),
            created_at=time.time(),
            headers=headers,
            meta=meta,
        )
        run = self._make_run(info, self.limits, self._forget_later)
        self.runs[info.id] = run
        self._newest[chat_id] = info.id
        return run

    async def find(self, chat_id: str) -> RunInfo | None:
        """Return the newest run of a chat, while it is kept."""
        return await self.get(self._newest.get(chat_id, ""))

    async def get(self, run_id: str) -> RunInfo | None:
        """Return a run, while its frames are kept."""
        run = self.runs.get(run_id)
        return None if run is None else run.info

    def read(self, run_id: str, after: int = 0) -> AsyncGenerator[Entry]:
        """Return the run's frames, as they come, to its end.

        Raises:
            RunError: ``missing``: there is no such run, or it is not kept any more.
        """
        run = self.runs.get(run_id)
        if run is None:
            raise missing()
        return run.read(Place(after))

    async def frames(self, run_id: str) -> bytes:
        """Return all frames that the run has now."""
        run = self.runs.get(run_id)
        return b"" if run is None else bytes(run.frames)

    async def stop(self, run_id: str, reason: str | None = None) -> bool:
        """Ask the run's producer to stop. Return whether the run was still running."""
        run = self.runs.get(run_id)
        return run is not None and run.ask_to_stop(reason)

    async def hurry(self, run_id: str) -> None:
        """Do nothing: there is no other process."""

    async def note_resume(self, chat_id: str) -> None:
        """Remember that this chat's client resumes."""
        remember(self._resumed, chat_id, self.limits.remember)

    async def note_asked(self, chat_id: str, seconds: float) -> None:
        """Remember for some seconds that somebody asked for this chat."""
        remember(self._asked, chat_id, seconds)

    async def was_asked(self, chat_id: str) -> bool:
        """Return whether somebody asked for this chat's stream or, a short time ago, for the chat."""
        return is_remembered(self._resumed, chat_id) or is_remembered(self._asked, chat_id)

    async def note_left(self, run_id: str) -> None:
        """Remember that the run's readers have left it."""
        run = self.runs.get(run_id)
        if run is not None:
            run.is_left = True

    async def stop_left(self, info: RunInfo, reason: str | None = None) -> bool:
        """Ask the run's producer to stop if the run is left. Return whether it was and the run was still running."""
        run = self.runs.get(info.id)
        is_left = run is not None and run.is_left and not is_remembered(self._resumed, info.chat_id)
        return run is not None and is_left and run.ask_to_stop(reason)

    async def seconds_unread(self, run_id: str) -> float:
        """Return infinity: there is no other process."""
        return math.inf

    async def seconds_silent(self, run_id: str) -> float | None:
        """Return 0 for a run that is running: its producer is this process. None for any other."""
        run = self.runs.get(run_id)
        return 0.0 if run is not None and run.is_running else None

    async def take_lost(self, run_id: str | None = None) -> Sequence[RunInfo]:
        """Return nothing: a producer of this process dies with its log."""
        return ()

    async def end_lost(self, info: RunInfo, data: bytes = b"") -> bool:
        """End a run in its producer's place."""
        run = self.runs.get(info.id)
        if run is not None:
            run.ask_to_stop("lost")
        return run is not None and run.end("lost", data)

    async def resume(self, info: RunInfo, meta: Mapping[str, Any]) -> RunWriter | None:
        """Return None: the frames of a dead process are gone with it."""
        return None

    async def release_readers(self, end: OnRelease) -> None:
        """Do nothing: there is no other process."""

    async def aclose(self) -> None:
        """End all runs and forget them."""
        for run in list(self.runs.values()):
            run.fail(unavailable())
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.runs.clear()
        self._newest.clear()
        self._ended.clear()
        self._ended_bytes = 0

    def _forget_later(self, run: MemoryRun) -> None:
        loop, limits = asyncio.get_running_loop(), self.limits
        self._ended[run.info.id] = loop.time() + limits.keep
        self._ended_bytes += len(run.frames)
        # The newest is kept, however large: its readers may not have the end yet.
        while len(self._ended) > limits.max_ended or (
            self._ended_bytes > limits.max_ended_bytes and len(self._ended) > 1
        ):
            self._forget_first()
        if self._timer is None:
            self._timer = loop.call_later(limits.keep, self._forget_due)

    def _forget_due(self) -> None:
        loop = asyncio.get_running_loop()
        while self._ended and next(iter(self._ended.values())) <= loop.time():
            self._forget_first()
        left = next(iter(self._ended.values()), None)
        self._timer = None if left is None else loop.call_at(left, self._forget_due)

    def _forget_first(self) -> None:
        run_id = next(iter(self._ended))
        del self._ended[run_id]
        run = self.runs.pop(run_id)
        self._ended_bytes -= len(run.frames)
        if self._newest.get(run.info.chat_id) == run_id:
            del self._newest[run.info.chat_id]
