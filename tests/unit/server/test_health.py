"""Whoever watches over the server learns what is wrong within a second, and measures cost nothing that shows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from usechat.errors import ProviderStreamError
from usechat.server.app import create_app
from usechat.server.health import FRESH_SECONDS, Health
from usechat.server.meter import MAX_KINDS, Histogram, Meter
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

CHAT = {"id": "c", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hello"}]}]}


async def fine() -> None:
    """A database that answers."""


async def away() -> None:
    raise ConnectionRefusedError


async def test_ready_process_says_so() -> None:
    assert await Health({"database": fine}).check() == (True, {"database": "ok"})
    assert await Health({}).check() == (True, {})


async def test_what_is_away_is_named() -> None:
    assert await Health({"database": fine, "redis": away}).check() == (False, {"database": "ok", "redis": "away"})


async def test_what_hangs_is_away_within_a_second_and_asked_once() -> None:
    asked = 0
    answer = asyncio.Event()

    async def hang() -> None:
        nonlocal asked
        asked += 1
        await answer.wait()

    health = Health({"database": hang})
    began = time.monotonic()
    found = await asyncio.gather(*[health.check() for _ in range(3)])
    assert found == [(False, {"database": "away"})] * 3
    assert time.monotonic() - began < 10
    health.fresh_until = 0.0
    await health.check()
    assert asked == 1
    answer.set()
    await asyncio.sleep(0)
    health.fresh_until = 0.0
    assert await health.check() == (True, {"database": "ok"})


async def test_many_who_ask_do_not_keep_the_database_busy() -> None:
    asked = 0

    async def count() -> None:
        nonlocal asked
        asked += 1

    health = Health({"database": count})
    for _ in range(100):
        await health.check()
    assert asked <= 1 + 100 * 10 / FRESH_SECONDS
    assert asked < 50


async def test_process_that_ends_gets_no_requests() -> None:
    health = Health({"database": fine})
    health.is_draining = True
    assert (await health.check())[0] is False


@pytest.fixture
async def client() -> AsyncGenerator[httpx.AsyncClient]:
    settings = {"model": "demo", "database_url": "off", "metrics": True, "api_keys": "the-key"}
    app = create_app(Settings.model_validate(settings))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as made:
        yield made


async def test_readiness_needs_no_key(client: httpx.AsyncClient) -> None:
    answered = await client.get("/readyz")
    assert (answered.status_code, answered.json()) == (200, {"status": "ok"})
    assert (await client.head("/readyz")).status_code == 200


async def test_numbers_need_a_key_and_tell_of_the_answers(client: httpx.AsyncClient) -> None:
    assert (await client.get("/metrics")).status_code == 401
    key = {"authorization": "Bearer the-key"}
    assert (await client.post("/api/chat", json=CHAT, headers=key)).status_code == 200
    answered = await client.get("/metrics", headers=key)
    assert answered.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in answered.text.splitlines() if not line.startswith("#"))
    assert lines["usechat_readers"] == "0.0"
    assert lines["usechat_answers_running"] == "0.0"
    assert lines["usechat_first_chunk_seconds_count"] == "1.0"
    assert float(lines["usechat_chunk_gap_seconds_count"]) > 1
    assert lines['usechat_requests_total{status="200"}'] == "1.0"
    assert lines['usechat_requests_total{status="401"}'] == "1.0"
    assert float(lines['usechat_tokens_total{kind="output"}']) > 0


async def test_numbers_are_nowhere_unless_asked_for() -> None:
    app = create_app(Settings.model_validate({"model": "demo", "database_url": "off"}))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as made:
        assert (await made.get("/metrics")).status_code == 404


def test_values_are_counted_up_to_their_bounds() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 9.0):
        histogram.add(value)
    assert list(histogram.buckets()) == [("1.0", 2), ("2.0", 3), ("+Inf", 4)]
    assert histogram.total == 12.0


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": "overloaded_error"}, "overloaded_error"),
        ({"status": 529}, "status_529"),
        ({}, "ProviderStreamError"),
    ],
)
def test_errors_of_the_provider_are_counted_by_kind(error: dict[str, Any], kind: str) -> None:
    meter = Meter()
    meter.note_error(ProviderStreamError("failed", provider="anthropic", **error))
    meter.note_error(ValueError("a tool's"))
    assert meter.upstream_errors == {kind: 1}


def test_provider_cannot_name_endless_kinds() -> None:
    meter = Meter()
    for number in range(MAX_KINDS + 9):
        meter.note_error(ProviderStreamError("failed", provider="anthropic", code=f"kind-{number}"))
    assert len(meter.upstream_errors) == MAX_KINDS + 1
    assert meter.upstream_errors["other"] == 9
