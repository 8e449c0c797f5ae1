"""The run log in memory, for a single worker. The log on Redis has its runs, too."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from typing import Any

from usechat.ids import generate_id
from usechat.runs.line import MemoryLine
from usechat.runs.log import Entry, Limits, OnRelease, RunInfo, RunWriter
from usechat.runs.memory.run import MemoryRun, Place, exists, missing, unavailable

__all__ = ["MemoryLog"]

MAX_RESUMED = 100_000
"""The most chats that are remembered as ones whose client resumes, or as asked for."""


def remember(chats: dict[str, float], chat_id: str, seconds: float) -> None:
    """Put a chat, with the time until when it counts, at the end of a bounded dict."""
    chats.pop(chat_id, None)
    chats[chat_id] = time.monotonic() + seconds
    while len(chats) > MAX_RESUMED:
        del chats[next(iter(chats))]


def is_remembered(chats: Mapping[str, float], chat_id: str) -> bool:
    return time.monotonic() < chats.get(chat_id, -math.inf)


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

    async def living(self) -> Collection[str]:
        """Return the ids of the runs that are running."""
        return {run_id for run_id, run in self.runs.items() if run.is_running}

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
