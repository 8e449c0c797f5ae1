"""A service of runs on a log that several processes share, for tests."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from tests.support.waiting import PATIENCE
from usechat.errors import RunError
from usechat.runs.log import EndState, Limits, RunInfo
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunHandle, RunService

LONG = 3600.0
"""Longer than any test waits."""


class Source:
    """Frames as a test wants them; asked to stop, they end with ``<reason>``."""

    def __init__(self, *, obeys: bool = True) -> None:
        self.coming: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.reasons: list[str | None] = []
        self.obeys = obeys
        self.is_closed = False

    def put(self, *frames: bytes | Exception | None) -> None:
        for frame in frames:
            self.coming.put_nowait(frame)

    async def frames(self) -> AsyncGenerator[bytes]:
        try:
            while (frame := await self.coming.get()) is not None:
                if isinstance(frame, Exception):
                    raise frame
                yield frame
        finally:
            self.is_closed = True

    async def make(self, handle: RunHandle) -> None:
        async for frame in self.frames():
            handle.append(frame)

    def abort(self, reason: str | None) -> None:
        self.reasons.append(reason)
        if self.obeys:
            self.put(f"<{reason}>".encode(), None)


class SharedLog(MemoryLog):
    """A log in memory that behaves as if other processes had a part in it."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self.unread: list[float] = []
        self.is_away = False
        self.lost: list[RunInfo] = []
        self.asked: asyncio.Queue[None] = asyncio.Queue()
        self.answers = asyncio.Event()
        self.answers.set()

    async def be_asked(self) -> None:
        self.asked.put_nowait(None)
        await self.answers.wait()
        if self.is_away:
            raise RunError("away", code="unavailable")

    async def seconds_unread(self, run_id: str) -> float:
        await self.be_asked()
        return self.unread.pop(0)

    async def was_asked(self, chat_id: str) -> bool:
        await self.be_asked()
        return await super().was_asked(chat_id)

    async def seconds_silent(self, run_id: str) -> float | None:
        silent = await super().seconds_silent(run_id)
        return math.inf if silent is not None and run_id in {info.id for info in self.lost} else silent

    async def take_lost(self, run_id: str | None = None) -> Sequence[RunInfo]:
        await self.be_asked()
        return [info for info in self.lost if self.runs[info.id].is_running and run_id in (None, info.id)]


def service_on(log: MemoryLog, *, grace: float = LONG, shutdown_timeout: float = 0.0, **options: Any) -> RunService:
    return RunService(log, grace=grace, shutdown_timeout=shutdown_timeout, **options)


async def read(service: RunService, handle: RunHandle, after: int = 0) -> bytes:
    return b"".join([entry.data async for entry in service.read(handle.info.id, after)])


async def over(handle: RunHandle) -> EndState:
    async with asyncio.timeout(PATIENCE):
        return await handle.wait()


async def begin(service: RunService, source: Source, **options: Any) -> RunHandle:
    return await service.start("chat", source.make, abort=source.abort, **options)
