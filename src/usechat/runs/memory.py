"""The run log of one process: what a single worker needs, and the near half of the log on Redis.

A reader that has caught up waits on a future that the next write resolves: no task, queue or lock per reader, and a
slow one costs only the place where it stands.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

import msgspec

from usechat.errors import RunError
from usechat.ids import generate_id
from usechat.runs.base import EndState, Entry, Limits, RunInfo, RunWriter

__all__ = ["MemoryLog", "MemoryRun"]

MAX_RESUMED = 100_000
"""How many chats are remembered as ones whose client comes back."""


class MemoryRun:
    """One run: its frames, and who waits for more. A `RunWriter`."""

    def __init__(self, info: RunInfo, limits: Limits, on_end: Callable[[MemoryRun], None]) -> None:
        self.info = info
        self.limits = limits
        self.stopped = asyncio.Event()
        self.stop_reason: str | None = None
        self.entries: list[bytes] = []
        self.size = 0
        self.waiting: set[asyncio.Future[None]] = set()
        self.on_end = on_end

    @property
    def is_running(self) -> bool:
        """Whether frames may still come."""
        return self.info.state == "running"

    def append(self, data: bytes) -> None:
        """Add frames and wake who waits for them.

        Raises:
            RunError: ``fenced`` after the end; ``full`` when a limit is met.
        """
        if not self.is_running:
            raise RunError("the run has ended", code="fenced")
        if len(self.entries) >= self.limits.max_entries or self.size + len(data) > self.limits.max_bytes:
            raise RunError("the run's log is full", code="full")
        self._add(data)

    def _add(self, data: bytes) -> None:
        self.entries.append(data)
        self.size += len(data)
        self._wake()

    def _wake(self) -> None:
        waiting, self.waiting = self.waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def finish(self, state: EndState) -> bool:
        """End the run; whether it was still running."""
        return self.end(state)

    def end(self, state: EndState, data: bytes = b"") -> bool:
        """End the run with some last frames, which no limit keeps out; whether it was still running."""
        if not self.is_running:
            return False
        if data:
            self._add(data)
        self.info = msgspec.structs.replace(self.info, state=state)
        self.stopped.set()
        self._wake()
        self.on_end(self)
        return True

    def ask_to_stop(self, reason: str | None) -> bool:
        """Tell the producer; whether there was one."""
        if not self.is_running:
            return False
        if not self.stopped.is_set():
            self.stop_reason = reason
            self.stopped.set()
        return True

    async def read(self, after: int = 0) -> AsyncGenerator[Entry]:
        """The frames after the first ``after`` entries; what came meanwhile comes in one piece."""
        position = max(after, 0)
        while True:
            if position < len(self.entries):
                fresh = self.entries[position:]
                position += len(fresh)
                yield Entry(position, fresh[0] if len(fresh) == 1 else b"".join(fresh))
            elif not self.is_running:
                return
            else:
                await self._more()

    async def _more(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self.waiting.add(future)
        try:
            await future
        finally:
            self.waiting.discard(future)


class MemoryLog:
    """All runs of this process. Nothing of it survives the process, so no producer can outlive its lease."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.runs: dict[str, MemoryRun] = {}
        self.newest: dict[str, str] = {}
        self.resumed: dict[str, None] = {}
        self.tokens = itertools.count(1)
        self.timers: dict[str, asyncio.TimerHandle] = {}

    async def open(
        self, chat_id: str, *, owner: str = "", headers: Mapping[str, str], meta: Mapping[str, Any]
    ) -> RunWriter:
        """Begin a run.

        Raises:
            RunError: ``exists``: the chat has one that is still running.
        """
        current = self.runs.get(self.newest.get(chat_id, ""))
        if current is not None and current.is_running:
            raise RunError("the chat has an answer in the making", code="exists")
        info = RunInfo(
            id=generate_id("run"),
            chat_id=chat_id,
            owner=owner,
            token=next(self.tokens),
            created_at=time.time(),
            headers=dict(headers),
            meta=dict(meta),
        )
        run = MemoryRun(info, self.limits, self._forget_later)
        self.runs[info.id] = run
        self.newest[chat_id] = info.id
        return run

    async def find(self, chat_id: str) -> RunInfo | None:
        """The newest run of a chat, while it is kept."""
        run = self.runs.get(self.newest.get(chat_id, ""))
        return None if run is None else run.info

    async def read(self, run_id: str, after: int = 0) -> AsyncGenerator[Entry]:
        """The run's frames, as they come, to its end.

        Raises:
            RunError: ``missing``: there is no such run, or it is not kept any more.
        """
        run = self.runs.get(run_id)
        if run is None:
            raise RunError("there is no such run", code="missing")
        entries = run.read(after)
        try:
            async for entry in entries:
                yield entry
        finally:
            await entries.aclose()

    async def stop(self, run_id: str, reason: str | None = None) -> bool:
        """Ask the run's producer to stop; whether the run was still running."""
        run = self.runs.get(run_id)
        return run is not None and run.ask_to_stop(reason)

    async def note_resume(self, chat_id: str) -> None:
        """Remember that this chat's client can come back."""
        self.resumed.pop(chat_id, None)
        self.resumed[chat_id] = None
        while len(self.resumed) > MAX_RESUMED:
            del self.resumed[next(iter(self.resumed))]

    async def was_resumed(self, chat_id: str) -> bool:
        """Whether a reader ever asked for this chat's stream, as far as is remembered."""
        return chat_id in self.resumed

    async def reap(self) -> Sequence[RunInfo]:
        """None: a producer of this process dies with its log."""
        return ()

    async def adopt(self, run_id: str, data: bytes) -> None:
        """End a run in its producer's place."""
        run = self.runs.get(run_id)
        if run is not None:
            run.end("lost", data)

    async def aclose(self) -> None:
        """End all runs and forget them."""
        for timer in self.timers.values():
            timer.cancel()
        for run in list(self.runs.values()):
            run.end("lost")
        self.timers.clear()
        self.runs.clear()
        self.newest.clear()

    def _forget_later(self, run: MemoryRun) -> None:
        loop = asyncio.get_running_loop()
        self.timers[run.info.id] = loop.call_later(self.limits.keep, self._forget, run.info)

    def _forget(self, info: RunInfo) -> None:
        self.timers.pop(info.id, None)
        self.runs.pop(info.id, None)
        if self.newest.get(info.chat_id) == info.id:
            del self.newest[info.chat_id]
