"""A server whose database and Redis are gone says so within a second; limits are counted together in Redis."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.integration.running_server import RunningServer, serving
from tests.support.redis_server import RedisServer
from usechat.server.access.asking import Asking
from usechat.server.access.limits.quotas import LimitError, Quotas
from usechat.server.settings import Settings

WITHIN_SECONDS = 30.0
"""Until the state is seen; each single answer is asked for with a second's patience in `state`."""


def state(server: RunningServer) -> tuple[int, dict[str, str]]:
    answered = server.client.get("/readyz", timeout=10)
    return answered.status_code, answered.json()


def await_state(server: RunningServer, code: int, **expected: str) -> None:
    end = time.monotonic() + WITHIN_SECONDS
    while True:
        found, body = state(server)
        if (found, body) == (code, body | expected):
            return
        assert time.monotonic() < end, (found, body)
        time.sleep(0.1)


def test_redis_that_is_gone_or_hangs_is_told(tmp_path: Path, own_redis: RedisServer) -> None:
    with serving(tmp_path, USECHAT_MODEL="demo", USECHAT_REDIS_URL=own_redis.url) as server:
        await_state(server, 200, status="ok", database="ok", redis="ok")
        own_redis.kill()
        await_state(server, 503, status="away", database="ok", redis="away")
        assert server.client.get("/healthz").status_code == 200
        own_redis.start()
        await_state(server, 200, redis="ok")
        own_redis.pause()
        await_state(server, 503, redis="away")
        own_redis.go_on()
        await_state(server, 200, redis="ok")


def test_database_that_is_gone_is_told(tmp_path: Path) -> None:
    with serving(tmp_path, USECHAT_MODEL="demo") as server:
        await_state(server, 200, database="ok")
        for file in tmp_path.glob("usechat.db*"):
            file.unlink()
        await_state(server, 503, status="away", database="away")


@pytest.mark.anyio
async def test_processes_count_together_in_redis(redis_server: RedisServer) -> None:
    settings = Settings.model_validate({"redis_url": redis_server.url, "requests_per_minute": 3, "tokens_per_day": 5})
    one, other = Quotas(settings), Quotas(settings)
    now = Asking(user="counted-together", address="counted-together")
    await one.admit(now)
    await other.admit(now)
    await one.admit(now)
    with pytest.raises(LimitError) as refused:
        await other.admit(now)
    assert 1 <= refused.value.retry_after <= 60
    await one.spend(now, 5)
    with pytest.raises(LimitError):
        await other.check_tokens(now)
    for quotas in (one, other):
        await quotas.aclose()
