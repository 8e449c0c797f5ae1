"""What stalls in the failure test: processes that sleep, connections that say nothing, stores that take no more.

One thing at a time, or several that begin together: what is promised is promised for one that fails, and for a host
that sleeps with all that is on it. No server is killed while these go on, so all that any reader saw must be saved.
"""

from __future__ import annotations

import asyncio
import math
import re
import signal
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any

import asyncpg  # pyright: ignore[reportMissingTypeStubs]

from tests.chaos.deployment import Deployment, Server
from tests.chaos.failures import Faults, Kinds
from tests.support.clocks import HAS_CLOCKS
from tests.support.pausing import paused

__all__ = ["OneByOne", "Stalls"]

ANEW_SECONDS = 10.0
"""Seconds within which each producer has written anew what was dropped: it looks with each write and renewal."""
AN_HOUR = 3600


class OneByOne(Faults):
    """Lets one thing after the other stall.

    Args:
        servers: Those that may stall.
        seed: Decides what, and when.
        pause: Seconds from one to the next, on average.
        longest: Seconds that one lasts at most.
    """

    def __init__(self, servers: Sequence[Server], seed: str, pause: float, longest: float) -> None:
        super().__init__(servers, seed, pause)
        self.longest = longest

    async def go_on(self, seconds: float) -> None:
        """Let them stall for so long."""
        async for kind in self.coming(seconds):
            await self.break_one(kind)

    async def for_some_time(self) -> None:
        """Let it last: from a second to the longest, as often for less as for more than the square root of that."""
        left = self.end - asyncio.get_running_loop().time()
        await asyncio.sleep(max(1.0, min(left, math.exp(self.chance.random() * math.log(self.longest)))))

    async def pause_server(self) -> None:
        """SIGSTOP, and SIGCONT later."""
        async with self.some_server() as server:
            with server.pausing():
                await self.for_some_time()

    async def pause_all(self) -> None:
        """The same for each server at once."""
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server.pausing())
            await self.for_some_time()


class Stalls(OneByOne):
    """Lets servers and stores stall.

    Args:
        deployment: What stalls, with holes before its stores.
        seed: Decides what, and when.
        pause: Seconds from one to the next, on average.
        longest: Seconds that one lasts at most.
    """

    def __init__(self, deployment: Deployment, seed: str, pause: float, longest: float) -> None:
        super().__init__(deployment.servers, seed, pause, longest)
        self.deployment = deployment

    def kinds(self) -> Kinds:
        """What there is."""
        clocks: Kinds = {
            "clock of a server an hour ahead": self.set_clock_ahead,
            "clock of a server an hour behind": self.set_clock_behind,
        }
        return {
            "server paused": self.pause_server,
            "two servers paused": self.pause_servers,
            "all servers paused": self.pause_all,
            "Redis paused": self.pause_redis,
            "PostgreSQL paused": self.pause_postgres,
            "server, Redis and PostgreSQL paused": self.pause_host,
            "Redis silent": self.silence_redis,
            "PostgreSQL silent": self.silence_postgres,
            "Redis out of memory": self.fill_redis,
            "Redis evicts keys": self.evict_keys,
            "Redis dropped keys": self.drop_keys,
            "Redis flushed": self.flush_redis,
            "PostgreSQL read-only": self.refuse_writes,
            "PostgreSQL restarted": self.restart_postgres,
            "PostgreSQL without free connections": self.use_up_connections,
            "rolling restart": self.restart_all,
            **(clocks if HAS_CLOCKS else {}),
        }

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

    async def evict_keys(self) -> None:
        """Have it be short of memory, as a cache is, which drops whatever it likes."""
        redis = self.deployment.redis
        data = await self.ask_redis_number("memory", "used_memory_dataset")
        room = await self.ask_redis_number("memory", "used_memory") - data // 3
        before = await self.ask_redis_number("stats", "evicted_keys")
        await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory-policy", "allkeys-random")
        await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory", str(room))
        try:
            await self.for_some_time()
        finally:
            await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory", "0")
            await asyncio.to_thread(redis.ask, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        self.counts["keys that Redis evicted"] += await self.ask_redis_number("stats", "evicted_keys") - before
        await asyncio.sleep(ANEW_SECONDS)

    async def ask_redis_number(self, section: str, name: str) -> int:
        """Return a number that Redis tells of itself."""
        said = await asyncio.to_thread(self.deployment.redis.ask, "INFO", section)
        found = re.search(rf"{name}:(\d+)", said.decode())
        assert found is not None
        return int(found[1])

    async def flush_redis(self) -> None:
        """All keys are gone at once."""
        await asyncio.to_thread(self.deployment.redis.ask, "FLUSHALL")
        await asyncio.sleep(ANEW_SECONDS)

    async def restart_postgres(self) -> None:
        """At once, as after a crash; it is away for some time."""
        await self.in_thread(lambda: self.deployment.postgres.stop(signal.SIGQUIT))
        try:
            await self.for_some_time()
        finally:
            await self.in_thread(self.deployment.postgres.start)

    async def use_up_connections(self) -> None:
        """Others have all that there are."""
        asyncpg_module: Any = asyncpg
        held: list[Any] = []
        await asyncio.to_thread(self.deployment.postgres.drop_connections)
        try:
            with suppress(asyncpg_module.TooManyConnectionsError):
                while True:
                    held.append(await asyncpg_module.connect(self.deployment.database))
            await self.for_some_time()
        finally:
            for one in held:
                one.terminate()

    async def set_clock_ahead(self) -> None:
        """One's time of day jumps, and jumps back."""
        await self.set_clock(AN_HOUR)

    async def set_clock_behind(self) -> None:
        """The same the other way."""
        await self.set_clock(-AN_HOUR)

    async def set_clock(self, seconds: int) -> None:
        """Have a server's clock be wrong for some time."""
        async with self.some_server() as server:
            server.set_clock(seconds)
            await self.for_some_time()
            server.set_clock(0)

    async def restart_all(self) -> None:
        """Each server in turn, as a deployment does it."""
        for server in self.deployment.servers:
            await self.in_thread(server.stop)
            await self.in_thread(server.start)
