"""What was accepted can be read back, by each route that reads; what cannot be kept is refused before it is stored.

On `usechat serve` as people run it: chats in SQLite, and in PostgreSQL with runs in Redis, where the server holds the
history.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.integration.running_server import RunningServer, run, serving
from tests.support.databases import make_url
from tests.support.odd_bodies import HALF, bodies, json_text, nested
from tests.support.redis_server import RedisServer
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.messages.json_text import MAX_DEPTH, parse_json
from usechat.testing.replay import Reply

pytestmark = pytest.mark.timeout(120)

ANCHOR = "the chat that is always there"
MASKED = "An error occurred."
QUICK = Reply("text")


class Kept:
    """A server that keeps chats, and a chat beside the one that a test is about."""

    def __init__(self, server: RunningServer, upstream: ScriptedUpstream, *, is_all_kept: bool) -> None:
        self.is_all_kept = is_all_kept
        """Whether all that a client posts is kept, or only what its user says."""
        self.client = server.client
        self.upstream = upstream
        upstream.will(QUICK)
        assert self.post(body_of("Anchored", chat_id=ANCHOR)).status_code == 200

    def post(self, body: Any) -> httpx.Response:
        """Ask, and read the answer to its end."""
        return self.client.post("/api/chat", content=json_text(body), headers={"content-type": "application/json"})

    def path(self, chat_id: str) -> str:
        return f"/api/chats/{encode(chat_id)}"

    def get(self, path: str, **params: Any) -> Any:
        """What a route gives; it must be there."""
        response = self.client.get(path, params=params or None)
        assert response.status_code == 200, (path, response.text)
        return parse_json(response.content)

    def listed(self, **params: Any) -> list[Any]:
        """The chats of the list, but the one that is always there."""
        return [chat for chat in self.get("/api/chats", **params)["chats"] if chat["id"] != ANCHOR]

    def clear(self) -> None:
        for chat in self.listed(limit=100):
            assert self.client.delete(self.path(chat["id"])).status_code == 204


def encode(chat_id: str) -> str:
    """As ``encodeURIComponent``, for halves of pairs, too."""
    return quote(chat_id.encode("utf-8", "surrogatepass"), safe="")


def body_of(text: str, chat_id: str = "c", **fields: Any) -> dict[str, Any]:
    message = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}], **fields}
    return {"id": chat_id, "trigger": "submit-message", "messages": [message]}


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL and Redis"])
def deployment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("server")
    with ExitStack() as stack:
        upstream = stack.enter_context(ScriptedUpstream())
        variables = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": upstream.url, "USECHAT_MODEL": "a-model"}
        if request.param != "SQLite":
            redis: RedisServer = request.getfixturevalue("redis_server")
            variables["USECHAT_REDIS_URL"] = f"{redis.url.removesuffix('0')}15"
            variables["USECHAT_DATABASE_URL"] = make_url("postgresql", request, folder)
            variables["USECHAT_HISTORY"] = "server"
            migrated = run(folder, ["migrate"], **variables)
            assert migrated.returncode == 0, migrated.stderr
        server = stack.enter_context(serving(folder, **variables))
        yield Kept(server, upstream, is_all_kept=request.param == "SQLite")


@pytest.fixture
def kept(deployment: Kept) -> Iterator[Kept]:
    deployment.upstream.will(QUICK)
    yield deployment
    deployment.clear()


def read_everywhere(kept: Kept, body: Any) -> list[Any]:
    """Read a chat by each route there is; return its messages."""
    chat_id = body["id"]
    assert [chat["id"] for chat in kept.listed()] == [chat_id]
    page = kept.get("/api/chats", limit=1)
    assert [chat["id"] for chat in page["chats"]] == [chat_id]
    # The cursor holds its id.
    assert [chat["id"] for chat in kept.get("/api/chats", cursor=page["nextCursor"])["chats"]] == [ANCHOR]
    for word in (kept.listed()[0]["title"] or "").split()[:1]:
        # A browser has U+FFFD in a URL for half of a character; so has what is searched.
        sought = word.encode("utf-16", "surrogatepass").decode("utf-16", "replace").strip("…")
        assert chat_id in [chat["id"] for chat in kept.listed(search=sought)]
    chat = kept.get(kept.path(chat_id))
    assert chat["id"] == chat_id
    assert not chat["isAnswering"]
    exported = kept.get(f"{kept.path(chat_id)}/export")
    assert exported["messages"] == chat["messages"]
    assert len(kept.get(kept.path(chat_id), sdk="4")["messages"]) == len(chat["messages"])
    assert kept.client.get(f"/api/chat/{encode(chat_id)}/stream").status_code == 204
    assert kept.client.get("/api/chat", params={"chatId": chat_id}).status_code == 200
    assert kept.client.post(f"/api/chat/{encode(chat_id)}/stop").json() == {"stopped": False}
    return chat["messages"]


def check_as_sent(body: Any, messages: list[Any], *, is_all: bool) -> None:
    """Each message is as it was sent; AI SDK 4's are in the later form."""
    sent = body["messages"]
    if not is_all:
        # Of a new chat the server takes what the user says last.
        last_others = max((index for index, message in enumerate(sent) if message["role"] != "user"), default=-1)
        sent = sent[last_others + 1 :]
    # An answer goes on with the last one.
    untouched = sent[:-1] if sent and sent[-1]["role"] == "assistant" else sent
    assert len(messages) >= len(untouched)
    for posted, found in zip(untouched, messages, strict=False):
        if is_of_4(posted):
            continue
        if posted.get("id"):
            assert found == posted
        else:
            assert isinstance(found["id"], str)
            assert {**found, "id": None} == {**posted, "id": None}


