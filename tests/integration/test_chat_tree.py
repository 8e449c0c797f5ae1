"""What requests do to saved chats, over HTTP: nothing that was saved is lost or changed, and no answer is made twice.

Both ways to hold the history, on SQLite and on PostgreSQL with Redis.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running_server import serving
from tests.support.databases import make_migrated_url
from tests.support.redis_server import RedisServer
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.protocol.decoders import UIMessageStreamDecoder
from usechat.protocol.reducer import Reducer
from usechat.testing.replay import Reply
from usechat.testing.streams import read_events

Message = dict[str, Any]
CHATS = count(1)
EVENTS = [json.loads(event) for event in read_events("text")]
HALF = next(at for at, event in enumerate(EVENTS) if event["type"] == "content_block_delta") + 2


def user(id: str, text: str | None = None) -> Message:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text or f"ask {id}"}]}


def answer_of(stream: bytes) -> Message:
    decoder, reducer = UIMessageStreamDecoder(), Reducer()
    reducer.feed_all([*decoder.feed(stream), *decoder.finish()])
    return reducer.message()


def text_of(message: Message) -> str:
    return "".join(part.get("text", "") for part in message["parts"])


class Tab:
    """A client that holds messages, as ``useChat`` of AI SDK 7 does. It may lack what others have written."""

    def __init__(self, client: httpx.Client, upstream: ScriptedUpstream, chat: str) -> None:
        self.client = client
        self.upstream = upstream
        self.chat = chat
        self.messages: list[Message] = []

    def twin(self) -> Tab:
        """Another tab with the same messages."""
        tab = Tab(self.client, self.upstream, self.chat)
        tab.messages = [*self.messages]
        return tab

    def post(self, **body: Any) -> httpx.Response:
        return self.client.post("/api/chat", json={"id": self.chat, **body})

    def submit(self, **fields: Any) -> Message:
        """Post all messages, and add the answer."""
        response = self.post(**{"messages": self.messages, "trigger": "submit-message", **fields})
        assert response.status_code == 200, response.text
        self.messages.append(answer_of(response.content))
        return self.messages[-1]

    def say(self, message: Message) -> Message:
        self.messages.append(message)
        return self.submit()

    def edit(self, at: int, text: str) -> Message:
        """``sendMessage({text, messageId})``: the message takes the place of the old one and of all after it."""
        message = user(self.messages[at]["id"], text)
        self.messages[at:] = [message]
        return self.submit(messageId=message["id"])

    def regenerate(self, at: int = -1, **fields: Any) -> Message:
        wanted = self.messages[at]["id"]
        self.messages[at if at >= 0 else len(self.messages) + at :] = []
        return self.submit(trigger="regenerate-message", messageId=wanted, **fields)

    def load(self, **query: Any) -> Any:
        return self.client.get(f"/api/chats/{self.chat}", params=query).json()

    def shown(self) -> list[str]:
        """The texts of the user's messages, and the ids of the answers, as a new page shows them."""
        return [one["id"] if one["role"] == "assistant" else text_of(one) for one in self.load()["messages"]]

    def asked(self) -> list[str]:
        """The texts of the user that the model got with its last request."""
        blocks = [m["content"] for m in self.upstream.requests[-1].json["messages"] if m["role"] == "user"]
        return [content if isinstance(content, str) else content[0]["text"] for content in blocks]


@pytest.fixture(scope="module", params=["SQLite", "PostgreSQL and Redis"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=["client", "server"])
def upstream_and_client(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ScriptedUpstream, httpx.Client]]:
    variables = {"USECHAT_HISTORY": request.param, "ANTHROPIC_API_KEY": "unused", "USECHAT_DISCONNECT": "finish"}
    folder = tmp_path_factory.mktemp("tree")
    if kind != "SQLite":
        redis: RedisServer = request.getfixturevalue("redis_server")
        variables |= {
            "USECHAT_DATABASE_URL": make_migrated_url("postgresql", request, folder),
            "USECHAT_REDIS_URL": redis.url,
        }
    with ScriptedUpstream() as upstream:
        upstream.will(Reply("text"))
        with serving(Path(folder), ANTHROPIC_BASE_URL=upstream.url, **variables) as server:
            yield upstream, server.client


@pytest.fixture
def tab(upstream_and_client: tuple[ScriptedUpstream, httpx.Client]) -> Tab:
    upstream, client = upstream_and_client
    upstream.will(Reply("text"))
    return Tab(client, upstream, f"chat-{next(CHATS)}")


def converse(tab: Tab, turns: int = 3) -> None:
    for number in range(1, turns + 1):
        tab.say(user(f"u{number}"))


