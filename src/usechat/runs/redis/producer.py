"""Writes the runs of this process to Redis.

What producers append is in memory at once, and readers here need no Redis. One task writes to Redis for all runs: each
round trip takes what has gathered during the last one. The same task renews the leases. Another task listens for
requests to stop. While Redis is away the frames stay (they are bounded by the run's limits) and are
written when it is back; if it comes back empty, the run is written anew from its beginning.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal

import msgspec

from usechat.errors import RunError
from usechat.runs.log import EndState, Limits, RunInfo, Save
from usechat.runs.memory import MemoryRun
from usechat.runs.redis.client import LONGEST_PAUSE, Backoff, ScriptClient
from usechat.runs.redis.heartbeat import Heartbeat
from usechat.runs.redis.keys import Keys
from usechat.runs.redis.scripts import OPEN, WRITE

__all__ = ["OwnRuns", "RedisRun"]

logger = logging.getLogger(__name__)

MAX_BATCH_BYTES = 256 * 2**10
"""The most bytes of one run in a round trip, so that a long backlog does not delay other runs."""
MAX_RUNS = 64
"""The most runs in a round trip: Redis does nothing else meanwhile."""
END_PATIENCE = 5.0
"""Seconds that this process' readers wait, at a run's end, for Redis to know of it. Beyond, Redis is away."""
LEAVING_PATIENCE = 0.5
"""The same, once this process is about to end."""


class StopNotice(msgspec.Struct, frozen=True):
    """A message to all processes: stop this run. A message that is only a run's id wants it to be saved."""

    run_id: str
    reason: str | None


