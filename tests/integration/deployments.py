"""What `usechat serve` is asked about saved chats, and how long its model takes to answer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.integration.running_server import RunningServer
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.protocol.decoders import UIMessageStreamDecoder
from usechat.protocol.reducer import Reducer
from usechat.testing.replay import Reply

WORDS = 40
WAIT = 60.0


def answer_events() -> list[dict[str, Any]]:
    """An answer of many words."""
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "content": [],
        "model": "x",
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    words = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"word{n} "}}
        for n in range(WORDS)
    ]
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *words,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": WORDS}},
        {"type": "message_stop"},
    ]


ANSWER = "".join(f"word{n} " for n in range(WORDS))
SLOW = Reply(events=answer_events(), delay=0.05)
UNHURRIED = Reply(events=answer_events(), delay=0.2)
"""Takes longer than a run goes on for somebody to ask."""
HELD = Reply(events=answer_events(), hold_after=12)
LASTING = {"USECHAT_DISCONNECT": "finish", "USECHAT_SHUTDOWN_SECONDS": "1"}
"""Settings with which an answer goes on without its reader, until its server stops."""
SOON_LOST = {"USECHAT_DISCONNECT": "finish", "USECHAT_LEASE_SECONDS": "5"}
"""Settings with which the answer of a killed process is found out to be lost a few seconds later."""


@dataclass(frozen=True)
class Deployment:
    """One or two servers over the same chats."""

    servers: list[RunningServer]
    upstream: ScriptedUpstream
    chat: str
    """A new chat's id."""

    @property
    def first(self) -> httpx.Client:
        return self.servers[0].client

    @property
    def last(self) -> httpx.Client:
        return self.servers[-1].client

    def clear(self) -> None:
        """Remove all chats, and stop their answers."""
        for chat in self.first.get("/api/chats", params={"limit": 100}).json()["chats"]:
            self.first.delete(f"/api/chats/{chat['id']}")


def folder(parent: Path, number: int) -> Path:
    path = parent / f"server-{number}"
    path.mkdir()
    return path


def body(chat_id: str, text: str = "Hi") -> dict[str, Any]:
    message = {"id": f"u-{text}", "role": "user", "parts": [{"type": "text", "text": text}], "note": {"kept": None}}
    return {"id": chat_id, "trigger": "submit-message", "messages": [message]}


CALLED = {
    "id": "a-1",
    "role": "assistant",
    "parts": [
        {"type": "step-start"},
        {"type": "text", "text": "A question: ", "state": "done"},
        {
            "type": "tool-ask_user",
            "toolCallId": "t1",
            "state": "output-available",
            "input": {"question": "Which?"},
            "output": "blue",
        },
    ],
}


def body_that_goes_on(chat_id: str) -> dict[str, Any]:
    """What a page posts when the visitor has answered a tool's question."""
    asked = body(chat_id)
    return {**asked, "messages": [*asked["messages"], CALLED]}


def message_of(data: bytes) -> dict[str, Any]:
    decoder, reducer = UIMessageStreamDecoder(), Reducer()
    reducer.feed_all([*decoder.feed(data), *decoder.finish()])
    assert decoder.is_done
    return reducer.message()


def text_of(message: dict[str, Any]) -> str:
    return "".join(part["text"] for part in message["parts"] if part["type"] == "text")


def read_some(client: httpx.Client, chat_id: str, *, until: str, **fields: str) -> None:
    """Ask, and leave when the answer has come so far."""
    with client.stream("POST", "/api/chat", json={**body(chat_id), **fields}) as response:
        await_text(response, until)


def await_text(response: httpx.Response, until: str) -> None:
    """Read a stream until it has come so far."""
    assert response.status_code == 200, response.read()
    seen = ""
    for piece in response.iter_text():
        seen += piece
        if until in seen:
            return
    raise AssertionError(f"{until} did not come: {seen}")


def await_words(client: httpx.Client, chat_id: str) -> None:
    """Wait until the answer's first words have come to this process."""
    with client.stream("GET", f"/api/chat/{chat_id}/stream") as response:
        next(piece for piece in response.iter_text() if "word" in piece)


def saved(client: httpx.Client, chat_id: str) -> tuple[list[dict[str, Any]], list[str]]:
    """The messages and how each came about."""
    chat = client.get(f"/api/chats/{chat_id}/export").json()
    return chat["messages"], [detail["status"] for detail in chat["details"]]


def without_ids(stream: str) -> str:
    return re.sub(r"id: .*\n\n", "", stream)


def await_saved(client: httpx.Client, chat_id: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Read the running answer to its end, then what was saved."""
    client.get(f"/api/chat/{chat_id}/stream", params={"cursor": 0})
    for _ in range(200):
        if not client.get(f"/api/chats/{chat_id}").json()["isAnswering"]:
            break
    return saved(client, chat_id)


def await_listed_end(client: httpx.Client) -> None:
    """Wait until the list shows no chat that is being answered."""
    until = time.monotonic() + WAIT
    while any(chat["isAnswering"] for chat in client.get("/api/chats").json()["chats"]):
        assert time.monotonic() < until, "an answer is still in the making"


def read_until_cut(pieces: Iterator[bytes]) -> bytes:
    read = b""
    try:
        for piece in pieces:
            read += piece
    except httpx.RemoteProtocolError:
        return read
    raise AssertionError("the response ended as it should not")
