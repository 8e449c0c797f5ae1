"""What stands between the browser and Python: `next start` with its rewrites, and nginx.

Whether a proxy holds chunks back is found out without a clock: the model service falls silent after so many of them,
and those that it has sent must have arrived.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect

from tests.e2e.chat_page import ChatPage
from tests.e2e.upstream import WHOLE_TEXT, WORDS, Upstream
from usechat.testing.replay import Reply

BROWSER = {
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "accept-language": "en-GB,en;q=0.9",
    "sec-fetch-mode": "cors",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0",
}
QUESTION = "When is high water?"
REQUESTS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "v4": ("/api/chat", {"messages": [{"role": "user", "content": QUESTION}]}),
    "v7": (
        "/api/chat",
        {
            "trigger": "submit-message",
            "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": QUESTION}]}],
        },
    ),
    "events": ("/api/ai/chat/stream", {"messages": [{"role": "user", "content": QUESTION}]}),
}
EVENTS_BEFORE_TEXT = 2

every_proxy = pytest.mark.parametrize("proxy", ["behind_next", "behind_nginx"])
every_format = pytest.mark.parametrize("wire_format", REQUESTS)


@pytest.fixture
def address(request: pytest.FixtureRequest, proxy: str) -> str:
    return request.getfixturevalue(proxy)


@every_proxy
@every_format
@pytest.mark.parametrize("count", range(1, len(WORDS) + 1))
def test_each_chunk_arrives_before_the_next_is_sent(
    address: str, upstream: Upstream, wire_format: str, count: int
) -> None:
    upstream.will(Reply("text", hold_after=EVENTS_BEFORE_TEXT + count))
    path, body = new_chat(wire_format)
    with httpx.stream("POST", address + path, json=body, headers=BROWSER, timeout=60) as response:
        received = ""
        for piece in response.iter_text():
            received += piece
            if WORDS[count - 1] in received:
                break
    assert [word for word in WORDS if word in received] == list(WORDS[:count])


@every_proxy
@every_format
def test_bytes_are_those_that_python_sends(address: str, replayed: str, upstream: Upstream, wire_format: str) -> None:
    upstream.will(Reply("text"))
    streams: list[str] = []
    for server in (replayed, address):
        path, body = new_chat(wire_format)
        streams.append(httpx.post(server + path, json=body, headers=BROWSER, timeout=60).text)
    direct, proxied = (without_ids(stream) for stream in streams)
    assert WORDS[-1] in direct
    assert proxied == direct


@every_proxy
@every_format
def test_client_that_leaves_is_seen_at_the_model_service(address: str, upstream: Upstream, wire_format: str) -> None:
    upstream.will(Reply("text", hold_after=EVENTS_BEFORE_TEXT + 1))
    path, body = new_chat(wire_format)
    with httpx.stream("POST", address + path, json=body, headers=BROWSER, timeout=60) as response:
        next(piece for piece in response.iter_text() if WORDS[0] in piece)
    upstream.requests[0].wait()
    assert upstream.requests[0].is_aborted


def new_chat(wire_format: str) -> tuple[str, dict[str, Any]]:
    """Where the first question of a new chat is posted, and its body."""
    path, body = REQUESTS[wire_format]
    return path, {**body, "id": uuid4().hex}


def without_ids(stream: str) -> str:
    """A stream with the ids left out that are made for each answer."""
    return re.sub(r'"(messageId|id)":\s*"[^"]*"', r'"\1":""', stream)


@pytest.mark.parametrize("proxy", ["next", "nginx"])
def test_silence_of_36_seconds_does_not_cut_the_stream(silences: Mapping[str, ChatPage], proxy: str) -> None:
    page = silences[proxy]
    expect(page.stop).to_be_hidden(timeout=60_000)
    expect(page.error).to_be_hidden()
    expect(page.answer).to_contain_text(WHOLE_TEXT)
