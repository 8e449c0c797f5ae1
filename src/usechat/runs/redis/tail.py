"""Follows runs of other processes for readers of this one.

However many readers a run has here, it comes from Redis once: one task waits for new entries of all followed runs,
over one connection, and feeds a copy of each that the readers read as they would a run of their own process. A copy
lives as long as it has readers, and is bounded as the run is.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

import msgspec

from usechat.errors import RunError
from usechat.guard import Contained, describe_outage, traceback_of
from usechat.ids import generate_id
from usechat.runs.log import END_STATES, Limits, OnRelease, RunInfo
from usechat.runs.memory.run import MemoryRun, missing, unavailable
from usechat.runs.redis.client import Backoff, ScriptClient
from usechat.runs.redis.keys import Keys
from usechat.runs.redis.scripts import TOUCH, WAKE

__all__ = ["Copy", "Tail"]

logger = logging.getLogger(__name__)

MAX_BATCHES = 64
"""The most that is fetched of one run at once."""


class Copy(MemoryRun):
    """A copy of another process's run."""

    def __init__(self, info: RunInfo, limits: Limits) -> None:
        super().__init__(info, limits)
        self.readers = 0
        self.missing_since: float | None = None

    def feed(self, stream_id: bytes, fields: Mapping[bytes, bytes]) -> bool:
        """Add one entry of the stream. Return False, and add nothing, when something before it is missing."""
        last, is_end = (int(number) for number in stream_id.split(b"-"))
        if is_end:
            if last != len(self.ends):
                return False
            state = fields[b"e"].decode()
            self.end(next(known for known in END_STATES if known == state), fields[b"d"])
            return True
        batch = read_batch(fields)
        if last - len(batch) > len(self.ends):
            return False
        # A batch that was written again after a broken connection may begin before our end.
        fresh = batch[max(len(batch) - (last - len(self.ends)), 0) :]
        self.extend(fresh)
        return True

    def extend(self, batch: Sequence[bytes]) -> None:
        """Add entries. Limits bind the producer alone."""
        for entry in batch:
            self.frames += entry
            self.ends.append(len(self.frames))
        self.wake()


