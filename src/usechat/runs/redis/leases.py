"""Decides which producers have died, by their leases in Redis.

A lease that has ended does not prove that its producer is dead. When Redis itself was paused, every lease looks ended
until the living have renewed theirs. So a run is taken only when this process has
seen the same end of its lease before, long enough ago for its producer to have renewed it since.
"""

from __future__ import annotations

import time
from collections.abc import Container, Sequence
from typing import Any

from usechat.errors import RunError
from usechat.runs.log import Limits
from usechat.runs.redis.client import ScriptClient
from usechat.runs.redis.keys import Keys
from usechat.runs.redis.scripts import LATE, TAKE_LOST

__all__ = ["Leases"]

MAX_TAKEN = 32
"""The most lost runs that one process takes at once. It leaves the others to later calls and other processes."""
MAX_WATCHED = 256
"""The most late leases that it looks at, the oldest first."""
PROMPT_SECONDS = 0.1
"""Seconds after which a slow answer counts as time in which producers could not renew."""
BOUND_SECONDS = 1.0
"""Seconds after Redis told its time during which runs may be taken."""


class Leases:
    """The leases that this process has seen late.

    Args:
        client: The Redis.
        keys: The names of its keys.
        limits: The limits of the log.
        grace: Seconds within which a living producer that can reach Redis has renewed its lease.
    """

    def __init__(self, client: ScriptClient, keys: Keys, limits: Limits, *, grace: float) -> None:
        self._client = client
        self._keys = keys
        self._limits = limits
        self._silence = min(limits.silence, limits.lease)
        self._grace = grace
        self._late: dict[tuple[str, str], float] = {}
        """When each late end of a lease was first seen, by run and end; the end is ``""`` for a run without a lease."""

    async def seconds_silent(self, run_id: str) -> float | None:
        """Return the seconds since a run's producer last renewed its lease; None when it has no lease.

        Raises:
            RunError: ``unavailable``.
        """
        now, end = await self._look(run_id)
        return None if end == "" else max((now - int(end)) / 1000 + self._limits.lease, 0.0)

    async def take(self, run_id: str | None, *, own: Container[str]) -> list[Any]:
        """Take the runs whose producers are dead, or the named run, and return what `TAKE_LOST` answers.

        Args:
            run_id: The named one.
            own: The ones that are made here.

        Raises:
            RunError: ``unavailable``.
        """
        now, _ = await self._look(run_id or "")
        ripe = [pair for pair in self._late if self._is_ripe(*pair) and pair[0] not in own]
        if run_id is not None:
            ripe = [pair for pair in ripe if pair[0] == run_id]
        else:
            ripe = [pair for pair in ripe if pair[1] != ""]
        if not ripe:
            return []
        limits = self._limits
        times = [round(seconds * 1000) for seconds in (limits.lease, limits.retain, self._silence)]
        bound = now + round(min(BOUND_SECONDS, self._grace) * 1000)
        pairs = [text for pair in ripe for text in pair]
        arguments = [self._keys.prefix, *times, run_id or "", bound, MAX_TAKEN, *pairs]
        return await self._client.call(TAKE_LOST, [self._keys.leases], *arguments)

    async def _look(self, run_id: str) -> tuple[int, str]:
        """Record the late leases. Return Redis' time (ms) and the end of one run's lease."""
        margin = round((self._limits.lease - 2 * self._silence / 5) * 1000)
        asked_at = time.monotonic()
        try:
            answer = await self._client.call(LATE, [self._keys.leases], margin, MAX_WATCHED, run_id)
        except RunError:
            self._postpone(time.monotonic() - asked_at)
            raise
        took = time.monotonic() - asked_at
        if took > PROMPT_SECONDS:
            self._postpone(took)
        now, end, late = answer
        found = [text.decode() for text in late]
        seen: set[tuple[str, str]] = set(zip(found[::2], found[1::2], strict=True))
        # Those without a lease are in no list; they are asked for by name.
        seen.update(pair for pair in self._late if pair[1] == "" and pair[0] != run_id)
        if run_id and end == b"":
            seen.add((run_id, ""))
        self._late = {pair: self._late.get(pair, time.monotonic()) for pair in self._recent(seen)}
        return int(now), end.decode()

    def _recent(self, seen: set[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """Return the leases in ``seen`` that were asked for lately."""
        oldest = time.monotonic() - 10 * self._limits.lease - self._grace
        return [pair for pair in seen if pair[1] != "" or self._late.get(pair, oldest) >= oldest]

    def _postpone(self, seconds: float) -> None:
        """Leave out time in which Redis did not answer: no producer could renew in it."""
        self._late = {pair: since + seconds for pair, since in self._late.items()}

    def _is_ripe(self, _run_id: str, end: str) -> bool:
        needed = self._grace if end else max(self._grace, self._limits.lease)
        return time.monotonic() - self._late[_run_id, end] >= needed