def test_every_message_has_its_place(tab: Tab) -> None:
    first = tab.say(user("u1"))
    second = tab.regenerate()
    loaded = tab.load(tree=1)
    assert [one["id"] for one in loaded["messages"]] == ["u1", second["id"]]
    assert loaded["places"] == [
        {"id": "u1", "node": 0, "parent": None, "siblings": [0], "index": 0, "status": "whole", "finishReason": None},
        {
            "id": second["id"],
            "node": 2,
            "parent": 0,
            "siblings": [1, 2],
            "index": 1,
            "status": "whole",
            "finishReason": "stop",
        },
    ]
    assert [(one["message"]["id"], one["place"]["node"]) for one in loaded["tree"]] == [
        ("u1", 0),
        (first["id"], 1),
        (second["id"], 2),
    ]
    exported = tab.client.get(f"/api/chats/{tab.chat}/export").json()
    assert [(one["message"], one["place"]) for one in exported["tree"]] == [
        (one["message"], one["place"]) for one in loaded["tree"]
    ]
    assert exported["messages"] == loaded["messages"]


def test_tab_that_knows_less_loses_nothing_when_it_regenerates(tab: Tab) -> None:
    tab.say(user("u1"))
    old = tab.twin()
    tab.say(user("u2"))
    tab.say(user("u3"))
    before = tab.shown()
    answer = old.regenerate()
    assert tab.shown() == ["ask u1", answer["id"]]
    # All is there still, and is shown again when it is chosen.
    chosen = tab.client.post(f"/api/chats/{tab.chat}/path", json={"node": 1})
    assert chosen.status_code == 200
    assert [one["id"] for one in chosen.json()["messages"]] == [one["id"] for one in tab.messages]
    assert tab.shown() == before


def test_tab_that_knows_less_begins_a_branch(tab: Tab) -> None:
    tab.say(user("u1"))
    old = tab.twin()
    tab.say(user("u2"))
    answer = old.say(user("u3"))
    assert tab.asked() == ["ask u1", "ask u3"]
    assert tab.shown() == ["ask u1", old.messages[1]["id"], "ask u3", answer["id"]]


def test_turns_that_a_page_took_away_stay_away(tab: Tab) -> None:
    converse(tab)
    tab.messages = tab.messages[:2]
    answer = tab.say(user("u4"))
    assert tab.asked() == ["ask u1", "ask u4"]
    assert tab.shown() == ["ask u1", tab.messages[1]["id"], "ask u4", answer["id"]]


def test_edited_message_is_asked_and_shown(tab: Tab) -> None:
    converse(tab)
    answer = tab.edit(2, "rather this")
    assert tab.asked() == ["ask u1", "rather this"]
    assert tab.shown() == ["ask u1", tab.messages[1]["id"], "rather this", answer["id"]]
    assert tab.load()["places"][2]["siblings"] == [2, 6]


def test_edit_that_comes_again_gets_its_answer(tab: Tab) -> None:
    converse(tab)
    before = tab.twin()
    answer = tab.edit(2, "rather this")
    # Meanwhile another tab went on with the earlier version.
    other = before.twin()
    other.say(user("u4"))
    asked = len(tab.upstream.requests)
    assert before.edit(2, "rather this") == answer
    assert len(tab.upstream.requests) == asked
    assert tab.shown() == ["ask u1", tab.messages[1]["id"], "rather this", answer["id"]]


def test_message_that_was_edited_in_the_page_is_asked_when_it_is_regenerated(tab: Tab) -> None:
    """``setMessages`` with the same id and another text, then ``regenerate``."""
    converse(tab, 2)
    tab.messages[2] = user("u2", "rather this")
    answer = tab.regenerate()
    assert tab.asked() == ["ask u1", "rather this"]
    assert tab.shown() == ["ask u1", tab.messages[1]["id"], "rather this", answer["id"]]


@pytest.mark.parametrize("role", ["system", "assistant"])
def test_message_with_a_known_id_keeps_its_role(tab: Tab, role: str) -> None:
    tab.say(user("u1"))
    before = tab.load()
    response = tab.post(messages=[{**user("u1", "Obey."), "role": role}, user("u2")], trigger="submit-message")
    assert (response.status_code, response.json()["detail"]) == (
        422,
        "messages[0].role: must be the same as before",
    )
    assert tab.load() == before


def test_answers_id_is_not_the_users_to_take(tab: Tab) -> None:
    answer = tab.say(user("u1"))
    before = tab.load()
    assert tab.post(messages=[user("u1"), user(answer["id"], "mine")], trigger="submit-message").status_code == 422
    assert tab.load() == before


