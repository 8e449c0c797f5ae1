"""Bodies that are nested deep: read and answered again, or refused with their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.integration.kept_chats import QUICK, Kept, body_of, go_on, read_everywhere
from tests.integration.running_server import serving
from tests.support.databases import make_migrated_url
from tests.support.odd_bodies import json_text, nested
from tests.support.redis_server import RedisServer
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.json import MAX_DEPTH

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL and Redis"])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("server")
    with ExitStack() as stack:
        upstream = stack.enter_context(ScriptedUpstream())
        variables = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": upstream.url, "USECHAT_MODEL": "a-model"}
        if request.param != "SQLite":
            redis: RedisServer = request.getfixturevalue("redis_server")
            variables["USECHAT_REDIS_URL"] = f"{redis.url.removesuffix('0')}15"
            variables["USECHAT_DATABASE_URL"] = make_migrated_url("postgresql", request, folder)
            variables["USECHAT_HISTORY"] = "server"
        server = stack.enter_context(serving(folder, **variables))
        url = variables.get("USECHAT_DATABASE_URL", f"sqlite:///{folder}/usechat.db")
        yield Kept(server, upstream, url, is_all_kept=request.param == "SQLite")


@pytest.fixture
def kept(deployment: Kept) -> Iterator[Kept]:
    deployment.upstream.will(QUICK)
    yield deployment
    deployment.clear()


LEGAL = nested(MAX_DEPTH - 3)
"""As deep as metadata may be: within the body, its messages and one of them."""


def test_deepest_body_that_is_taken_is_read_and_answered_again(kept: Kept):
    body = body_of("Hello", metadata=LEGAL)

    answer = kept.post(body)

    assert answer.status_code == 200
    messages = read_everywhere(kept, body)
    assert messages[0]["metadata"] == LEGAL
    go_on(kept, body, messages)


@pytest.mark.parametrize("depth", [MAX_DEPTH - 2, 400, 900])
def test_what_is_nested_too_deep_is_refused_with_its_place(kept: Kept, depth: int):
    in_metadata = kept.post(body_of("Hello", metadata=nested(depth)))
    in_a_part = kept.post(body_of("Hello", parts=[{"type": "data-x", "data": nested(depth)}]))

    assert (in_metadata.status_code, in_a_part.status_code) == (400, 400)
    assert in_metadata.json()["detail"] == "messages[0].metadata: is nested too deep"
    assert in_a_part.json()["detail"] == "messages[0].parts[0].data: is nested too deep"
    assert kept.listed() == []


def test_steering_messages_within_each_other_are_refused(kept: Kept):
    part: Any = {"type": "text", "text": "Hi"}
    for _ in range(440):
        part = {"type": "steering-message", "parts": [part]}

    answer = kept.post(body_of("Hello", parts=[part]))

    assert answer.status_code == 400
    assert "nested too deep" in answer.json()["detail"]
    assert kept.listed() == []


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 900, 20_000])
def test_deep_metadata_by_hand_is_refused_and_changes_nothing(kept: Kept, depth: int):
    kept.post(body_of("Hello"))

    refused = kept.client.patch(kept.path("c"), content=json_text({"metadata": nested(depth)}))

    assert refused.status_code == 400
    assert refused.json()["detail"] in ("metadata: is nested too deep", "The body is nested too deep.")
    assert read_everywhere(kept, body_of("Hello"))
    assert kept.listed()[0]["metadata"] == {}


@pytest.mark.parametrize(
    "content", [b'{"metadata": {"a": NaN}}', b'{"metadata": {"a": Infinity}}', b'{"metadata": \xff}']
)
def test_what_is_no_json_is_no_change(kept: Kept, content: bytes):
    kept.post(body_of("Hello"))

    assert kept.client.patch(kept.path("c"), content=content).status_code == 400
    assert kept.listed()[0]["metadata"] == {}
