"""A few shared connections to Redis and the scripts sent over them. Failures of Redis become `RunError`.

Commands share a small pool. Calls that block (the subscription, the shared tail) have a connection each.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any

from usechat.extras import needing

with needing("redis"):
    from redis import asyncio as redis_asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.exceptions import ConnectionError as RedisConnectionError
    from redis.exceptions import NoScriptError, RedisError, ResponseError

from usechat.errors import RunError
from usechat.runs.memory.run import unavailable
from usechat.runs.redis.scripts import Script

__all__ = ["LONGEST_PAUSE", "Backoff", "ScriptClient"]

logger = logging.getLogger(__name__)

POOL_SIZE = 8
"""Connections for commands. All writes of a process go over one of them at a time."""
ANSWER_SECONDS = 5.0
"""Seconds that Redis may take for an answer, which usually takes less than a millisecond."""
CONNECT_SECONDS = 2.0
SILENCE_SECONDS = 5.0
"""Seconds of silence after which a subscription checks its connection."""
SLOW_SECONDS = 1.0
"""Seconds after which an answer counts as an absence of Redis."""
RETRIES = 3
SHORTEST_PAUSE = 0.02
LONGEST_PAUSE = 1.0
"""The longest pause, in seconds, between two tries."""

redis: Any = redis_asyncio
# Its methods are typed for two clients at once, or not at all: as Any they can be awaited.


class Backoff:
    """Pauses between tries, from short ones doubling to a second."""

    def __init__(self) -> None:
        self.pause = SHORTEST_PAUSE

    async def wait(self) -> None:
        """Wait before the next try."""
        await asyncio.sleep(self.pause)
        self.pause = min(self.pause * 2, LONGEST_PAUSE)

    def reset(self) -> None:
        """Begin with a short pause again, after a success."""
        self.pause = SHORTEST_PAUSE


@contextmanager
def reported() -> Generator[None]:
    """Map failures of Redis to `RunError`."""
    try:
        yield
    except (RedisError, OSError) as error:
        if isinstance(error, ResponseError):
            # Redis answers with a refusal: it has no memory, is a replica, or wants a password.
            logger.warning("Redis refused: %s", error)
        raise unavailable() from error


async def answered(ask: Callable[[], Awaitable[Any]]) -> Any:
    """Ask and return the answer. Ask once more when the connection broke, as an idle one may have."""
    backoff = Backoff()
    tries = 0
    limit = asyncio.timeout(ANSWER_SECONDS)
    try:
        async with limit:
            while True:
                try:
                    return await ask()
                except (RedisConnectionError, OSError):
                    tries += 1
                    if tries > RETRIES:
                        raise
                    await backoff.wait()
    except TimeoutError:
        if limit.expired():
            raise TimeoutError(f"Redis did not answer in {ANSWER_SECONDS:g} seconds") from None
        raise


async def published(subscription: Any) -> AsyncGenerator[bytes]:
    while True:
        message = await subscription.get_message(timeout=SILENCE_SECONDS)
        if message is not None and message["type"] == "subscribe":
            yield b""
        elif message is not None and message["type"] == "message":
            yield message["data"]


class ScriptClient:
    """A client of Redis with the calls that the log needs.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``.
        patience: Seconds of absence that `was_away` ignores.
    """

    def __init__(self, url: str, patience: float) -> None:
        shared: dict[str, Any] = {
            # One protocol version, so that answers have one shape; the newer one tells nothing that is needed here.
            "protocol": 2,
            "socket_connect_timeout": CONNECT_SECONDS,
            # Times are limited here instead: with a socket timeout redis-py waits in a way that, on Python 3.11, can
            # lose a cancellation.
            "socket_timeout": None,
            # Retries are decided here.
            "retry": Retry(NoBackoff(), 0),
        }
        if not url.startswith("unix:"):
            # A socket of the system notices a dead end by itself, and redis-py takes the option for TCP alone.
            shared["socket_keepalive"] = True
        pool = redis.BlockingConnectionPool.from_url(url, max_connections=POOL_SIZE, timeout=ANSWER_SECONDS, **shared)
        self.commands = redis.Redis.from_pool(pool)
        self.blocking = redis.Redis.from_url(url, health_check_interval=SILENCE_SECONDS, **shared)
        self._patience = patience
        self.failed_at = -math.inf
        """When a call last failed, even if the next try worked."""
        self._away_since: float | None = None
        self._back_at = -math.inf

    async def call(self, script: Script, keys: Sequence[str], *arguments: Any) -> Any:
        """Run a script and return its answer. It may run twice.

        Raises:
            RunError: ``unavailable``.
        """

        async def ask() -> Any:
            try:
                return await self.commands.evalsha(script.sha, len(keys), *keys, *arguments)
            except NoScriptError:
                # A Redis that was started anew, or never saw it.
                return await self.commands.eval(script.text, len(keys), *keys, *arguments)

        return await self._answer(ask)

    async def call_each(self, script: Script, keys: Sequence[Sequence[str]]) -> list[Any]:
        """Run a script for each list of keys in one round trip and return the answers.

        Raises:
            RunError: ``unavailable``.
        """

        async def ask() -> list[Any]:
            pipeline = self.commands.pipeline(transaction=False)
            for some in keys:
                pipeline.eval(script.text, len(some), *some)
            return await pipeline.execute()

        return await self._answer(ask)

    async def command(self, name: str, *arguments: Any) -> Any:
        """Run one command and return its answer. It may run twice.

        Raises:
            RunError: ``unavailable``.
        """
        return await self._answer(lambda: self.commands.execute_command(name, *arguments))

    async def _answer(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async def try_to_ask() -> Any:
            try:
                return await ask()
            except (RedisConnectionError, OSError):
                self.failed_at = time.monotonic()
                raise

        now = time.monotonic()
        try:
            with reported():
                answer = await answered(try_to_ask)
        except RunError:
            self.failed_at = time.monotonic()
            self._away_since = self._away_since or now
            raise
        answered_at = time.monotonic()
        if self._away_since is not None:
            if now - self._away_since > self._patience:
                self._back_at = answered_at
            self._away_since = None
        elif answered_at - now > max(self._patience, SLOW_SECONDS):
            # It was paused or cut off, and goes on with the commands it was sent.
            self._back_at = answered_at
        return answer

    @property
    def seconds_back(self) -> float:
        """Seconds since the last absence of Redis that `was_away` counts."""
        return time.monotonic() - self._back_at

    async def was_away(self, within: float) -> bool:
        """Return whether Redis came back less than ``within`` seconds ago, from an absence longer than ``patience``.

        Raises:
            RunError: ``unavailable``: it is away now.
        """
        if self._away_since is not None:
            await self.command("PING")
        return self.seconds_back < within

    async def read_streams(self, after: Mapping[str, str], *, count: int, block: int) -> list[Any]:
        """Return the entries of streams after the given ids. Wait up to ``block`` ms for some.

        Raises:
            RunError: ``unavailable``.
        """
        with reported():
            async with asyncio.timeout(block / 1000 + ANSWER_SECONDS):
                return await self.blocking.xread(after, count=count, block=block) or []

    @asynccontextmanager
    async def subscribed(self, channel: str) -> AsyncGenerator[AsyncGenerator[bytes]]:
        """Subscribe to a channel and give its messages from now on.

        Raises:
            RunError: ``unavailable``, also when the connection breaks later.
        """
        subscription = self.blocking.pubsub()
        try:
            with reported():
                await subscription.subscribe(channel)
                async with aclosing(published(subscription)) as messages:
                    # The first one tells that the subscription holds.
                    await anext(messages)
                    yield messages
        finally:
            await subscription.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self.commands.aclose(close_connection_pool=True)
        await self.blocking.aclose(close_connection_pool=True)
