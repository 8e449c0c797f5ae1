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
from typing import Any, TypeAlias

import msgspec

from usechat.errors import RunError
from usechat.runs.heartbeat import Heartbeat
from usechat.runs.log import Limits, RunInfo
from usechat.runs.memory.run import MemoryRun
from usechat.runs.redis.client import LONGEST_PAUSE, Backoff, ScriptClient
from usechat.runs.redis.keys import Keys
from usechat.runs.redis.own_run import RedisRun, Written
from usechat.runs.redis.scripts import OPEN, WRITE

__all__ = ["OwnRuns"]

logger = logging.getLogger(__name__)

MAX_RUNS = 64
"""The most runs in a round trip: Redis does nothing else meanwhile."""
END_PATIENCE = 5.0
"""Seconds that this process' readers wait, at a run's end, for Redis to know of it. Beyond, Redis is away."""
LEAVING_PATIENCE = 0.5
"""The same, once this process is about to end."""


MakeRun: TypeAlias = "Callable[[RunInfo, Limits, OwnRuns], RedisRun]"


class StopNotice(msgspec.Struct, frozen=True):
    """A message to all processes: stop this run. A message that is only a run's id wants it to be saved."""

    run_id: str
    reason: str | None


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def open_arguments(keys: Keys, info: RunInfo, limits: Limits) -> list[Any]:
    encoded = msgspec.json.encode(info)
    return [keys.prefix, info.id, encoded, info.token, milliseconds(limits.lease), milliseconds(limits.retain)]


def keep_arguments(limits: Limits) -> list[int]:
    """Return what scripts need that end a run: how long ended ones are kept, and how much of them."""
    return [milliseconds(limits.keep), limits.max_ended, limits.max_ended_bytes]


class OwnRuns:
    """The runs of this process."""

    def __init__(self, client: ScriptClient, keys: Keys, limits: Limits, make_run: MakeRun = RedisRun) -> None:
        self.client = client
        self.keys = keys
        self.limits = limits
        self._make_run = make_run
        self.runs: dict[str, RedisRun] = {}
        self._behind: dict[RedisRun, None] = {}
        self._work = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._interval = min(limits.silence, limits.lease) / 5
        self.renewal_seconds = LONGEST_PAUSE + 2 * self._interval
        """Seconds after Redis is back within which each process has renewed its leases."""
        # After that silence a process that needs the chat may take its run, before the lease has ended.
        self.heartbeat = Heartbeat(min(limits.silence, limits.lease), self.doubt_all)
        self._is_leaving = False
        self.on_hurry: Callable[[str], object] | None = None
        """Called with the id of a run that somebody waits for to be saved."""

    @property
    def patience(self) -> float:
        """Seconds that readers here wait, at a run's end, for Redis to know of it."""
        return LEAVING_PATIENCE if self._is_leaving else END_PATIENCE

    def begin(self, info: RunInfo, copy: MemoryRun | None = None) -> RedisRun:
        """Add a run that Redis has just recorded, with what it has of it already."""
        run = self._make_run(info, self.limits, self)
        if copy is not None:
            run.go_on_from(copy)
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
        self._is_leaving = True
        for run in self.runs.values():
            if run.end_state is not None:
                asyncio.get_running_loop().call_later(LEAVING_PATIENCE, run.release, run.end_state)

    async def aclose(self) -> None:
        """End the tasks. Runs that have not ended are lost."""
        self.heartbeat.close()
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
        arguments = [milliseconds(seconds) for seconds in (limits.lease, limits.retain)]
        encoded = msgspec.msgpack.encode(writes)
        doubts = [run.doubts for run in runs]
        keys = [self.keys.leases, self.keys.ended]
        arguments = [self.keys.prefix, *keep_arguments(limits), *arguments, encoded]
        answer = await self.client.call(WRITE, keys, *arguments, *frames)
        answers = msgspec.msgpack.decode(answer, type=list[Written])
        for run, write, written, doubt in zip(runs, writes, answers, doubts, strict=True):
            # A confirmation from before the doubt proves nothing.
            if write.renews and written.code == "written" and doubt == run.doubts:
                run.needs_lease = False
                if run.is_doubtful:
                    run.trust()
        gone = [run for run, written in zip(runs, answers, strict=True) if self._take(run, written)]
        await self._restore(gone, sum(written.code == "hole" for written in answers))

    async def _restore(self, gone: Sequence[RedisRun], holes: int) -> None:
        """Write anew what Redis has lost."""
        if holes:
            logger.warning("Redis has dropped what %d running runs had written; it is written anew", holes)
        if gone:
            logger.warning("Redis has lost %d running runs; they are written anew", len(gone))
            for run in gone:
                await self.restore(run)

    def _take(self, run: RedisRun, written: Written) -> bool:
        """Record the result of a write. Return whether Redis does not know the run."""
        run.note_written(written.entries)
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
