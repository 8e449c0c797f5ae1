"""A server that keeps chats, and checks that all its routes read what it has kept."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from tests.integration.running_server import RunningServer
from tests.support.odd_bodies import json_text
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.json import MAX_DEPTH, decode_json, to_json_value
from usechat.testing.replay import Reply

ANCHOR = "the chat that is always there"

MASKED = "An error occurred."

QUICK = Reply("text")


def parse_json(text: bytes | str) -> Any:
    """As JavaScript would; what is shown holds messages deeper than a body may."""
    return to_json_value(decode_json(text), 2 * MAX_DEPTH)


class Kept:
    """A server that keeps chats, and a chat beside the one that a test is about."""

    def __init__(
        self, server: RunningServer, upstream: ScriptedUpstream, database_url: str, *, is_all_kept: bool
    ) -> None:
        self.is_all_kept = is_all_kept
        """Whether all that a client posts is kept, or only what its user says."""
        self.client = server.client
        self.database_url = database_url
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
