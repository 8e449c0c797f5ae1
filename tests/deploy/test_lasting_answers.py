"""Answers of a Vercel function that outlive their reader, or the function; with real Redis and PostgreSQL."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.deployment import Function, booted
from tests.integration.running_server import run
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from usechat.testing.replay import ReplayServer, Reply

# The build installs the page's npm packages and builds the page: a minute, or several on a busy machine.
pytestmark = pytest.mark.timeout(900)

BODY = {
    "id": "chat",
    "trigger": "submit-message",
    "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}],
}
PACED = Reply("text", delay=0.2)
HELD = Reply("text", hold_after=6)
INVOCATION = "x-vercel-internal-invocation-id"


@pytest.fixture
def variables(redis_server: RedisServer, postgres_server: PostgresServer, tmp_path: Path) -> dict[str, str]:
    """What functions over the same chats are set up with."""
    redis_server.ask("FLUSHALL")
    settings = {
        "USECHAT_INSECURE": "1",
        "USECHAT_DATABASE_URL": postgres_server.make_database(),
        "USECHAT_REDIS_URL": redis_server.url,
        "ANTHROPIC_API_KEY": "unused",
        # The answer of a function that was cut is found out to be lost a few seconds later.
        "USECHAT_LEASE_SECONDS": "5",
    }
    migrated = run(tmp_path, ["migrate"], **settings)
    assert migrated.returncode == 0, migrated.stderr
    return settings


@contextmanager
def answering(
    function: Path, variables: Mapping[str, str], upstream: ReplayServer
) -> Generator[tuple[Function, httpx.Client]]:
    log = function.parents[4] / "function.log"
    with (
        booted(function, {**variables, "ANTHROPIC_BASE_URL": upstream.url}, log) as started,
        httpx.Client(base_url=started.platform.url, timeout=60) as client,
    ):
        yield started, client


def ask_and_leave(client: httpx.Client) -> None:
    with client.stream("POST", "/api/chat", json=BODY, headers={INVOCATION: "asked"}) as response:
        next(piece for piece in response.iter_text() if "text-delta" in piece)


def saved(client: httpx.Client) -> tuple[list[Any], list[str]]:
    """The messages, and how each came about."""
    chat = client.get("/api/chats/chat/export").json()
    return chat["messages"], [detail["status"] for detail in chat["details"]]


def test_an_answer_whose_reader_may_come_back_keeps_the_function_alive(function: Path, variables: dict[str, str]):
    with ReplayServer(PACED) as upstream, answering(function, variables, upstream) as (started, client):
        client.get("/api/chat/chat/stream")
        ask_and_leave(client)
        started.platform.wait_for("end", invocationId="asked")

        assert upstream.requests[0].is_complete
        assert saved(client)[1] == ["whole", "whole"]


def test_an_answer_whose_reader_has_gone_lets_the_function_end(function: Path, variables: dict[str, str]):
    with ReplayServer(HELD) as upstream, answering(function, variables, upstream) as (started, client):
        ask_and_leave(client)
        started.platform.wait_for("end", invocationId="asked")

        assert upstream.requests[0].is_aborted
        assert saved(client)[1] == ["whole", "partial"]


def test_an_answer_that_the_time_limit_cuts_is_lost_and_ends_as_one(function: Path, variables: dict[str, str]):
    with (
        ReplayServer(HELD) as upstream,
        answering(function, variables, upstream) as (cut, first),
        answering(function, variables, upstream) as (_, second),
        second.stream("GET", "/api/chat/chat/stream") as nothing,
    ):
        assert nothing.status_code == 204
        ask_and_leave(first)
        with second.stream("GET", "/api/chat/chat/stream") as response:
            pieces = response.iter_text()
            seen = next(piece for piece in pieces if "text-delta" in piece)
            cut.process.kill()
            seen += "".join(pieces)

        assert '"type":"error"' in seen
        assert seen.endswith("data: [DONE]\n\n")
        assert saved(second)[1] == ["whole", "lost"]
