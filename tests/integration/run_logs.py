"""Run logs to test: in memory, and on a Redis started for the tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from usechat.ids import generate_id
from usechat.runs.log import Entry, Limits, RunLog, RunWriter
from usechat.runs.memory.log import MemoryLog
from usechat.runs.redis.log import RedisLog

__all__ = ["LogMaker", "begin", "collect"]


@dataclass
class LogMaker:
    """Makes logs that share their runs, as different processes do; a log in memory has but one process."""

    url: str | None
    prefix: str = field(default_factory=lambda: f"test-{generate_id()}:")
    limits: Limits = field(default_factory=Limits)
    made: list[RunLog] = field(default_factory=list[RunLog])

    def make(self) -> RunLog:
        """The log as one more process has it."""
        if self.url is None:
            log = self.made[0] if self.made else MemoryLog(self.limits)
        else:
            log = RedisLog(self.url, self.limits, prefix=self.prefix)
        self.made.append(log)
        return log

    async def aclose(self) -> None:
        """Close all of them."""
        for log in self.made:
            await log.aclose()


async def begin(log: RunLog, chat_id: str = "chat") -> RunWriter:
    """A new run."""
    return await log.open(chat_id, owner="ada", headers={"x-a": "1"}, meta={"major": 6})


async def collect(log: RunLog, run_id: str, after: int = 0) -> list[Entry]:
    """All that a reader gets."""
    return [entry async for entry in log.read(run_id, after)]
