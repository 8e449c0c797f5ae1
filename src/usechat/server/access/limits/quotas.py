"""Quotas of a user and of an address: requests a minute, answers at once, tokens a day; and of the whole server.

Answers at once are counted by each process; `usechat.server.access.limits.shared_slots` counts those of all.
"""

from __future__ import annotations

import ipaddress
import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final
from weakref import finalize

from usechat.errors import RequestError
from usechat.server.access.asking import Asking
from usechat.server.settings import Settings

if TYPE_CHECKING:
    from limits import RateLimitItem

    from usechat.server.access.limits.counters import Counters

__all__ = ["LimitError", "Quotas", "Slots", "holders", "too_many_answers"]

FULL_SECONDS: Final = 2
"""``Retry-After`` of a server that has no room: an answer ends every few moments."""


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
            raise too_many_answers()

    def take(self, answer: object, now: Asking) -> Callable[[], object]:
        """Count an answer until the function that is returned is called, or nobody holds the answer any more.

        Raises:
            LimitError: As for `check`; never for an answer that goes on after its process has died.
        """
        if not now.goes_on:
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


def too_many_answers() -> LimitError:
    """Return the refusal of an answer beyond those that its user or address may have at once."""
    text = "Too many answers are running for you. Wait for one to end."
    return LimitError(text, limit="answers_each", retry_after=FULL_SECONDS)


class Quotas:
    """The limits of requests and tokens.

    Args:
        settings: The limits, and Redis.
    """

    def __init__(self, settings: Settings) -> None:
        self.requests: RateLimitItem | None = None
        self.tokens: RateLimitItem | None = None
        self._counters: Counters | None = None
        if not (settings.requests_per_minute or settings.tokens_per_day):
            return
        from limits import RateLimitItemPerDay, RateLimitItemPerMinute

        from usechat.server.access.limits.counters import Counters

        if settings.requests_per_minute:
            self.requests = RateLimitItemPerMinute(settings.requests_per_minute)
        if settings.tokens_per_day:
            self.tokens = RateLimitItemPerDay(settings.tokens_per_day)
        self._counters = Counters(None if settings.redis_url is None else settings.redis_url.get_secret_value())

    async def admit(self, now: Asking) -> None:
        """Count a request.

        Raises:
            LimitError: There were too many.
        """
        if self.requests is None or self._counters is None:
            return
        for holder in holders(now):
            if not await self._counters.hit(self.requests, holder):
                text, seconds = "Too many requests. Try again in a minute.", self._counters.seconds_left
                raise LimitError(text, limit="requests", retry_after=await seconds(self.requests, holder))

    async def check_tokens(self, now: Asking) -> None:
        """See whether tokens are left for today.

        Raises:
            LimitError: There are none.
        """
        if self.tokens is None or self._counters is None:
            return
        for holder in holders(now):
            if not await self._counters.test(self.tokens, holder):
                text, seconds = "The tokens of this day are used up. Try again tomorrow.", self._counters.seconds_left
                raise LimitError(text, limit="tokens", retry_after=await seconds(self.tokens, holder))

    async def spend(self, now: Asking, tokens: int) -> None:
        """Count tokens that were used."""
        if self.tokens is not None and self._counters is not None and tokens > 0:
            for holder in holders(now):
                await self._counters.hit(self.tokens, holder, tokens)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._counters is not None:
            await self._counters.aclose()


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
