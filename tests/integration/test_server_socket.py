"""The WebSocket route of a running server, as ``WebSocketChatTransport`` of AI SDK 7 talks to it."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.integration.running_server import RunningServer, serving
from tests.support.scripted_upstream import ScriptedUpstream
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

KEY = {"Authorization": "Bearer the-key"}
AFTER_FIRST_DELTA = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]


HELD = Reply("text", hold_after=AFTER_FIRST_DELTA)
MESSAGE = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}
NUMBERS = count()


def frame(request_id: str, headers: dict[str, str], chat_id: str = "chat", message: Any = MESSAGE) -> str:
    sent = {"type": "send", "requestId": request_id, "id": chat_id, "trigger": "submit-message", "messages": [message]}
    return json.dumps({**sent, "headers": headers, "body": {}})


def resuming(request_id: str, chat_id: str) -> str:
    return json.dumps({"type": "resume", "requestId": request_id, "id": chat_id, "headers": {}, "body": {}})


def receive(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(socket.recv(timeout=60))


def receive_to_end(socket: ClientConnection) -> list[dict[str, Any]]:
    frames = [receive(socket)]
    while frames[-1]["type"] not in {"end", "error", "no-active"}:
        frames.append(receive(socket))
    return frames


def receive_text(socket: ClientConnection) -> None:
    """Read until the answer's first words have come."""
    while receive(socket).get("chunk", {}).get("type") != "text-delta":
        pass


def text_of(frames: list[dict[str, Any]]) -> str:
    chunks = [each["chunk"] for each in frames if each["type"] == "chunk"]
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


@contextmanager
def answering(folder: Path, upstream: ReplayServer, **variables: str) -> Generator[RunningServer]:
    with (
        upstream,
        serving(folder, ANTHROPIC_API_KEY="unused", ANTHROPIC_BASE_URL=upstream.url, **variables) as server,
    ):
        yield server


def address(server: RunningServer) -> str:
    return f"ws://127.0.0.1:{server.client.base_url.port}/api/chat/ws"


@dataclass(frozen=True)
class Place:
    """A server that keeps chats, and a new chat's id."""

    server: RunningServer
    upstream: ScriptedUpstream
    chat: str

    def connect(self) -> ClientConnection:
        return connect(address(self.server))

    def saved(self) -> tuple[str, str]:
        """The answer's text and how it came about, once it has ended."""
        until = time.monotonic() + 20
        while self.server.client.get(f"/api/chats/{self.chat}").json()["isAnswering"] and time.monotonic() < until:
            pass
        chat: dict[str, Any] = self.server.client.get(f"/api/chats/{self.chat}/export").json()
        parts: list[dict[str, Any]] = chat["messages"][1]["parts"]
        return "".join(part.get("text", "") for part in parts), chat["details"][1]["status"]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, ScriptedUpstream]]:
    """A server for many chats: it takes seconds to start."""
    with (
        ScriptedUpstream() as upstream,
        serving(tmp_path_factory.mktemp("kept"), ANTHROPIC_API_KEY="unused", ANTHROPIC_BASE_URL=upstream.url) as server,
    ):
        yield server, upstream


@pytest.fixture
def place(running: tuple[RunningServer, ScriptedUpstream]) -> Place:
    return Place(*running, f"chat-{next(NUMBERS)}")


def test_answer_comes_over_the_socket(place: Place) -> None:
    place.upstream.will(Reply("text"))
    with place.connect() as socket:
        socket.send(frame("a", {}, place.chat))
        frames = receive_to_end(socket)
    chunks = [each["chunk"] for each in frames if each["type"] == "chunk"]
    assert [chunk["type"] for chunk in chunks][:2] == ["start", "start-step"]
    assert text_of(frames).startswith("High water")
    assert (chunks[-1]["type"], chunks[-1]["finishReason"]) == ("finish", "stop")


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


