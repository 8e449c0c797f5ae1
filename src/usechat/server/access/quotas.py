"""What a user and an address may cost: requests a minute, answers at once, tokens a day; and what the server may hold.

Requests and tokens are counted by the ``limits`` package, in Redis where there is one, so that all processes count
together. Answers at once are counted by each process: they are its own.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final
from weakref import finalize

from usechat.errors import RequestError
from usechat.extras import needing
from usechat.server.access.asking import Asking

with needing("server"):
    from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
    from limits.aio.storage import RedisStorage, Storage
    from limits.aio.strategies import FixedWindowRateLimiter

from usechat.server.settings import Settings

__all__ = ["LimitError", "Quotas", "Slots", "WindowMemory"]

FULL_SECONDS: Final = 2
"""``Retry-After`` of a server that has no room: an answer ends every few moments."""
AWAY_SECONDS: Final = 5.0
"""Seconds after a failure in which Redis is not asked: every request would wait for it."""
SWEEP_AT: Final = 1000

logger = logging.getLogger(__name__)


class LimitError(RequestError):
    """A limit of the server or of its user is reached.

    Args:
        message: One sentence for the user.
        limit: The limit's name, for metrics.
        status: 429, or 503 where others take the room.
        retry_after: Seconds after which another try makes sense.
    """

    def __init__(self, message: str, *, limit: str, retry_after: float, status: int = 429) -> None:
        super().__init__(message, status=status)
        self.limit = limit
        self.retry_after = max(1, math.ceil(retry_after))


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
                # As many again may come before the next look at all.
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


class Slots:
    """The running answers of this process.

    Args:
        most: How many there may be; 0: any number.
        most_each: How many there may be for a user, and for an address.
    """

    def __init__(self, most: int, most_each: int) -> None:
        self.most = most
        self.most_each = most_each
        self.running = 0
        self.by_holder: Counter[str] = Counter()

    def check(self, now: Asking) -> None:
        """Check whether another answer may begin.

        Raises:
            LimitError: It may not.
        """
        if self.most and self.running >= self.most:
            text = "The server has no room for another answer. Try again in a moment."
            raise LimitError(text, limit="answers", status=503, retry_after=FULL_SECONDS)
        if self.most_each and any(self.by_holder[holder] >= self.most_each for holder in holders(now)):
            text = "Too many answers are running for you. Wait for one to end."
            raise LimitError(text, limit="answers_each", retry_after=FULL_SECONDS)

    def take(self, answer: object, now: Asking) -> Callable[[], object]:
        """Count an answer until the function that is returned is called, or nobody holds the answer any more.

        Raises:
            LimitError: As for `check`.
        """
        self.check(now)
        held = holders(now)
        self.running += 1
        self.by_holder.update(held)
        given = finalize(answer, self._give_back, held)
        given.atexit = False
        return given

    def _give_back(self, held: tuple[str, ...]) -> None:
        self.running -= 1
        for holder in held:
            self.by_holder[holder] -= 1
            if self.by_holder[holder] <= 0:
                del self.by_holder[holder]


class Quotas:
    """The limits of requests and tokens.

    Args:
        settings: The limits, and Redis.
    """

    def __init__(self, settings: Settings) -> None:
        self.requests = item(RateLimitItemPerMinute, settings.requests_per_minute)
        self.tokens = item(RateLimitItemPerDay, settings.tokens_per_day)
        self.own = FixedWindowRateLimiter(WindowMemory())
        self.shared = self.own
        self.redis: Any = None
        self.away_until = 0.0
        if settings.redis_url is not None and (self.requests or self.tokens):
            url = settings.redis_url.get_secret_value()
            options: Any = {"implementation": "redispy", "key_prefix": "usechat:limits", "socket_timeout": 1.0}
            self.redis = RedisStorage(f"async+{url}", **options)
            self.shared = FixedWindowRateLimiter(self.redis)

    async def admit(self, now: Asking) -> None:
        """Count a request.

        Raises:
            LimitError: There were too many.
        """
        if self.requests is None:
            return
        for holder in holders(now):
            if not await self._ask("hit", self.requests, holder):
                text = "Too many requests. Try again in a minute."
                raise LimitError(text, limit="requests", retry_after=await self._seconds_left(self.requests, holder))

    async def check_tokens(self, now: Asking) -> None:
        """See whether tokens are left for today.

        Raises:
            LimitError: There are none.
        """
        if self.tokens is None:
            return
        for holder in holders(now):
            if not await self._ask("test", self.tokens, holder):
                text = "The tokens of this day are used up. Try again tomorrow."
                raise LimitError(text, limit="tokens", retry_after=await self._seconds_left(self.tokens, holder))

    async def spend(self, now: Asking, tokens: int) -> None:
        """Count tokens that were used."""
        if self.tokens is not None and tokens > 0:
            for holder in holders(now):
                await self._ask("hit", self.tokens, holder, cost=tokens)

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

    async def _seconds_left(self, limit: RateLimitItem, holder: str) -> float:
        return (await self._ask("get_window_stats", limit, holder)).reset_time - time.time()


def item(kind: type[RateLimitItem], amount: int) -> RateLimitItem | None:
    return kind(amount) if amount else None


def holders(now: Asking) -> tuple[str, ...]:
    """Return whose counters a request counts in: its user's, if it has one, and its address's."""
    address = f"address:{network_of(now.address)}"
    return (address,) if now.user is None else (f"user:{now.user}", address)


def network_of(address: str) -> str:
    """Return an address; of IPv6 the network, since a customer has 2^64 addresses."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed) >> 64 << 64, 64)))