class Write(msgspec.Struct, frozen=True, array_like=True):
    """A write to a run's log. The end state comes with the last frames only."""

    run_id: str
    chat_id: str
    token: str
    first: int
    last: int
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
        self.is_doubtful = self.needs_lease = True

    def trust(self) -> None:
        """Hand on what was held."""
        self.is_doubtful = False
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
            self.is_complete = state != "failed" and not self.is_doubtful
            self.needs_lease = True
            # What is left of the frames goes to Redis meanwhile.
            self._own_runs.notice(self)
        is_saved = save is None or await save()
        if not self.is_running:
            return False
        self.is_unsaved = not is_saved
        await self._trusted()
        if not self.is_running:
            return False
        self.is_complete = state != "failed"
        self.end_state = state
        await self._settled(state)
        return self.is_ours is True

    async def _trusted(self) -> None:
        """Wait until Redis has said whose the run is. If it is away, what is saved is what counts."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._own_runs.patience):
                while self.is_doubtful and self.is_running:
                    await self._news()
        if self.is_doubtful:
            self.trust()

    async def _settled(self, state: EndState) -> None:
        """Wait until Redis has everything."""
        self._own_runs.notice(self)
        release = asyncio.get_running_loop().call_later(self._own_runs.patience, self.end, state)
        try:
            while self.is_behind():
                await self._news()
        finally:
            release.cancel()

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
            sizes=",".join([str(end - start) for start, end in places]),
            state=self.end_state or "" if last == len(self.ends) else "",
            renews=self.needs_lease,
            is_unsaved=self.is_unsaved,
        )
        return write, self.since(first, last)


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def open_arguments(keys: Keys, info: RunInfo, limits: Limits) -> list[Any]:
    encoded = msgspec.json.encode(info)
    return [keys.prefix, info.id, encoded, info.token, milliseconds(limits.lease), milliseconds(limits.retain)]


class OwnRuns:
    """The runs of this process."""

    def __init__(self, client: ScriptClient, keys: Keys, limits: Limits) -> None:
        self.client = client
        self.keys = keys
        self.limits = limits
        self.runs: dict[str, RedisRun] = {}
        self._behind: dict[RedisRun, None] = {}
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._interval = min(limits.silence, limits.lease) / 5
        self.renewal_seconds = LONGEST_PAUSE + 2 * self._interval
        """Seconds after Redis is back within which each process has renewed its leases."""
        self.heartbeat = Heartbeat(limits.lease, self.doubt_all)
        self.patience = END_PATIENCE
        """Seconds that readers here wait, at a run's end, for Redis to know of it."""
        self.on_hurry: Callable[[str], object] | None = None
        """Called with the id of a run that somebody waits for to be saved."""

    def begin(self, info: RunInfo) -> RedisRun:
        """Add a run that Redis has just recorded."""
        run = RedisRun(info, self.limits, self)
        self.runs[info.id] = run
        self.heartbeat.start()
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._write_all()), asyncio.create_task(self._listen())]
        return run

    def notice(self, run: RedisRun) -> None:
        """Wake the writer: this run has something to write."""
        self._behind[run] = None
        self._work.set()

    async def restore(self, run: RedisRun) -> None:
        """Write a run again into a Redis that has lost it.

        Raises:
            RunError: ``unavailable``.
        """
        arguments = open_arguments(self.keys, run.info, self.limits)
        await self.client.call(OPEN, self.keys.of_run(run.info), *arguments)

    def doubt_all(self) -> None:
        """Hand on nothing to readers until Redis says that the runs were not taken meanwhile."""
        for run in self.runs.values():
            if run.is_running:
                run.doubt()
                self.notice(run)

    def renew_all(self) -> None:
        """Renew all leases and learn which runs are to stop."""
        for run in self.runs.values():
            run.needs_lease = True
            self.notice(run)

    def leave(self) -> None:
        """Let readers wait no longer for Redis: this process is about to end."""
        self.patience = LEAVING_PATIENCE
        for run in self.runs.values():
            if run.end_state is not None:
                asyncio.get_running_loop().call_later(LEAVING_PATIENCE, run.end, run.end_state)

    async def aclose(self) -> None:
        """End the tasks. Runs that have not ended are lost."""
        await self.heartbeat.aclose()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if ended := [run for run in self.runs.values() if run.end_state is not None]:
            logger.warning("%d answers ended here, and Redis, which is away, does not know of it", len(ended))
        for run in list(self.runs.values()):
            run.fence()
        self.runs.clear()

    async def _write_all(self) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        renewal = loop.time() + self._interval
        while True:
            try:
                async with asyncio.timeout_at(renewal):
                    await self._work.wait()
            except TimeoutError:
                renewal = loop.time() + self._interval
                self.renew_all()
            self._work.clear()
            try:
                await self._write_some()
                backoff.reset()
            except Exception as error:
                if not isinstance(error, RunError):
                    logger.exception("writing to Redis failed")
                await backoff.wait()
            if self._behind:
                self._work.set()

    async def _write_some(self) -> None:
        """Make one round trip for the runs that have waited longest.

        Raises:
            RunError: ``unavailable``. Some of it may have been written.
        """
        runs = list(itertools.islice(self._behind, MAX_RUNS))
        for run in runs:
            # What is appended from here on puts it at the end of the line.
            del self._behind[run]
        try:
            await self._write([run for run in runs if run.is_behind()])
        finally:
            for run in runs:
                if run.is_behind():
                    self.notice(run)

    async def _write(self, runs: Sequence[RedisRun]) -> None:
        if not runs:
            return
        writes, frames = zip(*(run.next_write() for run in runs), strict=True)
        limits = self.limits
        arguments = [milliseconds(seconds) for seconds in (limits.lease, limits.retain, limits.keep)]
        encoded = msgspec.msgpack.encode(writes)
        doubts = [run.doubts for run in runs]
        answer = await self.client.call(WRITE, [self.keys.leases], self.keys.prefix, *arguments, encoded, *frames)
        answers = msgspec.msgpack.decode(answer, type=list[Written])
        gone: list[RedisRun] = []
        for run, write, written, doubt in zip(runs, writes, answers, doubts, strict=True):
            # One that was sent before the doubt proves nothing.
            if write.renews and written.code == "written" and doubt == run.doubts:
                run.needs_lease = False
                if run.is_doubtful:
                    run.trust()
            if self._take(run, written):
                gone.append(run)
        if holes := sum(written.code == "hole" for written in answers):
            logger.warning("Redis has dropped what %d running runs had written; it is written anew", holes)
        if gone:
            logger.warning("Redis has lost %d running runs; they are written anew", len(gone))
            for run in gone:
                await self.restore(run)

    def _take(self, run: RedisRun, written: Written) -> bool:
        """Record the result of a write. Return whether Redis does not know the run."""
        run.written = written.entries
        match written.code:
            case "written" if written.stop is not None:
                run.ask_to_stop(written.stop or None)
            case "ended":
                self.runs.pop(run.info.id, None)
                run.settle(is_ours=True)
            case "fenced":
                self.runs.pop(run.info.id, None)
                run.fence()
            case _:
                pass
        if not run.is_behind():
            run.settle()
        return written.code == "missing"

    async def _listen(self) -> None:
        backoff = Backoff()
        while True:
            try:
                async with self.client.subscribed(self.keys.stops) as messages:
                    # A request may have come while the subscription was down.
                    self.renew_all()
                    backoff.reset()
                    async for message in messages:
                        self._hear(message)
            except RunError:
                await backoff.wait()

    def _hear(self, message: bytes) -> None:
        try:
            notice = msgspec.json.decode(message, type=StopNotice | str)
        except msgspec.DecodeError:
            logger.warning("a request to stop could not be read")
            return
        if isinstance(notice, str):
            if self.on_hurry is not None:
                self.on_hurry(notice)
            return
        run = self.runs.get(notice.run_id)
        if run is not None:
            run.ask_to_stop(notice.reason)