def is_of_4(message: Any) -> bool:
    if not {"content", "toolInvocations", "experimental_attachments"}.isdisjoint(message):
        return True
    return any(
        part["type"] in ("tool-invocation", "source")
        or (part["type"] == "reasoning" and "text" not in part)
        or (part["type"] == "file" and "mimeType" in part)
        for part in message["parts"]
    )


def go_on(kept: Kept, body: Any, messages: list[Any]) -> None:
    """The client's next turn: what it has loaded, and another message."""
    more = {"id": "the next one", "role": "user", "parts": [{"type": "text", "text": "Go on"}]}
    answered = kept.post({"id": body["id"], "trigger": "submit-message", "messages": [*messages, more]})
    assert answered.status_code == 200, answered.text
    assert MASKED not in answered.text
    now = kept.get(kept.path(body["id"]))["messages"]
    assert now[: len(messages)] == messages
    assert now[len(messages)] == more
    # A file of a kind that no model takes, for one, is told of in each answer.
    assert now[-1]["role"] == "assistant" or is_failure(answered.text)


def is_failure(stream: str) -> bool:
    return '"type":"error"' in stream or "\n3:" in stream


def change(kept: Kept, chat_id: str, metadata: Any) -> None:
    """A title and metadata by hand, both as odd as the rest."""
    patch = {"title": f"{HALF} title", "metadata": {"odd": metadata}}
    changed = kept.client.patch(kept.path(chat_id), content=json_text(patch))
    if changed.status_code == 200:
        assert parse_json(changed.content)["title"] == f"{HALF} title"
        expected = {} if metadata is None else {"odd": metadata}
        if not isinstance(metadata, dict):
            # In an object, null takes a key away.
            assert kept.get(kept.path(chat_id))["metadata"] == expected
    else:
        assert 400 <= changed.status_code < 500, changed.text


def check_kept_or_refused(kept: Kept, body: Any) -> None:
    """The property."""
    answer = kept.post(body)
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, answer.text
        assert parse_json(answer.content)["detail"]
        assert kept.listed() == []
        return
    # What it says to the client of a failure is its own: nothing of ours broke.
    assert MASKED not in answer.text
    body = parse_json(json_text(body))
    if not body.get("id"):
        assert kept.listed() == []
        return
    messages = read_everywhere(kept, body)
    if body.get("trigger") != "regenerate-message":
        check_as_sent(body, messages, is_all=kept.is_all_kept)
    change(kept, body["id"], body["messages"][0].get("metadata"))
    assert [chat["id"] for chat in kept.listed()] == [body["id"]]
    go_on(kept, body, messages)
    read_everywhere(kept, body)
    assert kept.client.delete(kept.path(body["id"])).status_code == 204
    assert kept.client.get(kept.path(body["id"])).status_code == 404
    assert kept.listed() == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large])
@given(body=bodies())
@example(body=body_of(f"{HALF} hello"))
def test_whatever_got_200_can_be_read_by_each_route(kept: Kept, body: Any):
    try:
        check_kept_or_refused(kept, body)
    finally:
        kept.clear()