def test_page_of_another_site_cannot_open_it_without_keys(place: Place) -> None:
    with (
        pytest.raises(InvalidStatus, match="403"),
        connect(address(place.server), origin="https://evil.example"),  # pyright: ignore[reportArgumentType]
    ):
        pass


def test_client_that_leaves_ends_the_models_work(place: Place) -> None:
    place.upstream.will(HELD)
    with place.connect() as socket:
        socket.send(frame("a", {}, place.chat))
        receive_text(socket)
    place.upstream.requests[0].wait()
    assert place.upstream.requests[0].is_aborted


def test_frame_that_is_too_large_ends_the_connection(tmp_path: Path) -> None:
    upstream = ReplayServer(Reply("text"))
    with answering(tmp_path, upstream, USECHAT_MAX_BODY_BYTES="1000") as server, connect(address(server)) as socket:
        socket.send("x" * 2000)
        with pytest.raises(ConnectionClosed):
            receive(socket)


# Saved chats


def test_an_answer_over_the_socket_is_saved_with_the_id_that_the_client_has(place: Place) -> None:
    place.upstream.will(Reply("text"))
    with place.connect() as socket:
        socket.send(frame("a", {}, place.chat))
        frames = receive_to_end(socket)
    assert place.saved() == (text_of(frames), "whole")
    messages = place.server.client.get(f"/api/chats/{place.chat}").json()["messages"]
    assert [message["id"] for message in messages] == ["1", frames[1]["chunk"]["messageId"]]


@pytest.mark.parametrize("has_asked", [True, False])
def test_a_run_that_was_begun_over_the_socket_is_read_again_over_socket_and_http(
    place: Place, *, has_asked: bool
) -> None:
    place.upstream.will(HELD)
    with place.connect() as left:
        if has_asked:
            # As `useChat` with `resume` does.
            left.send(resuming("before", place.chat))
            assert receive(left) == {"type": "no-active", "requestId": "before"}
        left.send(frame("a", {}, place.chat))
        receive_text(left)
    with (
        place.connect() as socket,
        place.server.client.stream("GET", f"/api/chat/{place.chat}/stream") as response,
    ):
        assert response.status_code == 200
        socket.send(resuming("b", place.chat))
        first = receive(socket)
        place.upstream.requests[0].go_on()
        *chunks, last = receive_to_end(socket)
        over_http = [json.loads(event[6:]) for event in response.read().decode().split("\n\n") if '{"' in event]
    assert (first, last) == ({"type": "start", "requestId": "b"}, {"type": "end", "requestId": "b"})
    assert [chunk["sequence"] for chunk in chunks] == list(range(len(chunks)))
    assert [chunk["chunk"] for chunk in chunks] == over_http
    assert place.saved() == (text_of(chunks), "whole")
    assert len(place.upstream.requests) == 1


def test_a_run_that_was_begun_over_http_is_read_again_over_the_socket(place: Place) -> None:
    place.upstream.will(HELD)
    body = {"id": place.chat, "trigger": "submit-message", "messages": [MESSAGE]}
    with place.connect() as socket:
        with place.server.client.stream("POST", "/api/chat", json=body, headers={"x-usechat-sdk": "7"}) as response:
            assert response.status_code == 200
            socket.send(resuming("a", place.chat))
            assert receive(socket) == {"type": "start", "requestId": "a"}
            assert any("text-delta" in line for line in response.iter_lines())
        # The first reader has gone.
        place.upstream.requests[0].go_on()
        frames = receive_to_end(socket)
    assert frames[-1] == {"type": "end", "requestId": "a"}
    assert place.saved() == (text_of(frames), "whole")


def test_there_is_nothing_to_resume_after_the_end(place: Place) -> None:
    place.upstream.will(Reply("text"))
    with place.connect() as socket:
        socket.send(frame("a", {}, place.chat))
        receive_to_end(socket)
        socket.send(resuming("b", place.chat))
        assert receive(socket) == {"type": "no-active", "requestId": "b"}


