"""What stalls in the failure test: processes that sleep, connections that say nothing, stores that take no more.

One thing at a time, or several that begin together: what is promised is promised for one that fails, and for a host
that sleeps with all that is on it. No server is killed while these go on, so all that any reader saw must be saved.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from tests.chaos.deployment import Deployment
from tests.chaos.failures import Failures
from tests.support.pausing import paused

__all__ = ["Stalls"]

ANEW_SECONDS = 3.0
"""Seconds within which each producer has written anew what was dropped: it looks with each write and renewal."""


class Stalls(Failures):
    """Lets things stall.

    Args:
        deployment: What stalls, with holes before its stores.
        seed: Decides what, and when.
        pause: Seconds from one to the next, on average.
        longest: Seconds that one lasts at most.
    """

    def __init__(self, deployment: Deployment, seed: str, pause: float, longest: float) -> None:
        super().__init__(deployment, seed, pause)
        self.longest = longest

    def kinds(self) -> dict[str, Callable[[], Coroutine[Any, Any, None]]]:
        """What there is."""
        return {
            "server paused": self.pause_server,
            "Redis paused": self.pause_redis,
            "PostgreSQL paused": self.pause_postgres,
            "server, Redis and PostgreSQL paused": self.pause_host,
            "two servers paused": self.pause_servers,
            "Redis silent": self.silence_redis,
            "PostgreSQL silent": self.silence_postgres,
            "Redis out of memory": self.fill_redis,
            "PostgreSQL read-only": self.refuse_writes,
            "Redis dropped keys": self.drop_keys,
            "rolling restart": self.restart_all,
        }

    async def go_on(self, seconds: float) -> None:
        """Let one thing after the other stall, for so long."""
        coming: list[str] = []
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            coming = coming or self.chance.sample([*self.kinds()], len(self.kinds()))
            kind = coming.pop()
            await asyncio.sleep(self.pause * (0.5 + self.chance.random()))
            await self.kinds()[kind]()
            self.counts[kind] += 1

    async def pause_server(self) -> None:
        """SIGSTOP, and SIGCONT later."""
        async with self.some_server() as server:
            with server.pausing():
                await self.for_some_time()

    async def pause_servers(self) -> None:
        """The same for two at once: whoever wakes first must not bury the other."""
        async with self.some_server() as one, self.some_server() as other:
            with one.pausing(), other.pausing():
                await self.for_some_time()

    async def pause_redis(self) -> None:
        """What it is sent waits, and is done late."""
        self.deployment.redis.pause()
        try:
            await self.for_some_time()
        finally:
            self.deployment.redis.go_on()

    async def pause_postgres(self) -> None:
        """With all its processes."""
        with paused(self.deployment.postgres.pid):
            await self.for_some_time()

    async def pause_host(self) -> None:
        """A host that sleeps, with a server and both stores."""
        async with self.some_server() as server:
            self.deployment.redis.pause()
            try:
                with server.pausing(), paused(self.deployment.postgres.pid):
                    await self.for_some_time()
            finally:
                self.deployment.redis.go_on()

    async def silence_redis(self) -> None:
        """Connections stay, and nothing comes through."""
        self.deployment.redis_hole.swallow()
        try:
            await self.for_some_time()
        finally:
            self.deployment.redis_hole.go_on()

    async def silence_postgres(self) -> None:
        """The same."""
        self.deployment.database_hole.swallow()
        try:
            await self.for_some_time()
        finally:
            self.deployment.database_hole.go_on()

    async def fill_redis(self) -> None:
        """It refuses writes, as one without `maxmemory-policy` does that is full."""
        await asyncio.to_thread(self.deployment.redis.ask, "CONFIG", "SET", "maxmemory", "1")
        try:
            await self.for_some_time()
        finally:
            await asyncio.to_thread(self.deployment.redis.ask, "CONFIG", "SET", "maxmemory", "0")

    async def refuse_writes(self) -> None:
        """As after a failover, when connections are to a standby."""
        await asyncio.to_thread(self.deployment.refuse_writes)
        try:
            await self.for_some_time()
        finally:
            await asyncio.to_thread(self.deployment.take_writes)

    async def drop_keys(self) -> None:
        """Some keys of any kind, as a Redis does that may evict."""
        found = await asyncio.to_thread(self.deployment.redis.ask, "KEYS", "usechat:*")
        keys = sorted(line for line in found.decode().split("\r\n") if line.startswith("usechat:"))
        if keys:
            await asyncio.to_thread(self.deployment.redis.ask, "DEL", *self.chance.sample(keys, 1 + len(keys) // 3))
        await asyncio.sleep(ANEW_SECONDS)

    async def restart_all(self) -> None:
        """Each server in turn, as a deployment does it."""
        for server in self.deployment.servers:
            await self.in_thread(server.stop)
            await self.in_thread(server.start)

    async def for_some_time(self) -> None:
        """Let it last."""
        await asyncio.sleep(1 + self.chance.random() * (self.longest - 1))
