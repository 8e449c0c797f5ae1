"""A run whose readers get nothing that Redis has not got: what they have seen outlives this process."""

from __future__ import annotations

from usechat.runs.log import EndState
from usechat.runs.redis.own_run import RedisRun

__all__ = ["StrictRun"]


class StrictRun(RedisRun):
    """A run of this process that is shown as far as Redis has it, its end included."""

    is_shown_at_once = False

    def readable(self) -> int:
        """Return the number of entries that Redis has."""
        return min(self.written, len(self.ends))

    def note_written(self, entries: int) -> None:
        """Record how many entries Redis has, and wake readers."""
        super().note_written(entries)
        self.wake()

    def release(self, state: EndState) -> None:
        """Do nothing: the end is shown when Redis has it."""
