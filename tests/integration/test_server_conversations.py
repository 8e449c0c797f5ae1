"""Saved chats and answers that outlive their readers, in `usechat serve` as people run it.

Everything runs in one process on SQLite, and in two processes that share PostgreSQL and Redis.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from tests.integration.deployments import (
    ANSWER,
    CALLED,
    HELD,
    LASTING,
    SLOW,
    SOON_LOST,
    UNHURRIED,
    WAIT,
    Deployment,
    await_listed_end,
    await_saved,
    await_words,
    body,
    body_that_goes_on,
    folder,
    message_of,
    read_some,
    read_until_cut,
    saved,
    text_of,
    without_ids,
)
from tests.integration.running_server import serving
from tests.support.databases import make_migrated_url
from tests.support.redis_server import RedisServer
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.testing.replay import Reply

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(params=["one process", "two processes"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def start(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Starts servers of a kind with these settings, over an upstream."""
    with ExitStack() as stack:

        def start(kind: str, settings: Mapping[str, str]) -> Deployment:
            upstream = stack.enter_context(ScriptedUpstream())
            parent = tmp_path_factory.mktemp("deployment")
            variables = {
                "ANTHROPIC_API_KEY": "k",
                "ANTHROPIC_BASE_URL": upstream.url,
                "USECHAT_MODEL": "a-model",
                **settings,
            }
            if kind == "two processes":
                redis: RedisServer = request.getfixturevalue("redis_server")
                # Each has a database of Redis' to itself: whoever sees a lost run saves it where it keeps its chats.
                variables["USECHAT_REDIS_URL"] = f"{redis.url.removesuffix('0')}{next(REDIS_DATABASES)}"
                variables["USECHAT_DATABASE_URL"] = make_migrated_url("postgresql", request, parent)
            count = 2 if kind == "two processes" else 1
            servers = [stack.enter_context(serving(folder(parent, n), **variables)) for n in range(count)]
            return Deployment(servers, upstream, "")

        yield start


@pytest.fixture(scope="module")
def running() -> dict[Any, Deployment]:
    """Those that run, by kind and settings: a server takes seconds to start."""
    return {}


@pytest.fixture
def deploy(kind: str, start: Any, running: dict[Any, Deployment]) -> Any:
    """Gives servers over an upstream that gives these replies, with these settings; without any chats.

    One that a test ends is spent.
    """

    def give(*replies: Reply, is_spent: bool = False, **settings: str) -> Deployment:
        key = (kind, *sorted(settings.items()))
        deployment = running.pop(key, None) or start(kind, settings)
        if not is_spent:
            running[key] = deployment
        deployment.clear()
        deployment.upstream.will(*replies)
        return replace(deployment, chat=f"chat-{next(NUMBERS)}")

    return give


NUMBERS = itertools.count(1)
REDIS_DATABASES = iter(range(16))


def test_an_answer_is_saved_as_the_client_has_it(deploy: Any):
    deployment = deploy(Reply(stream="text"))
    sent = body(deployment.chat)

    response = deployment.first.post("/api/chat", json=sent)

    messages, statuses = saved(deployment.last, deployment.chat)
    assert messages == [sent["messages"][0], message_of(response.content)]
    assert statuses == ["whole", "whole"]
    assert [chat["title"] for chat in deployment.last.get("/api/chats").json()["chats"]] == ["Hi"]


def test_a_reader_that_comes_back_anywhere_gets_the_whole_answer_once(deploy: Any):
    deployment = deploy(SLOW)
    assert deployment.last.get(f"/api/chat/{deployment.chat}/stream").status_code == 204
    read_some(deployment.first, deployment.chat, until="word3 ")

    replayed = deployment.last.get(f"/api/chat/{deployment.chat}/stream")

    message = message_of(replayed.content)
    assert text_of(message) == ANSWER
    assert saved(deployment.first, deployment.chat)[0][1] == message
    assert len(deployment.upstream.requests) == 1
    assert deployment.last.get(f"/api/chat/{deployment.chat}/stream").status_code == 204


def test_a_cursor_continues_where_the_reader_was(deploy: Any):
    deployment = deploy(SLOW)
    deployment.last.get(f"/api/chat/{deployment.chat}/stream")
    read_some(deployment.first, deployment.chat, until="word1 ")

    whole = deployment.last.get(f"/api/chat/{deployment.chat}/stream", params={"cursor": 0}).text
    ids = [line.removeprefix("id: ") for line in whole.split("\n") if line.startswith("id: ")]
    rest = deployment.last.get(f"/api/chat/{deployment.chat}/stream", headers={"last-event-id": ids[-2]}).text

    assert whole.endswith(rest)
    assert 0 < len(rest) < len(whole) / 2
    assert deployment.first.get(f"/api/chat/{deployment.chat}/stream", params={"cursor": ids[-1]}).status_code == 204