def test_the_end_of_a_reader_that_never_comes_back_is_the_answers(place: Place) -> None:
    place.upstream.will(HELD)
    with place.connect() as socket:
        socket.send(frame("a", {}, place.chat))
        receive_text(socket)
    place.upstream.requests[0].wait()
    answer, status = place.saved()
    assert (answer[:4], status) == ("High", "partial")


@pytest.mark.parametrize("which", ["send", "resume"])
def test_an_abort_stops_the_answer_and_the_next_turn_can_begin(place: Place, which: str) -> None:
    place.upstream.will(HELD, Reply("text"))
    with place.connect() as socket, place.connect() as other:
        socket.send(frame("send", {}, place.chat))
        receive_text(socket)
        other.send(resuming("resume", place.chat))
        receive_text(other)
        {"send": socket, "resume": other}[which].send(json.dumps({"type": "abort", "requestId": which}))
        frames = receive_to_end({"send": other, "resume": socket}[which])
        assert frames[-2]["chunk"] == {"type": "abort", "reason": "stopped"}
        place.upstream.requests[0].wait()
        assert place.upstream.requests[0].is_aborted
        assert place.saved()[1] == "aborted"
        socket.send(frame("next", {}, place.chat))
        assert receive_to_end(socket)[-1] == {"type": "end", "requestId": "next"}


def test_an_abort_that_comes_with_its_request_does_not_leave_the_chat_busy(place: Place) -> None:
    place.upstream.will(Reply("text"))
    with place.connect() as socket:
        for number in range(5):
            socket.send(frame(f"a{number}", {}, place.chat))
            socket.send(json.dumps({"type": "abort", "requestId": f"a{number}"}))
        # It may be planned while one of the others still begins, and one of those may have been told whole before its
        # abort was read.
        for request_id in ("b", "c", "d", "e", "f"):
            socket.send(frame(request_id, {}, place.chat))
            last = receive_to_end(socket)[-1]
            while last["requestId"] != request_id:
                last = receive_to_end(socket)[-1]
            if last.get("errorText") != "This chat has changed meanwhile. Load it again.":
                break
        assert last == {"type": "end", "requestId": request_id}


def test_a_second_turn_at_once_is_refused_on_its_own_request(place: Place) -> None:
    place.upstream.will(HELD)
    with place.connect() as socket:
        socket.send(frame("a", {}, place.chat))
        receive_text(socket)
        socket.send(frame("b", {}, place.chat, {**MESSAGE, "id": "2"}))
        frames = receive_to_end(socket)
        assert frames[-1]["requestId"] == "b"
        assert frames[-1]["errorText"] == "This chat is being answered already."


def test_a_request_that_comes_again_reads_the_answer_that_is_made(place: Place) -> None:
    place.upstream.will(HELD)
    with place.connect() as socket, place.connect() as second:
        socket.send(frame("a", {}, place.chat))
        receive_text(socket)
        second.send(frame("b", {}, place.chat))
        receive_text(second)
        assert len(place.upstream.requests) == 1


def test_a_run_in_another_protocol_is_not_resumed(place: Place) -> None:
    place.upstream.will(HELD)
    body = {"id": place.chat, "messages": [MESSAGE]}
    with (
        place.connect() as socket,
        place.server.client.stream("POST", "/api/chat", json=body, headers={"x-usechat-sdk": "4"}) as response,
    ):
        assert response.status_code == 200
        socket.send(resuming("a", place.chat))
        assert "protocol" in receive(socket)["errorText"]


def test_a_chat_to_resume_has_an_id(place: Place) -> None:
    with place.connect() as socket:
        socket.send(json.dumps({"type": "resume", "requestId": "a", "id": 5}))
        assert receive(socket) == {"type": "error", "requestId": "a", "errorText": "id: must be a string"}
