"""Answers of a Vercel function that outlive their reader, or the function; with real Redis and PostgreSQL."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.deployment import Function, booted
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.testing.replay import Reply

# The build installs the page's npm packages and builds the page: a minute, or several on a busy machine.
pytestmark = pytest.mark.timeout(900)

QUESTION = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}
PACED = Reply("text", delay=0.2)
HELD = Reply("text", hold_after=6)
INVOCATION = "x-vercel-internal-invocation-id"

Answering = tuple[Function, httpx.Client]


@pytest.fixture(scope="module")
def upstream() -> Generator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def variables(redis_server: RedisServer, postgres_server: PostgresServer, upstream: ScriptedUpstream) -> dict[str, str]:
    """What functions over the same chats are set up with."""
    return {
        "USECHAT_INSECURE": "1",
        "USECHAT_DATABASE_URL": postgres_server.make_migrated_database(),
        "USECHAT_REDIS_URL": redis_server.url,
        "ANTHROPIC_API_KEY": "unused",
        "ANTHROPIC_BASE_URL": upstream.url,
        # The answer of a function that was cut is found out to be lost a few seconds later.
        "USECHAT_LEASE_SECONDS": "5",
    }


@pytest.fixture(scope="module")
def answering(function: Path, variables: dict[str, str]) -> Generator[Answering]:
    """A function that all of these tests may ask."""
    with started_anew(function, variables) as answering:
        yield answering


@contextmanager
def started_anew(function: Path, variables: Mapping[str, str]) -> Generator[Answering]:
    log = function.parents[4] / "function.log"
    with (
        booted(function, variables, log) as started,
        httpx.Client(base_url=started.platform.url, timeout=60) as client,
    ):
        yield started, client


def ask_and_leave(client: httpx.Client, chat: str) -> None:
    body = {"id": chat, "trigger": "submit-message", "messages": [QUESTION]}
    with client.stream("POST", "/api/chat", json=body, headers={INVOCATION: chat}) as response:
        next(piece for piece in response.iter_text() if "text-delta" in piece)


def statuses(client: httpx.Client, chat: str) -> list[str]:
    """How each of its messages came about."""
    exported = client.get(f"/api/chats/{chat}/export").json()
    return [detail["status"] for detail in exported["details"]]


def test_an_answer_whose_reader_may_come_back_keeps_the_function_alive(
    answering: Answering, upstream: ScriptedUpstream
):
    started, client = answering
    upstream.will(PACED)
    client.get("/api/chat/coming/stream")
    ask_and_leave(client, "coming")
    started.platform.wait_for("end", invocationId="coming")

    assert upstream.requests[0].is_complete
    assert statuses(client, "coming") == ["whole", "whole"]


def test_an_answer_whose_reader_has_gone_lets_the_function_end(answering: Answering, upstream: ScriptedUpstream):
    started, client = answering
    upstream.will(HELD)
    ask_and_leave(client, "gone")
    started.platform.wait_for("end", invocationId="gone")

    assert upstream.requests[0].is_aborted
    assert statuses(client, "gone") == ["whole", "partial"]


def test_an_answer_that_the_time_limit_cuts_is_lost_and_ends_as_one(
    function: Path, variables: dict[str, str], answering: Answering, upstream: ScriptedUpstream
):
    _, second = answering
    upstream.will(HELD)
    with (
        started_anew(function, variables) as (cut, first),
        second.stream("GET", "/api/chat/cut/stream") as nothing,
    ):
        assert nothing.status_code == 204
        ask_and_leave(first, "cut")
        with second.stream("GET", "/api/chat/cut/stream") as response:
            pieces = response.iter_text()
            seen = next(piece for piece in pieces if "text-delta" in piece)
            cut.process.kill()
            seen += "".join(pieces)

        assert '"type":"error"' in seen
        assert seen.endswith("data: [DONE]\n\n")
        assert statuses(second, "cut") == ["whole", "lost"]
