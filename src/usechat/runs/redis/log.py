"""The run log on Redis: runs outlive their process, and any process can read and stop them.

Runs of this process are read from its memory, runs of other processes from one shared copy each. Redis decides
who owns a run. It needs Redis 6 or newer, a single one or one behind a failover, no cluster.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from usechat.ids import generate_id
from usechat.runs.log import Entry, Limits, OnRelease, RunInfo, RunState, RunWriter
from usechat.runs.memory.run import Place, exists, unavailable
from usechat.runs.redis.client import ScriptClient
from usechat.runs.redis.keys import Keys
from usechat.runs.redis.leases import Leases
from usechat.runs.redis.line import RedisLine
from usechat.runs.redis.own_run import SKIPPED_ENTRIES, RedisRun
from usechat.runs.redis.policy import warn_of_eviction
from usechat.runs.redis.producer import OwnRuns, StopNotice, keep_arguments, milliseconds, open_arguments
from usechat.runs.redis.scripts import END_LOST, LEAVE, OPEN, RESUME, STOP, STOP_LEFT, UNREAD
from usechat.runs.redis.strict_run import StrictRun
from usechat.runs.redis.tail import Copy, Tail

__all__ = ["RedisLog"]


class RedisLog:
    """A run log in Redis.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``.
        limits: How much of a run is kept, and for how long. The same in all processes.
        prefix: Begins all keys, so that several applications can share a Redis.
        is_strict: Whether readers get a frame only when Redis has it, so that they see nothing that a dying process
            takes with it. They wait for as long as Redis is away.
    """

    is_shared = True

    def __init__(
        self, url: str, limits: Limits | None = None, *, prefix: str = "usechat:", is_strict: bool = False
    ) -> None:
        self.limits = limits or Limits()
        self._keys = Keys(prefix)
        # Producers renew early: an absence of Redis that is much shorter than a lease costs no living one its run.
        self._client = ScriptClient(url, patience=min(self.limits.silence, self.limits.lease) / 6)
        make_run = StrictRun if is_strict else RedisRun
        self._own_runs = OwnRuns(self._client, self._keys, self.limits, make_run)
        self.on_gone: OnRelease | None = None
        self.on_hurry: Callable[[str], object] | None = None
        self._own_runs.on_hurry = lambda run_id: self.on_hurry and self.on_hurry(run_id)
        self._tail = Tail(self._client, self._keys, self.limits, lambda: self.on_gone)
        self._leases = Leases(self._client, self._keys, self.limits, grace=self._own_runs.renewal_seconds)
        self.line = RedisLine(self._client, self._keys)
        self._has_policy = False
        self._is_closed = False

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
            RunError: ``exists``: the chat has one that is still running; ``unavailable``.
        """
        if self._is_closed:
            raise unavailable()
        info = RunInfo(
            id=run_id or generate_id("run"),
            chat_id=chat_id,
            owner=owner,
            created_at=time.time(),
            headers=headers,
            meta=meta,
        )
        arguments = open_arguments(self._keys, info, self.limits)
        token = await self._client.call(OPEN, self._keys.of_run(info), *arguments)
        if token is None:
            raise exists()
        return self._own_runs.begin(msgspec.structs.replace(info, token=int(token)))

    async def find(self, chat_id: str) -> RunInfo | None:
        """Return the newest run of a chat, while it is kept."""
        run_id = await self._client.command("GET", self._keys.chat(chat_id))
        info = None if run_id is None else await self._info(run_id.decode())
        if info is not None:
            return info
        # Redis has dropped what this process has just told it, or is about to.
        own = (run.info for run in self._own_runs.runs.values() if run.info.chat_id == chat_id and run.is_running)
        return next(own, None)

    async def get(self, run_id: str) -> RunInfo | None:
        """Return a run, while its frames are kept."""
        own = self._own_runs.runs.get(run_id)
        if own is not None and own.is_running:
            return own.info
        info = await self._info(run_id)
        if info is None or info.state == "running":
            return info
        # What is known of a lost run outlives its frames.
        return info if await self._client.command("EXISTS", self._keys.log(run_id)) else None

    async def _info(self, run_id: str) -> RunInfo | None:
        known = await self._client.command("HMGET", self._keys.run(run_id), "info", "state", "token")
        return None if known[0] is None else read_info(known)

    async def read(self, run_id: str, after: int = 0) -> AsyncGenerator[Entry]:
        """Yield the run's frames, as they come, to its end.

        Raises:
            RunError: ``missing``: there is no such run, or it is not kept any more; ``unavailable``.
        """
        own = self._own_runs.runs.get(run_id)
        place = Place(after)
        if own is not None:
            async with aclosing(own.read(place)) as entries:
                async for entry in entries:
                    yield entry
            if own.is_ours is not False or own.is_complete:
                return
        # The process that took a run from this one ends it.
        async with self._tail.follow(run_id, own) as copy, aclosing(copy.read(place)) as entries:
            async for entry in entries:
                yield entry

    async def frames(self, run_id: str) -> bytes:
        """Return all frames that the run has now."""
        own = self._own_runs.runs.get(run_id)
        if own is not None:
            return bytes(own.frames)
        copy = await self._copy(run_id)
        followed = self._tail.copies.get(run_id)
        if followed is not None and len(followed.ends) > len(copy.ends):
            # Redis has dropped what readers here have.
            return bytes(followed.frames)
        return bytes(copy.frames) + copy.ending

    async def _copy(self, run_id: str) -> Copy:
        """Return what Redis has of a run, up to a hole."""
        copy = Copy(RunInfo(id=run_id, chat_id="", created_at=0.0), self.limits)
        for stream_id, fields in await self._client.command("XRANGE", self._keys.log(run_id), "-", "+"):
            if not copy.feed(stream_id, fields):
                break
        return copy

    async def stop(self, run_id: str, reason: str | None = None) -> bool:
        """Ask the run's producer, in any process, to stop. Return whether the run was still running."""
        own = self._own_runs.runs.get(run_id)
        if own is not None:
            return own.ask_to_stop(reason)
        message = msgspec.json.encode(StopNotice(run_id, reason))
        keys = [self._keys.run(run_id), self._keys.stops, self._keys.leases]
        return bool(await self._client.call(STOP, keys, message, reason or "", run_id))

    async def hurry(self, run_id: str) -> None:
        """Tell the other processes that somebody waits for this run to be saved."""
        await self._client.command("PUBLISH", self._keys.stops, msgspec.json.encode(run_id))

    async def note_resume(self, chat_id: str) -> None:
        """Remember for `Limits.remember` that a reader asked for this chat's stream."""
        await self._client.command("SET", self._keys.resumed(chat_id), "1", "PX", milliseconds(self.limits.remember))

    async def note_asked(self, chat_id: str, seconds: float) -> None:
        """Remember for some seconds that somebody asked for this chat."""
        # A key of its own: it must not shorten the time of the other.
        await self._client.command("SET", self._keys.asked(chat_id), "1", "PX", max(milliseconds(seconds), 1))

    async def was_asked(self, chat_id: str) -> bool:
        """Return whether somebody is known to have asked for this chat's stream or, a short time ago, for the chat."""
        return bool(await self._client.command("EXISTS", self._keys.resumed(chat_id), self._keys.asked(chat_id)))

    async def note_left(self, run_id: str) -> None:
        """Remember that the run's readers have left it."""
        await self._client.call(LEAVE, [self._keys.run(run_id)])

    async def stop_left(self, info: RunInfo, reason: str | None = None) -> bool:
        """Ask the run's producer, in any process, to stop if the run is left. Return whether it was asked."""
        message = msgspec.json.encode(StopNotice(info.id, reason))
        keys = [self._keys.run(info.id), self._keys.stops, self._keys.resumed(info.chat_id)]
        return bool(await self._client.call(STOP_LEFT, keys, message, reason or ""))

    async def seconds_unread(self, run_id: str) -> float:
        """Return the seconds since another process last read the run: a lower bound."""
        unread = await self._client.call(UNREAD, [self._keys.run(run_id)])
        if unread is None:
            return math.inf
        # No reader could be recorded while Redis was away.
        seconds = min(int(unread) / 1000, self._client.seconds_back)
        return max(seconds - self.limits.lease / 3, 0.0)

    async def seconds_silent(self, run_id: str) -> float | None:
        """Return the seconds since the run's producer last renewed its lease; None when it has no lease."""
        if run_id in self._own_runs.runs:
            return 0.0
        return await self._leases.seconds_silent(run_id)

    async def living(self) -> Collection[str]:
        """Return the ids of all runs with a lease, and of those that run here."""
        leased = await self._client.command("ZRANGE", self._keys.leases, 0, -1)
        own = (run_id for run_id, run in self._own_runs.runs.items() if run.is_running)
        return {*(run_id.decode() for run_id in leased), *own}

    async def take_lost(self, run_id: str | None = None) -> Sequence[RunInfo]:
        """Take the runs whose producers have died, or the named run, and mark them ``lost``."""
        if not self._has_policy:
            self._has_policy = True
            await warn_of_eviction(self._client)
        if await self._client.was_away(within=min(self._own_runs.renewal_seconds, self.limits.lease)):
            # No lease could be renewed meanwhile, so living producers get the time to do so. No more than that: a
            # Redis that goes away again and again must not keep the lost from their end.
            return ()
        heartbeat = self._own_runs.heartbeat
        heartbeat.start()
        if heartbeat.seconds_awake < self.limits.lease:
            # A process that slept at the same time gets as long to show that it is awake.
            return ()
        # This process is alive, even if it was too busy to renew.
        taken = await self._leases.take(run_id, own=self._own_runs.runs)
        return [read_info(known) for known in taken]

    async def end_lost(self, info: RunInfo, data: bytes = b"") -> bool:
        """End a run of `take_lost`, with last frames for its readers. Return False when another process has it."""
        arguments = [self._keys.prefix, *keep_arguments(self.limits), info.id, info.token, data]
        return bool(await self._client.call(END_LOST, [*self._keys.of_run(info), self._keys.ended], *arguments))

    async def resume(self, info: RunInfo, meta: Mapping[str, Any]) -> RunWriter | None:
        """Go on with a run of `take_lost` here. Return None when it must be ended."""
        copy = await self._copy(info.id)
        if len(copy.ends) + SKIPPED_ENTRIES >= self.limits.max_entries or len(copy.frames) >= self.limits.max_bytes:
            return None
        taken = msgspec.structs.replace(info, state="running", meta=meta)
        keys = [self._keys.run(info.id), self._keys.log(info.id), self._keys.leases]
        encoded, lease = msgspec.json.encode(taken), milliseconds(self.limits.lease)
        if not await self._client.call(RESUME, keys, info.id, info.token, encoded, len(copy.ends), lease):
            return None
        return self._own_runs.begin(taken, copy)

    async def release_readers(self, end: OnRelease) -> None:
        """Give readers here of other processes' runs a legal end. The runs go on."""
        self._own_runs.leave()
        await asyncio.gather(*(release(copy, end) for copy in self._tail.copies.values()))

    async def aclose(self) -> None:
        """Close connections and end tasks. Other processes end the runs that have not ended."""
        self._is_closed = True
        await self._own_runs.aclose()
        await self._tail.aclose()
        await self._client.aclose()


async def release(copy: Copy, end: OnRelease) -> None:
    ending, ended = b"", -1
    # Frames that came while the end was made stand before it.
    while copy.is_running and ended != len(copy.ends):
        ended = len(copy.ends)
        ending = await end(copy.info, bytes(copy.frames))
    copy.end("lost", ending)


def read_info(known: Sequence[bytes]) -> RunInfo:
    encoded, state, token = known
    info = msgspec.json.decode(encoded, type=RunInfo)
    return msgspec.structs.replace(info, state=msgspec.convert(state.decode(), RunState), token=int(token))
