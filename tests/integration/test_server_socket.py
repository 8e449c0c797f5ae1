"""The WebSocket route of a running server, as ``WebSocketChatTransport`` of AI SDK 7 talks to it."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.running_server import RunningServer, serving
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

KEY = {"Authorization": "Bearer the-key"}
AFTER_FIRST_DELTA = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]


def frame(request_id: str, headers: dict[str, str]) -> str:
    message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}
    sent = {"type": "send", "requestId": request_id, "id": "chat", "trigger": "submit-message", "messages": [message]}
    return json.dumps({**sent, "headers": headers, "body": {}})


def receive(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=10))


def receive_to_end(socket: ClientConnection) -> list[dict[str, Any]]:
    frames = [receive(socket)]
    while frames[-1]["type"] not in {"end", "error"}:
        frames.append(receive(socket))
    return frames


@contextmanager
def answering(folder: Path, upstream: ReplayServer, **variables: str) -> Generator[RunningServer]:
    with (
        upstream,
        serving(folder, ANTHROPIC_API_KEY="unused", ANTHROPIC_BASE_URL=upstream.url, **variables) as server,
    ):
        yield server


def address(server: RunningServer) -> str:
    return f"ws://127.0.0.1:{server.client.base_url.port}/api/chat/ws"


def test_answer_comes_over_the_socket(tmp_path: Path) -> None:
    with answering(tmp_path, ReplayServer(Reply("text"))) as server, connect(address(server)) as socket:
        socket.send(frame("a", {}))
        frames = receive_to_end(socket)
    chunks = [each["chunk"] for each in frames if each["type"] == "chunk"]
    assert [chunk["type"] for chunk in chunks][:2] == ["start", "start-step"]
    assert "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta").startswith("High water")
    assert chunks[-1] == {"type": "finish", "finishReason": "stop"}


def test_each_request_carries_its_key(tmp_path: Path) -> None:
    upstream = ReplayServer(Reply("text"))
    with answering(tmp_path, upstream, USECHAT_API_KEYS="the-key") as server, connect(address(server)) as socket:
        socket.send(frame("without", {}))
        assert receive(socket) == {
            "type": "error",
            "requestId": "without",
            "errorText": "An API key is needed: send the header Authorization: Bearer KEY.",
        }
        socket.send(frame("wrong", {"authorization": "Bearer another"}))
        assert receive(socket)["errorText"] == "The API key is not valid."
        socket.send(frame("right", KEY))
        assert receive_to_end(socket)[-1] == {"type": "end", "requestId": "right"}
    assert len(upstream.requests) == 1


def test_page_of_another_site_cannot_open_it_without_keys(tmp_path: Path) -> None:
    with (
        answering(tmp_path, ReplayServer(Reply("text"))) as server,
        pytest.raises(InvalidStatus, match="403"),
        connect(address(server), origin="https://evil.example"),  # pyright: ignore[reportArgumentType]
    ):
        pass


def test_client_that_leaves_ends_the_models_work(tmp_path: Path) -> None:
    upstream = ReplayServer(Reply("text", hold_after=AFTER_FIRST_DELTA))
    with answering(tmp_path, upstream) as server:
        with connect(address(server)) as socket:
            socket.send(frame("a", {}))
            while receive(socket).get("chunk", {}).get("type") != "text-delta":
                pass
        upstream.requests[0].wait_over()
        assert upstream.requests[0].is_aborted


def test_frame_that_is_too_large_ends_the_connection(tmp_path: Path) -> None:
    upstream = ReplayServer(Reply("text"))
    with answering(tmp_path, upstream, USECHAT_MAX_BODY_BYTES="1000") as server, connect(address(server)) as socket:
        socket.send("x" * 2000)
        with pytest.raises(ConnectionClosed):
            receive(socket)