def test_a_cursor_of_an_answer_is_none_in_the_next(deploy: Any):
    deployment = deploy(SLOW, HELD, **LASTING)
    chat = deployment.chat
    read_some(deployment.first, chat, until="word1 ")
    before = deployment.last.get(f"/api/chat/{chat}/stream", params={"cursor": 0}).text
    ids = [line.removeprefix("id: ") for line in before.split("\n") if line.startswith("id: ")]
    read_some(deployment.first, chat, until="word1 ", trigger="regenerate-message")

    rest = deployment.last.get(f"/api/chat/{chat}/stream", headers={"last-event-id": ids[0]}).text
    elsewhere = deployment.last.get("/api/chat/another/stream", headers={"last-event-id": ids[0]})

    assert without_ids(before).endswith(without_ids(rest))
    assert rest.endswith(f"data: [DONE]\n\nid: {ids[-1]}\n\n")
    assert ids[-1].endswith(":end")
    assert elsewhere.status_code == 204
    assert deployment.first.post(f"/api/chat/{chat}/stop").json() == {"stopped": True}


def test_a_plain_clients_leaving_stops_the_model_and_what_there_was_is_saved(deploy: Any):
    deployment = deploy(HELD)
    read_some(deployment.first, deployment.chat, until="word3 ")

    deployment.upstream.requests[0].wait(within=WAIT)

    deployment.upstream.requests[0].wait()
    assert deployment.upstream.requests[0].is_aborted
    assert deployment.last.post(f"/api/chat/{deployment.chat}/stop").json() in ({"stopped": False}, {"stopped": True})
    messages, statuses = await_saved(deployment.last, deployment.chat)
    assert text_of(messages[1]).startswith("word0 word1 ")
    assert statuses[1] == "partial"


def test_page_that_loads_its_chat_after_it_was_left_keeps_the_answer(deploy: Any):
    deployment = deploy(UNHURRIED)
    read_some(deployment.first, deployment.chat, until="word1 ")
    assert deployment.last.get(f"/api/chats/{deployment.chat}").json()["isAnswering"]

    deployment.upstream.requests[0].wait(within=WAIT)

    assert not deployment.upstream.requests[0].is_aborted
    await_listed_end(deployment.last)
    messages, statuses = saved(deployment.last, deployment.chat)
    assert (text_of(messages[1]), statuses[1]) == (ANSWER, "whole")


def test_chat_that_is_only_listed_after_it_was_left_loses_the_answer(deploy: Any):
    deployment = deploy(HELD)
    read_some(deployment.first, deployment.chat, until="word1 ")

    await_listed_end(deployment.last)

    deployment.upstream.requests[0].wait()
    assert deployment.upstream.requests[0].is_aborted
    assert saved(deployment.last, deployment.chat)[1][1] == "partial"


def test_plain_client_that_stops_by_leaving_can_go_on_at_once(deploy: Any):
    deployment = deploy(HELD, Reply(stream="text"))
    read_some(deployment.first, deployment.chat, until="word3 ")

    answered = deployment.last.post("/api/chat", json=body(deployment.chat, "Me too"))

    assert answered.status_code == 200
    deployment.upstream.requests[0].wait()
    assert deployment.upstream.requests[0].is_aborted
    assert text_of(message_of(answered.content)) == "High water is at 14:20 in Whitby."


def test_deleting_the_stream_stops_the_answer(deploy: Any):
    deployment = deploy(HELD, USECHAT_DISCONNECT="finish")
    read_some(deployment.first, deployment.chat, until="word3 ")

    stopped = deployment.last.delete(f"/api/chat/{deployment.chat}/stream")

    assert (stopped.status_code, stopped.json()) == (200, {"stopped": True})
    deployment.upstream.requests[0].wait(within=WAIT)
    assert deployment.upstream.requests[0].is_aborted
    assert await_saved(deployment.first, deployment.chat)[1] == ["whole", "aborted"]
    assert deployment.first.delete(f"/api/chat/{deployment.chat}/stream").json() == {"stopped": False}


