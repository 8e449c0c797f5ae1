"""What strangers and large bodies cost a running server: no memory, and nobody else's time."""

from __future__ import annotations

import http.client
import json
import re
import socket
import threading
import zlib
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.sync.client import ClientConnection, connect

from tests.integration.running_server import RunningServer, serving
from tests.integration.test_server_socket import KEY, address, frame, receive, receive_to_end, resuming
from usechat.conversations.routes.saved import MAX_PATCH_BYTES
from usechat.http.websocket import FIRST_FRAME_BYTES

MEGABYTE = 2**20
MAX_BODY = 2 * MEGABYTE
MAX_GROWTH = 48 * MEGABYTE
"""Far below what was sent, far above what an allocator does by itself."""
PIECE = b"[]," * (MEGABYTE // 3)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serving(
        tmp_path_factory.mktemp("edge"),
        USECHAT_MODEL="demo",
        USECHAT_API_KEYS="the-key",
        USECHAT_MAX_BODY_BYTES=str(MAX_BODY),
        USECHAT_BODY_SECONDS="2",
    ) as running:
        # Whatever is loaded late is loaded now.
        running.client.post("/api/chat", json={}, headers=KEY)
        yield running


def memory(server: RunningServer, field: str) -> int:
    """The process's memory in bytes: now (``VmRSS``) or at its most (``VmHWM``)."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(rf"{field}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


@contextmanager
def flat_memory(server: RunningServer) -> Generator[None]:
    """Memory must not have been much more at any time within, and the server answers others meanwhile."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    before = memory(server, "VmRSS")
    is_over, asked = threading.Event(), threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            assert server.client.get("/healthz", timeout=60).status_code == 200
            asked.set()

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            yield
            assert asked.wait(20)
        finally:
            is_over.set()
        asking.result()
    assert memory(server, "VmHWM") - before < MAX_GROWTH


@dataclass(frozen=True)
class Answered:
    status: int
    detail: str
    sent: int


def upload(
    server: RunningServer,
    method: str,
    path: str,
    headers: dict[str, str],
    megabytes: int,
    *,
    declared: int | None = None,
) -> Answered:
    """Send a body, chunked or with a length, before looking for the answer, as simple clients do."""
    port = server.client.base_url.port
    assert port is not None
    length = {"transfer-encoding": "chunked"} if declared is None else {"content-length": str(declared)}
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        head = "".join(f"{name}: {value}\r\n" for name, value in {"host": "127.0.0.1", **length, **headers}.items())
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        sent = 0
        response = http.client.HTTPResponse(connection, method=method)
        try:
            for _ in range(megabytes):
                framed = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if declared is None else PIECE
                connection.sendall(framed)
                sent += len(PIECE)
            connection.sendall(b"0\r\n\r\n" if declared is None else b"")
        except (BrokenPipeError, ConnectionResetError):
            # The answer was there before; a client that looks for it while it sends has it.
            pass
        response.begin()
        text = response.read()
        return Answered(response.status, json.loads(text)["detail"] if text else "", sent)


BODIES = [
    ("PATCH", "/api/chats/1"),
    ("DELETE", "/api/chats/1"),
    ("GET", "/api/chats"),
    ("POST", "/api/chat"),
    ("POST", "/api/completion"),
    ("POST", "/api/ai/chat/stream"),
    ("POST", "/api/nothing/here"),
]


@pytest.mark.parametrize(("method", "path"), BODIES)
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer another"}], ids=["no-key", "wrong-key"])
def test_body_of_a_stranger_is_not_kept(server: RunningServer, method: str, path: str, headers: dict[str, str]) -> None:
    with flat_memory(server):
        assert upload(server, method, path, headers, 60).status == 401


def test_huge_body_of_a_stranger_is_not_kept(server: RunningServer) -> None:
    port = server.client.base_url.port
    with flat_memory(server), socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(b"PATCH /api/chats/1 HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n")
        sent = send_until_refused(connection, 400)
    assert sent < 100 * MEGABYTE


def send_until_refused(connection: socket.socket, megabytes: int) -> int:
    sent = 0
    with suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(megabytes):
            connection.sendall(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            sent += len(PIECE)
    return sent


@pytest.mark.parametrize(("method", "path"), [each for each in BODIES if each[0] in {"PATCH", "POST"}])
@pytest.mark.parametrize("declared", [None, 60 * len(PIECE)], ids=["chunked", "declared"])
def test_body_that_is_too_large_is_refused_while_it_comes(
    server: RunningServer, method: str, path: str, declared: int | None
) -> None:
    with flat_memory(server):
        answered = upload(server, method, path, KEY, 60, declared=declared)
    if "nothing" in path:
        assert answered.status == 404
    else:
        most = min(MAX_BODY, MAX_PATCH_BYTES) if method == "PATCH" else MAX_BODY
        assert (answered.status, answered.detail) == (413, f"The body is larger than {most} bytes.")


def begin(server: RunningServer, headers: str) -> tuple[socket.socket, http.client.HTTPResponse]:
    connection = socket.create_connection(("127.0.0.1", server.client.base_url.port), timeout=60)
    connection.sendall(f"PATCH /api/chats/1 HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}\r\n".encode())
    return connection, http.client.HTTPResponse(connection, method="PATCH")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("content-length: 99999999999\r\n", 401),
        ("authorization: Bearer the-key\r\ncontent-length: 99999999999\r\n", 413),
        ("authorization: Bearer the-key\r\ncontent-length: 100\r\ncontent-encoding: gzip\r\n", 415),
    ],
)
def test_refusal_needs_no_byte_of_the_body(server: RunningServer, headers: str, status: int) -> None:
    connection, response = begin(server, headers)
    with connection:
        response.begin()
        assert response.status == status