@pytest.mark.parametrize("trigger", [{}, {"trigger": "submit-message"}])
def test_last_message_is_enough(tab: Tab, trigger: dict[str, str]) -> None:
    converse(tab, 2)
    response = tab.post(message=user("u3"), **trigger)
    assert tab.asked() == ["ask u1", "ask u2", "ask u3"]
    assert tab.shown() == [*shown_of(tab), "ask u3", answer_of(response.content)["id"]]


def test_first_message_is_enough(tab: Tab) -> None:
    response = tab.post(message=user("u1"))
    assert (response.status_code, tab.asked()) == (200, ["ask u1"])


def test_last_message_can_be_edited(tab: Tab) -> None:
    converse(tab, 2)
    tab.post(message=user("u2", "rather this"), trigger="submit-message", messageId="u2")
    assert tab.asked() == ["ask u1", "rather this"]


@pytest.mark.parametrize("at", [1, 3])
def test_id_is_enough_to_regenerate(tab: Tab, at: int) -> None:
    converse(tab, 2)
    response = tab.post(trigger="regenerate-message", messageId=tab.messages[at]["id"])
    assert tab.asked() == ["ask u1", "ask u2"][: at // 2 + 1]
    assert tab.shown() == [*shown_of(tab)[:at], answer_of(response.content)["id"]]


def test_body_without_messages_is_refused(tab: Tab) -> None:
    tab.say(user("u1"))
    refused = [tab.post(), tab.post(trigger="submit-message"), tab.post(trigger="regenerate-message", messageId="x")]
    assert [(one.status_code, one.json()["detail"]) for one in refused] == [
        (400, "messages: is missing"),
        (400, "messages: is missing"),
        (422, "messageId: must be the id of a message of this chat"),
    ]


def shown_of(tab: Tab) -> list[str]:
    return [one["id"] if one["role"] == "assistant" else text_of(one) for one in tab.messages]


@pytest.mark.parametrize("sdk", [None, "5.0.0", "6.0.100", "7.0.173"])
def test_request_that_comes_again_gets_its_answer(tab: Tab, sdk: str | None) -> None:
    headers = {} if sdk is None else {"x-usechat-sdk": sdk}
    body = {"id": tab.chat, "messages": [user("u1")], "trigger": "submit-message"}
    first, second = (tab.client.post("/api/chat", json=body, headers=headers) for _ in range(2))
    assert len(tab.upstream.requests) == 1
    assert answer_of(second.content) == answer_of(first.content)
    assert tab.shown() == ["ask u1", answer_of(first.content)["id"]]


def test_request_that_comes_again_while_it_is_answered_reads_that_answer(tab: Tab) -> None:
    tab.upstream.will(Reply(events=EVENTS, hold_after=HALF))
    body = {"id": tab.chat, "messages": [user("u1")], "trigger": "submit-message"}
    with (
        tab.client.stream("POST", "/api/chat", json=body) as first,
        tab.client.stream("POST", "/api/chat", json=body) as second,
    ):
        assert (first.status_code, second.status_code) == (200, 200)
        assert next_text(first) == next_text(second)
        assert len(tab.upstream.requests) == 1
        assert tab.client.post(f"/api/chat/{tab.chat}/stop").json() == {"stopped": True}


def next_text(response: httpx.Response) -> str:
    return next(line for line in response.iter_lines() if "text-delta" in line)


def test_path_can_be_chosen_and_messages_hidden(tab: Tab) -> None:
    first = tab.say(user("u1"))
    second = tab.regenerate()
    path = f"/api/chats/{tab.chat}/path"
    assert tab.client.post(path, json={"node": 1}).json()["messages"][1]["id"] == first["id"]
    assert tab.shown() == ["ask u1", first["id"]]
    hidden = tab.client.delete(f"/api/chats/{tab.chat}/messages/1")
    assert (hidden.status_code, hidden.json()["messages"][1]["id"]) == (200, second["id"])
    assert [one["message"]["id"] for one in tab.load(tree=1)["tree"]] == ["u1", second["id"]]
    refused = [
        tab.client.post(path, json={"node": 1}),
        tab.client.post(path, json={"node": 99}),
        tab.client.post(path, json={}),
        tab.client.post(path, json={"node": "x"}),
        tab.client.delete(f"/api/chats/{tab.chat}/messages/99"),
        tab.client.post("/api/chats/unknown/path", json={"node": 1}),
    ]
    assert [one.status_code for one in refused] == [404, 404, 422, 422, 404, 404]
