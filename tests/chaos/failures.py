"""What goes wrong in the failure test, and when."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from tests.chaos.deployment import SERVERS, Deployment, Server

__all__ = ["Failures"]


class Failures:
    """Breaks things, several at once if it comes so; what it has broken is whole again when it is done.

    Args:
        deployment: What it breaks.
        seed: Decides what, and when.
        pause: Seconds from one failure to the next, on average.
    """

    def __init__(self, deployment: Deployment, seed: str, pause: float) -> None:
        self.deployment = deployment
        self.chance = random.Random(seed)
        self.pause = pause
        self.counts: Counter[str] = Counter()
        self.broken: list[Server] = []
        self.may_break = asyncio.Semaphore(SERVERS - 1)
        self.redis_lock = asyncio.Lock()

    def kinds(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What there is."""
        return {
            "server killed": self.kill_server,
            "server stopped": self.stop_server,
            "Redis killed": self.restart_redis,
            "database connections dropped": self.drop_connections,
        }

    async def go_on(self, seconds: float) -> None:
        """Break things for so long."""
        kinds = self.kinds()
        # Each kind comes once before any comes again.
        coming: list[str] = []
        end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as going_on:
            while asyncio.get_running_loop().time() < end:
                if not coming:
                    coming = self.chance.sample([*kinds], len(kinds))
                kind = coming.pop()
                await asyncio.sleep(self.pause * (0.5 + self.chance.random()))
                going_on.create_task(kinds[kind]())
                self.counts[kind] += 1

    async def kill_server(self) -> None:
        """SIGKILL, and another one in its place."""
        async with self.some_server() as server:
            await self.in_thread(server.kill)
            await asyncio.sleep(self.chance.random())
            await self.in_thread(server.start)

    async def stop_server(self) -> None:
        """SIGTERM, as a deployment does it."""
        async with self.some_server() as server:
            await self.in_thread(server.stop)
            await self.in_thread(server.start)

    async def restart_redis(self) -> None:
        """SIGKILL; it comes back with what it had."""
        async with self.redis_lock:
            await self.in_thread(self.deployment.redis.kill)
            await asyncio.sleep(self.chance.random() * 1.5)
            await self.in_thread(self.deployment.redis.start)

    async def drop_connections(self) -> None:
        """Those of all servers to PostgreSQL."""
        await asyncio.to_thread(self.deployment.postgres.drop_connections)

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
            server = self.chance.choice([server for server in self.deployment.servers if server not in self.broken])
            self.broken.append(server)
            yield server
            self.broken.remove(server)