@pytest.mark.parametrize(("key", "status"), [("", 401), ("authorization: Bearer the-key\r\n", 413)])
def test_client_that_asks_first_is_refused_without_being_told_to_go_on(
    server: RunningServer, key: str, status: int
) -> None:
    connection, _ = begin(server, f"{key}content-length: 99999999\r\nexpect: 100-continue\r\n")
    with connection:
        # http.client would pass over a 100.
        assert connection.recv(100).startswith(b"HTTP/1.1 %d " % status)


def test_body_that_trickles_is_given_up(server: RunningServer) -> None:
    connection, response = begin(server, "authorization: Bearer the-key\r\ncontent-length: 1000\r\n")
    with connection:
        connection.sendall(b"{")
        response.begin()
        assert (response.status, json.loads(response.read())) == (408, {"detail": "The body came too slowly."})
        assert connection.recv(1) == b""


# The WebSocket


def bomb(megabytes: int) -> bytes:
    """A compressed text frame, masked with zeros, of a few bytes for each kilobyte that it holds."""
    packer = zlib.compressobj(9, wbits=-12)
    text = b'{"messages":[' + PIECE * megabytes + b"[]]}"
    data = (packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]
    assert len(data) < 65536
    return b"\xc1\xfe" + len(data).to_bytes(2) + bytes(4) + data


def test_bombs_before_the_key_are_not_inflated(server: RunningServer) -> None:
    frame_bytes = bomb(19)
    with flat_memory(server), ExitStack() as opened:
        deflate = [ClientPerMessageDeflateFactory()]
        sockets = [opened.enter_context(connect(address(server), extensions=deflate)) for _ in range(8)]
        for each in sockets:
            assert not each.protocol.extensions
            each.socket.sendall(frame_bytes)
        assert {close_code(each) for each in sockets} == {1002}


def close_code(connection: ClientConnection) -> int:
    with suppress(ConnectionClosed):
        while True:
            receive(connection)
    assert connection.close_code is not None
    return connection.close_code


def test_first_frame_is_small_until_the_key_is_known(server: RunningServer) -> None:
    large = json.dumps({"type": "abort", "requestId": "a", "headers": KEY, "filling": "x" * FIRST_FRAME_BYTES})
    with connect(address(server)) as stranger:
        stranger.send(large)
        assert close_code(stranger) in TOO_MUCH
    with connect(address(server)) as socket:
        socket.send(json.dumps({**json.loads(resuming("a", "nobody")), "headers": KEY}))
        assert receive(socket)["type"] == "no-active"
        socket.send(large)
        socket.send(frame("b", KEY, "chat-b"))
        assert receive_to_end(socket)[-1] == {"type": "end", "requestId": "b"}


@pytest.mark.parametrize("way", ["header", "subprotocol"])
def test_key_of_the_handshake_lets_large_frames_in(server: RunningServer, way: str) -> None:
    large = json.dumps({**json.loads(frame("a", {}, f"chat-{way}")), "metadata": "x" * FIRST_FRAME_BYTES})
    opened = (
        connect(address(server), additional_headers=KEY)
        if way == "header"
        else connect(address(server), subprotocols=["usechat", "bearer.the-key"])  # pyright: ignore[reportArgumentType]
    )
    with opened as socket:
        assert socket.subprotocol == (None if way == "header" else "usechat")
        socket.send(large)
        assert receive_to_end(socket)[-1] == {"type": "end", "requestId": "a"}


TOO_MUCH = (1009, 1006)
"""What a client sees that goes on sending: the code, or a connection that is reset before it has read it."""


def test_fragments_are_bounded_in_bytes_and_number(server: RunningServer) -> None:
    with flat_memory(server):
        with connect(address(server)) as stranger:
            with pytest.raises(ConnectionClosed):
                stranger.send("x" * 65536 for _ in range(100))
            assert close_code(stranger) in TOO_MUCH
        with connect(address(server), additional_headers=KEY) as empty:
            with pytest.raises(ConnectionClosed):
                empty.send("" for _ in range(100_000))
            assert close_code(empty) in TOO_MUCH