def read_batch(fields: Mapping[bytes, bytes]) -> list[bytes]:
    """Return the entries in a batch, as the producer made them."""
    frames = fields[b"d"]
    ends = list(itertools.accumulate(int(size) for size in fields[b"s"].split(b",")))
    return [frames[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class Tail:
    """The runs that this process follows."""

    def __init__(
        self, client: ScriptClient, keys: Keys, limits: Limits, find_on_gone: Callable[[], OnRelease | None]
    ) -> None:
        self.client = client
        self.keys = keys
        self.limits = limits
        self.copies: dict[str, Copy] = {}
        self.is_closed = False
        self._find_on_gone = find_on_gone
        self._wake_key = keys.wake(generate_id())
        self._woken = "0-0"
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._touched_at = 0.0

    @asynccontextmanager
    async def follow(self, run_id: str, taken: MemoryRun | None = None) -> AsyncGenerator[MemoryRun]:
        """Give a copy of the run that grows with it. Wait while Redis is away.

        Args:
            run_id: The run.
            taken: What this process has of it, if it made it until another one took it. Where Redis has nothing more of
                it, readers get an end after that.

        Raises:
            RunError: ``missing``; ``unavailable``: this process shuts down.
        """
        is_new = run_id not in self.copies
        info = await self._find(run_id) if is_new else self.copies[run_id].info
        if info is None:
            if taken is None:
                raise missing()
            yield await self._ended(taken)
            return
        if self.is_closed:
            raise unavailable()
        # Another reader may have begun meanwhile.
        copy = self.copies.setdefault(run_id, Copy(info, self.limits))
        copy.readers += 1
        try:
            if is_new:
                await self._wake()
            yield copy
        finally:
            copy.readers -= 1
            if copy.readers == 0:
                del self.copies[run_id]

    async def _ended(self, taken: MemoryRun) -> Copy:
        copy = Copy(taken.info, self.limits)
        copy.frames, copy.ends = bytearray(taken.frames), taken.ends[:]
        await self._end_gone(copy)
        return copy

    async def _find(self, run_id: str) -> RunInfo | None:
        backoff, began = Backoff(), time.monotonic()
        while not self.is_closed:
            with suppress(RunError):
                known = await self.client.call(TOUCH, [self.keys.run(run_id), self.keys.log(run_id)])
                if known is not None:
                    return msgspec.json.decode(known[1], type=RunInfo)
                # A Redis that comes back empty gets the run back from its producer.
                has_been_away = self.client.failed_at >= began
                if not has_been_away or time.monotonic() - self.client.failed_at >= self.limits.lease:
                    return None
            await backoff.wait()
        raise unavailable()

    async def _wake(self) -> None:
        """Wake the task, which may be waiting for other runs."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if not self._wanted.is_set():
            self._wanted.set()
            return
        # If Redis is away, the task does not wait for other runs either.
        with suppress(RunError):
            await self.client.call(WAKE, [self._wake_key], self._interval_ms())

    async def aclose(self) -> None:
        """End the task and the readers."""
        self.is_closed = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for copy in self.copies.values():
            copy.fail(unavailable())

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            await self._wanted.wait()
            try:
                is_whole = await self._fetch()
                await self._touch(at_once=not is_whole)
                if is_whole:
                    backoff.reset()
                else:
                    # Its producer writes it anew, with its next sign of life.
                    await backoff.wait()
            except Exception as error:
                if not isinstance(error, RunError):
                    logger.exception("following runs failed")
                await backoff.wait()
            if not self.copies:
                self._wanted.clear()

    async def _fetch(self) -> bool:
        """Add what has come. Return False when something before it is missing."""
        copies = {self.keys.log(run_id): copy for run_id, copy in self.copies.items() if copy.is_running}
        after = {key: f"{len(copy.ends)}-0" for key, copy in copies.items()}
        answer = await self.client.read_streams(
            {self._wake_key: self._woken, **after}, count=MAX_BATCHES, block=self._interval_ms()
        )
        is_whole = True
        for key, entries in answer:
            copy = copies.get(key.decode())
            if copy is None:
                self._woken = entries[-1][0].decode()
                continue
            is_whole = all(copy.feed(stream_id, fields) for stream_id, fields in entries) and is_whole
        return is_whole

    async def _touch(self, *, at_once: bool) -> None:
        """Record in Redis that the runs are read. Notice runs that Redis has lost."""
        now = asyncio.get_running_loop().time()
        if now - self._touched_at < self.limits.lease / 3 and not at_once:
            return
        self._touched_at = now
        copies = [copy for copy in self.copies.values() if copy.is_running]
        keys = [[self.keys.run(copy.info.id), self.keys.log(copy.info.id)] for copy in copies]
        for copy, known in zip(copies, await self.client.call_each(TOUCH, keys), strict=True):
            if known is not None:
                copy.missing_since = None
                state, _, is_whole = known
                if state != b"running" and not is_whole:
                    # Nobody is left to write it anew.
                    await self._end_gone(copy)
            elif copy.missing_since is None:
                copy.missing_since = now
            elif now - copy.missing_since > self.limits.lease:
                # Its producer had the time to bring it back.
                await self._end_gone(copy)

    async def _end_gone(self, copy: Copy) -> None:
        """End a run for its readers when the rest of it is gone."""
        logger.warning(
            "Redis has dropped run %s of chat %s, which is being read; its readers get an end",
            copy.info.id,
            copy.info.chat_id,
        )
        on_gone = self._find_on_gone()
        if on_gone is None:
            copy.fail(missing())
            return
        try:
            with Contained():
                ending = await on_gone(copy.info, bytes(copy.frames))
        except Exception as error:
            logger.warning(
                "run %s of chat %s is gone from Redis, and its readers here are cut: no end could be made: %s",
                copy.info.id,
                copy.info.chat_id,
                describe_outage(error),
                exc_info=traceback_of(error),
            )
            copy.fail(missing())
        else:
            copy.end("lost", ending)

    def _interval_ms(self) -> int:
        return max(round(self.limits.lease / 3 * 1000), 1)
