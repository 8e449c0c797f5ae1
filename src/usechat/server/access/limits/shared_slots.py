"""Running answers of each user and address, counted in Redis by all processes together.

Each running answer is an entry with an end, which its process puts off for as long as it runs. So what a process that
died was answering is forgotten by itself.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Final

from usechat.errors import RunError
from usechat.ids import generate_id
from usechat.runs.redis.client import ScriptClient
from usechat.runs.redis.scripts import NOW, Script

__all__ = ["LEASE_SECONDS", "SharedSlots"]

LEASE_SECONDS: Final = 30.0
"""Seconds after which the answers of a process that died count no more."""
RENEWALS: Final = 3
ANSWER_SECONDS: Final = 2.0
AWAY_SECONDS: Final = 5.0
"""Seconds after a failure in which Redis is not asked: every request would wait for it."""
PREFIX: Final = "usechat:answers:"
BATCH: Final = 500

# KEYS: a sorted set for each holder. ARGV: the lease in ms, the most answers, the new one's name or nothing, 1 to let
# it in whatever there is.
TAKE: Final = Script(
    NOW
    + """
for _, key in ipairs(KEYS) do
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  -- It may run twice: the answer to the first time was lost.
  local is_full = redis.call('ZCARD', key) >= tonumber(ARGV[2]) and not redis.call('ZSCORE', key, ARGV[3])
  if is_full and ARGV[4] ~= '1' then
    return 0
  end
end
if ARGV[3] ~= '' then
  for _, key in ipairs(KEYS) do
    redis.call('ZADD', key, now + ARGV[1], ARGV[3])
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
return 1
"""
)
# KEYS: as above, one for each entry. ARGV: the lease in ms, or 0 to end them; the entries' names.
KEEP: Final = Script(
    NOW
    + """
for index, key in ipairs(KEYS) do
  if ARGV[1] == '0' then
    redis.call('ZREM', key, ARGV[index + 1])
  else
    redis.call('ZADD', key, now + ARGV[1], ARGV[index + 1])
    redis.call('PEXPIRE', key, ARGV[1])
  end
end
"""
)

logger = logging.getLogger(__name__)


class SharedSlots:
    """The running answers of all processes. While Redis is away each process counts by itself.

    Args:
        url: The Redis.
        most_each: How many answers there may be for a holder.
        lease_seconds: For how long a process that says nothing counts as alive.
    """

    def __init__(self, url: str, most_each: int, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._client = ScriptClient(url, patience=ANSWER_SECONDS)
        self._most_each = most_each
        self._lease_seconds = lease_seconds
        self._lease = round(lease_seconds * 1000)
        self._held: dict[str, Sequence[str]] = {}
        """The keys of each running answer of this process."""
        self._gone: list[tuple[str, Sequence[str]]] = []
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.keeping: asyncio.Task[None] | None = None
        """Renews what this process has taken."""
        self._away_until = 0.0

    async def has_room(self, holders: Iterable[str]) -> bool:
        """Return whether another answer of all these holders may begin."""
        return await self._ask(keys_of(holders), "")

    async def take(self, holders: Iterable[str], name: str | None = None, *, is_let_in: bool = False) -> str | None:
        """Count an answer until `give_back` is called with the name that is returned; None if there is no room.

        Args:
            holders: Whom it counts for.
            name: Its name; one that is counted already counts once.
            is_let_in: Whether it counts even if there is no room.
        """
        name, keys = name or generate_id("answer", 20), keys_of(holders)
        # Before Redis is asked: a client that leaves meanwhile gives the place back, too.
        self._held[name] = keys
        is_taken = False
        try:
            is_taken = await self._ask(keys, name, is_let_in=is_let_in)
        finally:
            if not is_taken:
                self.give_back(name)
        if self.keeping is None:
            self._loop = asyncio.get_running_loop()
            self.keeping = asyncio.create_task(self._keep())
        return name if is_taken else None

    def give_back(self, name: str) -> None:
        """Count an answer no more. Any thread may call it, and more than once."""
        keys = self._held.pop(name, None)
        if keys is not None:
            self._gone.append((name, keys))
            if self._loop is not None:
                with suppress(RuntimeError):  # the loop is closed, and what it counted ends by itself
                    self._loop.call_soon_threadsafe(self._wake.set)

    async def aclose(self) -> None:
        """Give all places back and close the connections."""
        if self.keeping is not None:
            self.keeping.cancel()
            await asyncio.gather(self.keeping, return_exceptions=True)
        for name in list(self._held):
            self.give_back(name)
        with suppress(RunError, TimeoutError):
            await self._send_all(self._gone, 0)
        await self._client.aclose()

    async def _ask(self, keys: Sequence[str], name: str, *, is_let_in: bool = False) -> bool:
        if time.monotonic() < self._away_until:
            return True
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._client.call(TAKE, keys, self._lease, self._most_each, name, int(is_let_in))
                return bool(answer)
        except (RunError, TimeoutError):
            self._note_away()
            return True

    async def _keep(self) -> None:
        pause = self._lease_seconds / RENEWALS
        next_at = time.monotonic() + pause
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, next_at - time.monotonic())):
                    await self._wake.wait()
            self._wake.clear()
            gone, self._gone = self._gone, []
            try:
                await self._send_all(gone, 0)
                if time.monotonic() >= next_at:
                    next_at = time.monotonic() + pause
                    await self._send_all(list(self._held.items()), self._lease)
            except (RunError, TimeoutError):
                # The rest ends by itself.
                self._note_away()

    async def _send_all(self, entries: Iterable[tuple[str, Sequence[str]]], lease: int) -> None:
        pairs = [(name, key) for name, keys in entries for key in keys]
        for start in range(0, len(pairs), BATCH):
            some = pairs[start : start + BATCH]
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._client.call(KEEP, [key for _, key in some], lease, *(name for name, _ in some))

    def _note_away(self) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("answers at once are counted by this process alone for a while: Redis does not answer")


def keys_of(holders: Iterable[str]) -> list[str]:
    return [PREFIX + holder for holder in holders]
