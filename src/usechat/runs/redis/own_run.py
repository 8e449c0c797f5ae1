"""A run of this process, for readers here and for the writer that brings it to Redis."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import msgspec

from usechat.errors import RunError
from usechat.runs.log import EndState, Limits, RunInfo, Save
from usechat.runs.memory.run import MemoryRun

if TYPE_CHECKING:
    from usechat.runs.redis.producer import OwnRuns

__all__ = ["SKIPPED_ENTRIES", "RedisRun", "Write", "Written"]

MAX_BATCH_BYTES = 256 * 2**10
"""The most bytes of one run in a round trip, so that a long backlog does not delay other runs."""

SKIPPED_ENTRIES = 1000
"""Entries without frames between what a dead process had written of a run and what another one goes on with.

Readers may have had frames that never came to Redis. With their cursors, they get all that comes after the gap."""


class Write(msgspec.Struct, frozen=True, array_like=True):
    """A write to a run's log. The end state comes with the last frames only."""

    run_id: str
    chat_id: str
    token: str
    first: int
    last: int
    size: int
    """Bytes of all entries up to the last one."""
    sizes: str
    state: str
    renews: bool
    is_unsaved: bool


class Written(msgspec.Struct, frozen=True, array_like=True):
    """The result of a `Write`."""

    code: Literal["written", "ended", "fenced", "missing", "behind", "hole"]
    entries: int
    stop: str | None = None


class RedisRun(MemoryRun):
    """A run of this process: its frames, and how much of them Redis has."""

    is_shown_at_once = True
    """Whether readers here get frames before Redis has them."""

    def __init__(self, info: RunInfo, limits: Limits, own_runs: OwnRuns) -> None:
        super().__init__(info, limits)
        self.written = 0
        self.end_state: EndState | None = None
        """Set once the producer is done."""
        self.is_ours: bool | None = None
        """Whether the end in Redis is this producer's; None until Redis has an end."""
        self.is_complete = False
        """Whether readers here have its end, whatever Redis has."""
        self.needs_lease = False
        self.is_unsaved = False
        """Whether it has ended and is the only copy of what it made."""
        self.doubts = 0
        """How many times it was doubtful whether the run is still this producer's."""
        self.is_doubtful = False
        self._held: list[bytes] = []
        """Frames for nobody yet: the run may be another process's by now."""
        self._held_size = 0
        self._own_runs = own_runs
        self._settling: set[asyncio.Future[None]] = set()

    def go_on_from(self, copy: MemoryRun) -> None:
        """Take what Redis has of the run, which another process had begun."""
        self.frames, self.ends = bytearray(copy.frames), copy.ends[:]
        self.written = len(self.ends)
        self.ends.extend([len(self.frames)] * SKIPPED_ENTRIES)

    @property
    def is_taken(self) -> bool:
        """Whether another process has the run now, by what Redis says."""
        return self.is_ours is False

    def append(self, data: bytes) -> None:
        """Append frames: at once for readers here, soon in Redis.

        Raises:
            RunError: ``fenced`` once the run was taken away or has ended; ``full``.
        """
        self._own_runs.heartbeat.check()
        if self.is_doubtful and self.is_running:
            self._hold(data)
            return
        super().append(data)
        self._own_runs.notice(self)

    def _hold(self, data: bytes) -> None:
        self._held_size += len(data)
        if self._held_size > self.limits.max_bytes:
            self.ask_to_stop("full")
            raise RunError("the run's log is full", code="full")
        self._held.append(data)

    def doubt(self) -> None:
        """Hand on nothing until Redis says that the run is this producer's."""
        self.doubts += 1
        self.is_doubtful = self.needs_lease = self.is_full = True

    def trust(self) -> None:
        """Hand on what was held."""
        self.is_doubtful = self.is_full = False
        held, self._held, self._held_size = b"".join(self._held), [], 0
        if held and self.is_running:
            # A log that has no room for it has asked its producer to stop.
            with suppress(RunError):
                super().append(held)
            self._own_runs.notice(self)
        self.settle()

    async def finish(self, state: EndState, save: Save | None = None) -> bool:
        """End the run in Redis, however long Redis is away. Readers here do not wait that long.

        The answer is saved first: Redis may be away for ever, or may have given the run to another process. ``save``
        finds out whether another one has saved it.
        """
        if self.is_running:
            self._own_runs.heartbeat.check()
            self.needs_lease = True
            # What is left of the frames goes to Redis meanwhile.
            self._own_runs.notice(self)
            if self.is_doubtful:
                # Another process may be going on with it, and would save more.
                await self._trusted()
            self.is_complete = self.is_shown_at_once and state != "failed" and not self.is_doubtful
        is_saved = save is None or await save()
        if not self.is_running:
            return False
        self.is_unsaved = not is_saved
        await self._trusted()
        if not self.is_running:
            return False
        self.is_complete = self.is_shown_at_once and state != "failed"
        self.end_state = state
        await self._settled(state)
        return self.is_ours is True

    async def room(self) -> None:
        """Wait until Redis has said whose the run is. If it is away for some seconds, the answer goes on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._own_runs.patience):
                while self.is_doubtful and self.is_running:
                    await self._news()
        self.is_full = False

    async def _trusted(self) -> None:
        """Wait until Redis has said whose the run is. If it is away, what is saved is what counts."""
        await self.room()
        if self.is_doubtful:
            self.trust()

    async def _settled(self, state: EndState) -> None:
        """Wait until Redis has everything."""
        self._own_runs.notice(self)
        release = asyncio.get_running_loop().call_later(self._own_runs.patience, self.release, state)
        try:
            while self.is_behind():
                await self._news()
        finally:
            release.cancel()

    def release(self, state: EndState) -> None:
        """Give readers here the end, although Redis does not know of it yet."""
        self.end(state)

    def note_written(self, entries: int) -> None:
        """Record how many entries Redis has."""
        self.written = entries

    async def _news(self) -> None:
        """Wait for the next call of `settle`."""
        future = asyncio.get_running_loop().create_future()
        self._settling.add(future)
        try:
            await future
        finally:
            self._settling.discard(future)

    def settle(self, *, is_ours: bool | None = None) -> None:
        """Record news from Redis and wake `finish`."""
        if is_ours is not None:
            self.is_ours = is_ours
            self.end(self.end_state if is_ours and self.end_state else "lost")
        waiting, self._settling = self._settling, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def fence(self) -> None:
        """Record that another process has the run now."""
        self.ask_to_stop("lost")
        self.settle(is_ours=False)

    def is_behind(self) -> bool:
        """Return whether Redis lacks something that it should have."""
        lacks = self.written < len(self.ends) or self.needs_lease or self.end_state is not None
        return self.is_ours is None and lacks

    def next_write(self) -> tuple[Write, bytes]:
        """Return the next write and its frames."""
        last, first = self.written, self.written
        start = self.end_of(first)
        while last < len(self.ends) and (last == first or self.ends[last] - start <= MAX_BATCH_BYTES):
            last += 1
        places = itertools.pairwise((start, *self.ends[first:last]))
        write = Write(
            run_id=self.info.id,
            chat_id=self.info.chat_id,
            token=str(self.info.token),
            first=first,
            last=last,
            size=self.end_of(last),
            sizes=",".join([str(end - start) for start, end in places]),
            state=self.end_state or "" if last == len(self.ends) else "",
            renews=self.needs_lease,
            is_unsaved=self.is_unsaved,
        )
        return write, self.since(first, last)