def test_stop_reaches_the_model_from_any_process_and_ends_every_reader(deploy: Any):
    deployment = deploy(HELD, **LASTING)
    read_some(deployment.first, deployment.chat, until="word3 ")

    with deployment.last.stream("GET", f"/api/chat/{deployment.chat}/stream") as reader:
        assert deployment.last.post(f"/api/chat/{deployment.chat}/stop").json() == {"stopped": True}
        data = reader.read()

    deployment.upstream.requests[0].wait(within=WAIT)
    assert deployment.upstream.requests[0].is_aborted
    assert b'"type":"abort"' in data
    assert data.endswith(b"data: [DONE]\n\n")
    messages, statuses = await_saved(deployment.first, deployment.chat)
    assert statuses == ["whole", "aborted"]
    assert text_of(messages[1]).startswith("word0 ")
    assert deployment.first.post(f"/api/chat/{deployment.chat}/stop").json() == {"stopped": False}


def test_a_second_turn_at_once_is_told_to_wait(deploy: Any):
    deployment = deploy(HELD, **LASTING)
    read_some(deployment.first, deployment.chat, until="word3 ")

    refused = deployment.last.post("/api/chat", json=body(deployment.chat, "Me too"))

    assert refused.status_code == 409
    assert set(refused.json()) == {"detail"}
    deployment.first.post(f"/api/chat/{deployment.chat}/stop")


def test_the_stored_history_is_the_truth_where_the_server_holds_it(deploy: Any):
    deployment = deploy(Reply(stream="text"), USECHAT_HISTORY="server")
    deployment.first.post("/api/chat", json=body(deployment.chat))

    deployment.last.post("/api/chat", json=body(deployment.chat, "Again"))

    asked = deployment.upstream.requests[1].json["messages"]
    assert [turn["role"] for turn in asked] == ["user", "assistant", "user"]
    assert [message["role"] for message in saved(deployment.first, deployment.chat)[0]] == [
        "user",
        "assistant",
        "user",
        "assistant",
    ]


def test_chats_are_listed_searched_renamed_and_removed(deploy: Any):
    deployment = deploy(Reply(stream="text"))
    for chat_id, text in (("c1", "Lighthouses"), ("c2", "Tides")):
        deployment.first.post("/api/chat", json=body(chat_id, text))

    page = deployment.last.get("/api/chats", params={"limit": 1}).json()
    rest = deployment.last.get("/api/chats", params={"limit": 1, "cursor": page["nextCursor"]}).json()
    assert [chat["id"] for chat in [*page["chats"], *rest["chats"]]] == ["c2", "c1"]
    found = deployment.last.get("/api/chats", params={"search": "lighthouses"}).json()
    assert [chat["id"] for chat in found["chats"]] == ["c1"]
    renamed = deployment.last.patch("/api/chats/c1", json={"title": "Lamps"})
    assert renamed.json()["title"] == "Lamps"
    assert deployment.first.get("/api/chats/c1").json()["title"] == "Lamps"
    assert deployment.last.delete("/api/chats/c1").status_code == 204
    missing = deployment.first.get("/api/chats/c1")
    assert (missing.status_code, set(missing.json())) == (404, {"detail"})


def test_ai_sdk_4_resumes_with_its_own_request(deploy: Any):
    deployment = deploy(SLOW)
    nothing = deployment.last.get("/api/chat", params={"chatId": deployment.chat})
    assert (nothing.status_code, nothing.content) == (200, b"")
    asked = {"id": deployment.chat, "messages": [{"role": "user", "content": "Hi"}]}
    with deployment.first.stream("POST", "/api/chat", json=asked) as response:
        next(response.iter_text())

    replayed = deployment.last.get("/api/chat", params={"chatId": deployment.chat})

    texts = [json.loads(line[2:]) for line in replayed.text.split("\n") if line.startswith("0:")]
    assert "".join(texts) == ANSWER


def test_a_reader_that_comes_back_to_a_message_that_goes_on_gets_it_from_its_beginning(deploy: Any):
    deployment = deploy(SLOW)
    deployment.last.get(f"/api/chat/{deployment.chat}/stream")
    with deployment.first.stream("POST", "/api/chat", json=body_that_goes_on(deployment.chat)) as response:
        first = next(piece for piece in response.iter_text() if "word" in piece)

    message = message_of(deployment.last.get(f"/api/chat/{deployment.chat}/stream").content)

    assert "A question: " not in first
    assert message["parts"][:3] == CALLED["parts"]
    assert text_of(message) == f"A question: {ANSWER}"
    assert saved(deployment.first, deployment.chat)[0][1] == message


