"""What goes wrong in the failure test, and when."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from tests.chaos.deployment import Deployment, Server

__all__ = ["Failures", "Faults", "Kinds", "Span"]

Kinds: TypeAlias = Mapping[str, Callable[[], Coroutine[Any, Any, None]]]


@dataclass(frozen=True)
class Span:
    """From when to when something was broken, on `time.monotonic`'s clock."""

    kind: str
    began: float
    ended: float


class Faults(ABC):
    """Breaks things; what it has broken is whole again when it is done.

    Args:
        servers: Those that it may break, all but one at once.
        seed: Decides what, and when.
        pause: Seconds from one fault to the next, on average.
    """

    def __init__(self, servers: Sequence[Server], seed: str, pause: float) -> None:
        self.servers = servers
        self.chance = random.Random(seed)
        self.pause = pause
        self.counts: Counter[str] = Counter()
        self.spans: list[Span] = []
        self.broken: list[Server] = []
        self.may_break = asyncio.Semaphore(len(servers) - 1)
        self.end = 0.0
        """On the event loop's clock."""

    @abstractmethod
    def kinds(self) -> Kinds:
        """What there is."""

    @abstractmethod
    async def go_on(self, seconds: float) -> None:
        """Break things for so long."""

    async def coming(self, seconds: float) -> AsyncGenerator[str]:
        """Yield what is to be broken next, for so long; each kind comes once before any comes again."""
        loop = asyncio.get_running_loop()
        self.end = loop.time() + seconds
        coming: list[str] = []
        while loop.time() < self.end:
            coming = coming or self.chance.sample([*self.kinds()], len(self.kinds()))
            await asyncio.sleep(self.pause * (0.5 + self.chance.random()))
            yield coming.pop()

    async def break_one(self, kind: str) -> None:
        """Break something, and have it whole again."""
        began = time.monotonic()
        await self.kinds()[kind]()
        self.counts[kind] += 1
        self.spans.append(Span(kind, began, time.monotonic()))

    async def stop_server(self) -> None:
        """SIGTERM, as a deployment does it."""
        async with self.some_server() as server:
            await self.in_thread(server.stop)
            await self.in_thread(server.start)

    async def in_thread(self, work: Callable[[], None]) -> None:
        """Do what takes its time; it is not left half done."""
        doing = asyncio.create_task(asyncio.to_thread(work))
        try:
            await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait([doing])
            raise

    @asynccontextmanager
    async def some_server(self) -> AsyncGenerator[Server]:
        """One that runs, for whoever breaks it to have again before others break it."""
        async with self.may_break:
            server = self.chance.choice([server for server in self.servers if server not in self.broken])
            self.broken.append(server)
            yield server
            self.broken.remove(server)


class Failures(Faults):
    """Kills and stops, several at once if it comes so.

    Args:
        deployment: What it breaks.
        seed: Decides what, and when.
        pause: Seconds from one failure to the next, on average.
    """

    def __init__(self, deployment: Deployment, seed: str, pause: float) -> None:
        super().__init__(deployment.servers, seed, pause)
        self.deployment = deployment
        self.redis_lock = asyncio.Lock()
        self.postgres_lock = asyncio.Lock()

    def kinds(self) -> Kinds:
        """What there is."""
        return {
            "server killed": self.kill_server,
            "server stopped": self.stop_server,
            "Redis killed": self.restart_redis,
            "PostgreSQL killed": self.restart_postgres,
            "database connections dropped": self.drop_connections,
        }

    async def go_on(self, seconds: float) -> None:
        """Break one thing after the other, without waiting until it is whole."""
        async with asyncio.TaskGroup() as going_on:
            async for kind in self.coming(seconds):
                going_on.create_task(self.break_one(kind))

    async def kill_server(self) -> None:
        """SIGKILL, and another one in its place."""
        async with self.some_server() as server:
            await self.in_thread(server.kill)
            await asyncio.sleep(self.chance.random())
            await self.in_thread(server.start)

    async def restart_redis(self) -> None:
        """SIGKILL; it comes back with what it had."""
        async with self.redis_lock:
            await self.in_thread(self.deployment.redis.kill)
            await asyncio.sleep(self.chance.random() * 1.5)
            await self.in_thread(self.deployment.redis.start)

    async def restart_postgres(self) -> None:
        """SIGQUIT, after which it has its log to read; it comes back with what was committed."""
        async with self.postgres_lock:
            await self.in_thread(lambda: self.deployment.postgres.stop(signal.SIGQUIT))
            await asyncio.sleep(self.chance.random() * 1.5)
            await self.in_thread(self.deployment.postgres.start)

    async def drop_connections(self) -> None:
        """Those of all servers to PostgreSQL."""
        async with self.postgres_lock:
            await asyncio.to_thread(self.deployment.postgres.drop_connections)
