"""A user who reaches a limit is told so in words, over HTTP and the WebSocket, and the server goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.sync.client import connect

from tests.integration.running_server import RunningServer, run, serving
from tests.integration.test_server_socket import KEY, address, frame, receive_text, receive_to_end

MESSAGE = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "hello"}]}
BUSY = "Too many answers are running for you. Wait for one to end."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(
        tmp_path_factory.mktemp("limited"), USECHAT_MODEL="demo", USECHAT_API_KEYS="the-key", USECHAT_ANSWERS_EACH="1"
    ) as running:
        yield running


def test_second_answer_at_once_is_refused_in_words(server: RunningServer) -> None:
    with server.client.stream("POST", "/api/chat", json={"id": "a", "messages": [MESSAGE]}, headers=KEY) as first:
        pieces = first.iter_text()
        next(pieces)
        second = server.client.post("/api/chat", json={"id": "b", "messages": [MESSAGE]}, headers=KEY)
        assert (second.status_code, second.headers["retry-after"], second.json()) == (429, "2", {"detail": BUSY})
        with connect(address(server)) as socket:
            socket.send(frame("c", KEY, "chat-c"))
            assert receive_to_end(socket)[-1] == {"type": "error", "requestId": "c", "errorText": BUSY}
        # What makes no answer goes on.
        assert server.client.get("/api/chats", headers=KEY).status_code == 200
        assert "[DONE]" in "".join(pieces)
    assert server.client.post("/api/chat", json={"id": "b", "messages": [MESSAGE]}, headers=KEY).status_code == 200


def test_answer_over_the_socket_takes_its_place_and_gives_it_back(server: RunningServer) -> None:
    with connect(address(server)) as socket:
        socket.send(frame("a", KEY, "chat-d"))
        receive_text(socket)
        refused = server.client.post("/api/chat", json={"id": "e", "messages": [MESSAGE]}, headers=KEY)
        assert refused.status_code == 429
        assert receive_to_end(socket)[-1]["type"] == "end"
    assert server.client.post("/api/chat", json={"id": "e", "messages": [MESSAGE]}, headers=KEY).status_code == 200


def test_settings_show_the_limits(server: RunningServer) -> None:
    shown = run(server.log.parent, ["settings"], USECHAT_ANSWERS_EACH="3", USECHAT_JWT_SECRET="s" * 32).stdout
    rows = dict(line.split()[:2] for line in shown.splitlines() if len(line.split()) > 2)
    assert rows["USECHAT_ANSWERS_EACH"] == "3"
    assert rows["USECHAT_MAX_ANSWERS"] == "2000"
    assert rows["USECHAT_REQUESTS_PER_MINUTE"] == rows["USECHAT_TOKENS_PER_DAY"] == "0"
    assert rows["USECHAT_JWT_SECRET"] == "********"