def test_ai_sdk_4_loads_messages_in_its_own_form(deploy: Any):
    deployment = deploy(Reply(stream="text"))
    deployment.first.post("/api/chat", json=body("c1"))

    for asked in ({"params": {"sdk": "4"}}, {"headers": {"x-usechat-sdk": "4"}}):
        question, answer = deployment.last.get("/api/chats/c1", **asked).json()["messages"]
        assert (question["content"], question["parts"]) == ("Hi", [{"type": "text", "text": "Hi"}])
        assert answer["content"] == "High water is at 14:20 in Whitby."
        assert [part["type"] for part in answer["parts"]] == ["step-start", "text"]
    assert deployment.last.get("/api/chats/c1", params={"sdk": "9"}).status_code == 400


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/chats/c1", "DELETE, GET, PATCH"),
        ("POST", "/api/chats", "GET"),
        # A chat from before may be called "c1/export": it can be removed.
        ("POST", "/api/chats/c1/export", "DELETE, GET, PATCH"),
        ("POST", "/api/chat/c1/stream", "DELETE, GET"),
        ("GET", "/api/chat/c1/stop", "POST"),
        ("PUT", "/api/chat", "GET, POST"),
    ],
)
@pytest.mark.parametrize("kind", ["one process"], indirect=True)
def test_a_wrong_method_is_told_the_right_ones(deploy: Any, method: str, path: str, allowed: str):
    response = deploy(Reply(stream="text")).first.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("kind", ["two processes"], indirect=True)
def test_readers_of_a_server_that_stops_come_back_elsewhere_or_get_a_legal_end(deploy: Any):
    deployment = deploy(HELD, is_spent=True, **LASTING)
    read_some(deployment.first, "c1", until="word3 ")
    stopping = deployment.servers[1]
    with (
        stopping.client.stream("GET", "/api/chat/c1/stream", params={"cursor": 0}) as coming_back,
        stopping.client.stream("GET", "/api/chat/c1/stream") as other,
    ):
        pieces = coming_back.iter_bytes()
        seen = next(pieces)
        stopping.process.terminate()
        seen += read_until_cut(pieces)
        ended = other.read()

    assert b'"type":"abort"' in ended
    assert ended.endswith(b"data: [DONE]\n\n")
    cursor = seen[: seen.rindex(b"\n\n")].rpartition(b"id: ")[2].decode()
    with deployment.first.stream("GET", "/api/chat/c1/stream", headers={"last-event-id": cursor}) as again:
        deployment.first.post("/api/chat/c1/stop")
        rest = again.read()
    assert text_of(message_of(seen + rest)).startswith("word0 word1 word2 ")


@dataclass(frozen=True)
class Lost:
    """The process that is left when another was killed in the middle of two answers."""

    client: httpx.Client
    new: httpx.Response
    """The stream of an answer of its own, to the chat "new"."""
    continued: httpx.Response
    """The stream of an answer that went on with a message, to the chat "continued"."""


@pytest.fixture(scope="module")
def lost(start: Any) -> Lost:
    # The log of one process alone dies with it.
    deployment = start("two processes", SOON_LOST)
    deployment.upstream.will(HELD, HELD, Reply(stream="text"))
    read_some(deployment.first, "new", until="word3 ")
    with deployment.first.stream("POST", "/api/chat", json=body_that_goes_on("continued")) as response:
        next(piece for piece in response.iter_text() if "word" in piece)
    for chat in ("new", "continued"):
        await_words(deployment.last, chat)

    with (
        deployment.last.stream("GET", "/api/chat/new/stream", timeout=60) as new,
        deployment.last.stream("GET", "/api/chat/continued/stream", timeout=60) as continued,
    ):
        deployment.servers[0].process.kill()
        new.read()
        continued.read()
    return Lost(deployment.last, new, continued)


def test_of_a_lost_answer_that_went_on_with_a_message_the_message_is_saved_once(lost: Lost):
    message = message_of(lost.continued.content)

    assert message["parts"][:3] == CALLED["parts"]
    messages, statuses = saved(lost.client, "continued")
    assert statuses == ["whole", "lost"]
    assert messages[1]["parts"] == message["parts"]


def test_a_killed_process_leaves_a_legal_end_and_a_chat_that_goes_on(lost: Lost):
    assert b'"type":"error"' in lost.new.content
    assert lost.new.content.endswith(b"data: [DONE]\n\n")
    messages, statuses = saved(lost.client, "new")
    assert statuses == ["whole", "lost"]
    assert text_of(messages[1]).startswith("word0 ")
    again = lost.client.post("/api/chat", json=body("new", "Again"))
    assert again.status_code == 200
