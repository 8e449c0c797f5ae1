"""The suite for run logs, on the one in memory and on a real Redis as other processes have it."""

from __future__ import annotations

import pytest

from tests.support.redis_server import RedisServer
from usechat.ids import generate_id
from usechat.runs.log import Limits, RunLog
from usechat.runs.memory.leased import LeasedRun
from usechat.runs.memory.log import MemoryLog
from usechat.runs.redis.log import RedisLog
from usechat.testing.runs import RunLogSuite
from usechat.testing.runs.logs import OpenLog


class TestMemoryLog(RunLogSuite):
    @pytest.fixture
    def open_log(self) -> OpenLog:
        return MemoryLog


class TestMemoryLogOfRunsWithALease(RunLogSuite):
    @pytest.fixture
    def open_log(self) -> OpenLog:
        return lambda limits: MemoryLog(limits, LeasedRun)


class TestRedisLog(RunLogSuite):
    @pytest.fixture
    def open_log(self, redis_server: RedisServer) -> OpenLog:
        prefix = f"test-{generate_id()}:"

        def open_log(limits: Limits) -> RunLog:
            return RedisLog(redis_server.url, limits, prefix=prefix)

        return open_log
