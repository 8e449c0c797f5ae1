"""Counters of requests and tokens, by the ``limits`` package: in Redis where there is one, else in this process.

Imported only where a limit is set: the package takes a while to import.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Final

from usechat.extras import needing

with needing("server"):
    from limits import RateLimitItem
    from limits.aio.storage import RedisStorage, Storage
    from limits.aio.strategies import FixedWindowRateLimiter

__all__ = ["Counters", "WindowMemory"]

AWAY_SECONDS: Final = 5.0
"""Seconds after a failure in which Redis is not asked: every request would wait for it."""
ANSWER_SECONDS: Final = 1.0
SWEEP_AT: Final = 1000

logger = logging.getLogger(__name__)


class WindowMemory(Storage):
    """Counters of one process for the ``limits`` package.

    The package's own looks at all counters with each request.
    """

    STORAGE_SCHEME = ["usechat-memory"]  # noqa: RUF012 - as in the package

    def __init__(self) -> None:
        super().__init__()
        self.counters: dict[str, tuple[int, float]] = {}
        """Count and end of each window, by key."""
        self.sweep_at = SWEEP_AT

    @property
    def base_exceptions(self) -> type[Exception]:
        """What it raises: nothing of its own."""
        return ValueError

    async def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Add to a counter and return it. The first one of a window begins it."""
        now = time.time()
        count, end = self.counters.get(key, (0, 0.0))
        if end <= now:
            count, end = 0, now + expiry
            if len(self.counters) >= self.sweep_at:
                self.counters = {key: kept for key, kept in self.counters.items() if kept[1] > now}
                # Until the next look, as many again may come.
                self.sweep_at = max(SWEEP_AT, 2 * len(self.counters))
        self.counters[key] = count + amount, end
        return count + amount

    async def get(self, key: str) -> int:
        """Return a counter."""
        count, end = self.counters.get(key, (0, 0.0))
        return count if end > time.time() else 0

    async def get_expiry(self, key: str) -> float:
        """Return the end of a counter's window."""
        return self.counters.get(key, (0, time.time()))[1]

    async def check(self) -> bool:
        """Return whether it can be used."""
        return True

    async def reset(self) -> int | None:
        """Forget all counters."""
        self.counters.clear()
        return None

    async def clear(self, key: str) -> None:
        """Forget a counter."""
        self.counters.pop(key, None)


class Counters:
    """Counts up to limits. While Redis is away, this process counts by itself.

    Args:
        redis_url: Where all processes count together; None for this process alone.
    """

    def __init__(self, redis_url: str | None) -> None:
        self.own = FixedWindowRateLimiter(WindowMemory())
        self.shared = self.own
        self.redis: Any = None
        self.away_until = 0.0
        if redis_url is not None:
            options: Any = {
                "implementation": "redispy",
                "key_prefix": "usechat:limits",
                "socket_timeout": ANSWER_SECONDS,
                "socket_connect_timeout": ANSWER_SECONDS,
            }
            self.redis = RedisStorage(f"async+{redis_url}", **options)
            self.shared = FixedWindowRateLimiter(self.redis)

    async def hit(self, limit: RateLimitItem, holder: str, cost: int = 1) -> bool:
        """Count, and return whether the limit is kept."""
        return await self._ask("hit", limit, holder, cost=cost)

    async def test(self, limit: RateLimitItem, holder: str) -> bool:
        """Return whether something is left."""
        return await self._ask("test", limit, holder)

    async def seconds_left(self, limit: RateLimitItem, holder: str) -> float:
        """Return the seconds until the window ends."""
        return (await self._ask("get_window_stats", limit, holder)).reset_time - time.time()

    async def aclose(self) -> None:
        """Close the connections."""
        if self.redis is not None:
            await self.redis.bridge.storage.aclose()

    async def _ask(self, method: str, limit: RateLimitItem, holder: str, **options: Any) -> Any:
        if time.monotonic() >= self.away_until:
            try:
                return await getattr(self.shared, method)(limit, holder, **options)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it must not stop the server
                self.away_until = time.monotonic() + AWAY_SECONDS
                logger.warning("limits are counted by this process alone for a while: %s", type(error).__name__)
        return await getattr(self.own, method)(limit, holder, **options)
