"""What an attacker sees of a running server."""

from __future__ import annotations

import json
import re
import socket
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.sync.client import connect

from tests.integration.running_server import RunningServer, serving
from tests.integration.test_server_socket import KEY, address, frame, receive_to_end

CHAT = {"id": "chat-1", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hello"}]}]}
SECRET_PROMPT = "the prompt that nobody may read in a log"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(
        tmp_path_factory.mktemp("attacked"),
        USECHAT_MODEL="demo",
        USECHAT_API_KEYS="the-key",
        USECHAT_HEAD_SECONDS="1",
        USECHAT_LOG_LEVEL="debug",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def keyless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(tmp_path_factory.mktemp("keyless"), USECHAT_MODEL="demo") as running:
        yield running


@contextmanager
def connected(server: RunningServer) -> Generator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.client.base_url.port or 0), timeout=60) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


# Heads


def test_connection_that_says_nothing_is_closed(server: RunningServer) -> None:
    with connected(server) as connection:
        assert read_all(connection) == b""


@pytest.mark.parametrize("half", [b"G", b"POST /api/chat HTTP/1.1\r\nhost: x\r\nx-a: "])
def test_half_a_head_is_given_up(server: RunningServer, half: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(half)
        assert read_all(connection).startswith(b"HTTP/1.1 408 ")


def test_line_ends_keep_no_connection_open(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
        connection.sendall(b"\r\n")
        assert read_all(connection).startswith((b"", b"HTTP/1.1 408 "))


def test_head_is_bounded_in_bytes(server: RunningServer) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: x\r\n")
        assert send_lines(connection, 1000) < 500


def send_lines(connection: socket.socket, number: int) -> int:
    """Send long lines of a head; return how many were taken before the connection was closed."""
    for sent in range(number):
        try:
            connection.sendall(b"x-filling: " + b"x" * 65536 + b"\r\n")
        except (BrokenPipeError, ConnectionResetError):
            return sent
    return number


def test_answer_is_not_cut_by_a_head_that_begins_behind_it(server: RunningServer) -> None:
    body = json.dumps({**CHAT, "id": "pipelined"}).encode()
    head = f"POST /api/chat HTTP/1.1\r\nhost: x\r\nauthorization: Bearer the-key\r\ncontent-length: {len(body)}\r\n\r\n"
    with connected(server) as connection:
        connection.sendall(head.encode() + body + b"GET /healthz HT")
        received = b""
        while b"[DONE]" not in received:
            piece = connection.recv(65536)
            assert piece, received
            received += piece
        connection.sendall(b"TP/1.1\r\nhost: x\r\n\r\n")
        while b'"status"' not in received:
            received += connection.recv(65536)


# Pages of others


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
def test_page_of_another_port_sends_nothing_to_a_server_without_keys(keyless: RunningServer, content_type: str) -> None:
    headers = {"origin": "http://localhost:1", "sec-fetch-site": "same-site", "content-type": content_type}
    answered = keyless.client.post("/api/chat", content=json.dumps(CHAT), headers=headers)
    assert answered.status_code == 403
    assert keyless.client.get("/api/chats").json()["chats"] == []


def test_stranger_behind_a_proxy_of_this_machine_is_refused(keyless: RunningServer) -> None:
    # As nginx passes it on by default: with its own idea of the host, and nothing about the client.
    origin = {"host": "127.0.0.1", "origin": "https://chat.example", "sec-fetch-site": "same-origin"}
    assert keyless.client.post("/api/chat", json=CHAT, headers=origin).status_code == 403
    read = {"host": "127.0.0.1", "referer": "https://chat.example/", "sec-fetch-site": "same-origin"}
    assert keyless.client.get("/api/chats", headers=read).status_code == 403


# The documentation, and what pages may load


def test_documentation_needs_a_key(server: RunningServer) -> None:
    for path in ("/docs", "/openapi.json"):
        assert server.client.get(path).status_code == 401
        assert server.client.get(path, headers=KEY).status_code == 200


def test_documentation_runs_no_script(server: RunningServer) -> None:
    page = server.client.get("/docs", headers=KEY)
    assert "POST /api/chat" in page.text
    assert "<script" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/", "/docs", "/api/info", "/healthz", "/nowhere"])
def test_every_answer_has_a_policy(server: RunningServer, path: str) -> None:
    headers = server.client.get(path, headers=KEY).headers
    policy = headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "https:" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    assert headers["x-content-type-options"] == "nosniff"


# What is written down


def test_logs_hold_neither_prompts_nor_keys_nor_lines_of_the_client(server: RunningServer) -> None:
    chat_id = "chat\r\n2026-01-01 00:00:00,000 INFO usechat [-] forged"
    with connect(address(server)) as connection:
        connection.send(frame("a", KEY, "over-socket"))
        receive_to_end(connection)
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": SECRET_PROMPT}]}
    server.client.post("/api/chat", json={"id": chat_id, "messages": [message]}, headers=KEY)
    server.client.post("/api/chat", json={"id": "prompted", "messages": [message]}, headers=KEY)
    server.client.get("/api/chat", params={"chatId": chat_id}, headers=KEY)
    log = server.log.read_text()
    assert "prompted" in log
    assert SECRET_PROMPT not in log
    assert "the-key" not in log
    lines = [line for line in log.splitlines() if not line.startswith("  ")]
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ", line) for line in lines if line)
    assert not any("2026-01-01 00:00:00,000" in line[:24] for line in lines)


def test_chats_are_for_this_user_alone(server: RunningServer) -> None:
    server.client.post("/api/chat", json=CHAT, headers=KEY)
    files = list(Path(server.log.parent).glob("usechat.db*"))
    assert len(files) >= 2
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_title_is_short(server: RunningServer) -> None:
    server.client.post("/api/chat", json={**CHAT, "id": "titled"}, headers=KEY)
    long = server.client.patch("/api/chats/titled", json={"title": "x" * 1001}, headers=KEY)
    assert (long.status_code, long.json()) == (422, {"detail": "title: is too long"})
    assert server.client.patch("/api/chats/titled", json={"title": "x" * 1000}, headers=KEY).status_code == 200
