"""Clients that leave while their message waits for its chat (``USECHAT_ON_BUSY=enqueue``), over real connections."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import httpx
import pytest
from websockets.sync.client import connect

from tests.integration.running_server import RunningServer, serving
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

pytestmark = [pytest.mark.timeout(180), pytest.mark.anyio]

PROGRAM = """
from usechat import Agent
from usechat.models import anthropic
from usechat.runs.redis import line

# No place is given up because nobody stands in it.
line.PLACE_SECONDS = 600

agent = Agent(anthropic("claude-sonnet-4-6"))
"""
HELD_AT = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def upstream() -> Iterator[ReplayServer]:
    with ReplayServer(Reply("text", hold_after=HELD_AT)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(
    upstream: ReplayServer, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("waiting")
    (folder / "my_app.py").write_text(PROGRAM)
    with serving(
        folder,
        "my_app:agent",
        ANTHROPIC_API_KEY="unused",
        ANTHROPIC_BASE_URL=upstream.url,
        USECHAT_REDIS_URL=redis_server.url,
        USECHAT_ON_BUSY="enqueue",
        USECHAT_SHUTDOWN_SECONDS="0",
    ) as server:
        yield server


def question(chat: str, text: str) -> dict[str, Any]:
    return {"id": chat, "messages": [{"id": text, "role": "user", "parts": [{"type": "text", "text": text}]}]}


@contextmanager
def over_websocket(server: RunningServer, chat: str) -> Generator[None]:
    """A message on a socket that is closed at the end."""
    with connect(f"ws{str(server.client.base_url).removeprefix('http')}/api/chat/ws") as connection:
        asked: dict[str, Any] = {"type": "send", "requestId": "r", **question(chat, "two"), "headers": {}, "body": {}}
        connection.send(json.dumps({**asked, "trigger": "submit-message"}))
        yield


@contextmanager
def over_http(server: RunningServer, chat: str) -> Generator[None]:
    """A request whose connection is closed at the end."""
    url = server.client.base_url
    body = json.dumps(question(chat, "two"))
    head = f"POST /api/chat HTTP/1.1\r\nHost: {url.host}:{url.port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((url.host, url.port or 80), PATIENCE) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        yield


Leave: TypeAlias = Callable[[RunningServer, str], AbstractContextManager[None]]


@pytest.mark.parametrize("leaving", [over_websocket, over_http])
async def test_client_that_leaves_gives_its_place_up(
    server: RunningServer, upstream: ReplayServer, redis_server: RedisServer, leaving: Leave
):
    chat = f"chat-{leaving.__name__}"

    def has_places(count: int) -> bool:
        return redis_server.ask("HLEN", f"usechat:line:{chat}").startswith(b":%d" % count)

    async with (
        httpx.AsyncClient(base_url=server.client.base_url, verify=False, timeout=PATIENCE) as client,
        client.stream("POST", "/api/chat", json=question(chat, "one")) as first,
    ):
        pieces = first.aiter_bytes()
        seen = b""
        while b"High water" not in seen:
            seen += await anext(pieces)
        await eventually(lambda: has_places(0))
        with leaving(server, chat):
            await eventually(lambda: has_places(1))
        await eventually(lambda: has_places(0))
        upstream.requests[-1].go_on()
        assert [piece async for piece in pieces][-1].endswith(b"data: [DONE]\n\n")
    saved = server.client.get(f"/api/chats/{chat}").json()["messages"]
    assert [message["id"] for message in saved if message["role"] == "user"] == ["one"]
