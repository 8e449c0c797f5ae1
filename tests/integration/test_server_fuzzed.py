"""Whatever comes in, on whatever route: a legal answer in time, never an error of the server's own.

Few examples by default; ``--hypothesis-profile=thorough`` draws many others, and `make fuzz-routes` some 100,000.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast
from urllib.parse import quote

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.integration.running_server import RunningServer, serving
from tests.support.load_clients import Site
from usechat.testing.replay import ReplayServer

KEY = {"authorization": "Bearer the-key"}
SECONDS = 60.0
MAX_GROWTH = 320 * 2**20
"""Bytes of memory, of which the frames of ended answers may take 128 MB."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with everything on, whose model answers at once."""
    with (
        ReplayServer("text") as upstream,
        serving(
            tmp_path_factory.mktemp("fuzzed"),
            ANTHROPIC_BASE_URL=upstream.url,
            ANTHROPIC_API_KEY="key-1",
            USECHAT_MODEL="claude-sonnet-4-6",
            USECHAT_API_KEYS="the-key",
            USECHAT_METRICS="true",
            USECHAT_LOG_FORMAT="json",
            USECHAT_REQUESTS_PER_MINUTE="1000000",
            USECHAT_ANSWERS_EACH="1000",
            USECHAT_TOKENS_PER_DAY="1000000000",
            USECHAT_JWT_SECRET="s" * 32,
            USECHAT_JWT_COOKIE="session",
        ) as running,
    ):
        running.client.timeout = httpx.Timeout(SECONDS)
        site = Site(running.client.base_url.port or 0, running.process.pid, "the-key")
        before = site.memory()
        yield running
        assert running.process.poll() is None
        assert site.memory() - before < MAX_GROWTH
        # Each line of the log is whole, and none tells of an error of the server's own.
        lines = [json.loads(line) for line in running.log.read_text().splitlines()]
        assert not [line for line in lines if line["level"] in ("error", "critical")]


QUICK = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
EACH = settings(QUICK, max_examples=max(6, min(QUICK.max_examples // 5, 500)))
"""For each of the routes. To draw one takes longer than to answer it."""


def test_described_routes_have_no_errors_of_their_own(server: RunningServer) -> None:
    url = str(server.client.base_url).rstrip("/")
    api = schemathesis.openapi.from_url(f"{url}/openapi.json", headers=KEY)
    seen: set[int] = set()
    # The package has no types for its results.
    operations: Any = cast("Any", api).get_all_operations()
    for found in operations:
        operation = found.ok()

        @EACH
        @given(case=operation.as_strategy())
        def answer(case: Any) -> None:
            answered = case.call(base_url=url, headers=KEY, timeout=SECONDS)
            assert answered.status_code < 500, (case.method, case.path)
            seen.add(answered.status_code)

        answer()
    # Some of it was understood, and some not.
    assert {200, 404, 422} <= seen


# Every route, with anything at all

texts = st.text(max_size=30) | st.sampled_from(["", ".", "..", "/", "a/b", "%00", "\u202e", "x" * 2000, "export"])
ids = texts.map(lambda text: quote(text.encode("utf-8", "surrogatepass"), safe="/"))
templates = st.sampled_from([
    "/api/chat", "/api/chat?protocol={}", "/api/chat?chatId={}", "/api/completion", "/api/ai/chat/stream",
    "/api/chat/{}/stream", "/api/chat/{}/stream?cursor={}", "/api/chat/{}/stop",
    "/api/chats?search={}&limit={}&cursor={}",
    "/api/chats/{}", "/api/chats/{}?sdk={}&tree={}", "/api/chats/{}/path", "/api/chats/{}/messages/{}",
    "/api/chats/{}/export", "/api/info", "/api/{}", "/metrics", "/docs", "/openapi.json", "/readyz", "/healthz",
    "/{}", "{}",
])  # fmt: skip


def nested(leaves: st.SearchStrategy[Any], keys: st.SearchStrategy[str]) -> st.SearchStrategy[Any]:
    """Values with three levels of lists and objects."""
    made = leaves
    for _ in range(3):
        made = leaves | st.lists(made, max_size=3) | st.dictionaries(keys, made, max_size=5)
    return made


values = nested(st.none() | st.booleans() | st.integers() | st.floats() | texts, texts)
KNOWN_KEYS = st.sampled_from([
    "id", "messages", "message", "trigger", "messageId", "prompt", "model", "role", "parts", "type", "text", "state",
    "url",
    "content", "toolCallId", "toolName", "input", "output", "approval", "providerMetadata", "node", "title", "metadata",
    "streamProtocol", "systemPrompt", "data",
])  # fmt: skip
KNOWN_VALUES = st.sampled_from([
    "user", "assistant", "system", "submit-message", "regenerate-message", "file", "text", "reasoning", "dynamic-tool",
    "tool-a", "approval-responded", "output-available", "data:image/png;base64,", "https://a.example", "c", "anthropic",
])  # fmt: skip
shapes = nested(values | KNOWN_VALUES, KNOWN_KEYS)
bodies = (
    st.binary(max_size=200)
    | shapes.map(lambda value: json.dumps(value).encode())
    | shapes.map(lambda value: json.dumps({"id": "c", "messages": [{"role": "user", "parts": [value]}]}).encode())
)
names = st.sampled_from([
    "content-type", "content-encoding", "accept", "origin", "cookie", "x-usechat-sdk", "x-usechat-protocol",
    "user-agent",
    "last-event-id", "x-request-id", "x-forwarded-for", "if-none-match", "range", "x-vercel-ai-ui-message-stream",
])  # fmt: skip
header_values = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=20)
headers = st.dictionaries(names, header_values | st.sampled_from(["session=a.b.c", "7.0.0", "gzip", "*/*"]), max_size=4)


requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MEH"]),
        "template": templates,
        "fillings": st.lists(ids, min_size=3, max_size=3),
        "headers": headers,
        "body": bodies,
        "has_key": st.booleans(),
    }
)


@QUICK
@given(asked=requests)
def test_any_request_is_answered(server: RunningServer, asked: dict[str, Any]) -> None:
    method, body, has_key = asked["method"], asked["body"], asked["has_key"]
    path = asked["template"].format(*asked["fillings"])
    connection = http.client.HTTPConnection("127.0.0.1", server.client.base_url.port or 0, timeout=SECONDS)
    try:
        connection.putrequest(method, path if path.startswith("/") else f"/{path}")
        for name, value in {**asked["headers"], **(KEY if has_key else {})}.items():
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answered = connection.getresponse()
        answered.read()
    finally:
        connection.close()
    assert answered.status not in (500, 501, 502, 504), (method, path)
    if not has_key and re.match(r"/(api|metrics|docs|openapi\.json)(/|\?|$)", path):
        assert answered.status in (401, 408, 413, 400), (method, path)
    assert server.client.get("/api/chats", headers=KEY).status_code == 200


PIECES = st.sampled_from([
    b"GET ", b"POST /api/chat HTTP/1.1\r\n", b"host: x\r\n", b"\r\n", b"transfer-encoding: chunked\r\n",
    b"content-length: 5\r\n", b"upgrade: websocket\r\nconnection: upgrade\r\n",
])  # fmt: skip


@QUICK
@given(pieces=st.lists(st.binary(max_size=100) | PIECES, max_size=8))
def test_any_bytes_leave_the_server_as_it_was(server: RunningServer, pieces: list[bytes]) -> None:
    received = b""
    with (
        socket.create_connection(("127.0.0.1", server.client.base_url.port or 0), timeout=SECONDS) as connection,
        # Also one that is closed already.
        suppress(OSError),
    ):
        for piece in pieces:
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        while data := connection.recv(65536):
            received += data
    assert not received.startswith(b"HTTP/1.1 500")
    assert server.client.get("/healthz").status_code == 200


frames = shapes.map(json.dumps) | st.fixed_dictionaries(
    {
        "type": st.sampled_from(["send", "resume", "abort", "other"]),
        "requestId": texts | values,
        "headers": st.just(KEY) | st.dictionaries(texts, values, max_size=2),
        "body": shapes,
        "chatId": texts,
        "id": texts,
        "messages": shapes,
    }
).map(json.dumps)


@QUICK
@given(sent=st.lists(frames | st.binary(max_size=50) | texts, min_size=1, max_size=4))
def test_any_frames_leave_the_server_as_it_was(server: RunningServer, sent: list[str | bytes]) -> None:
    url = f"ws://127.0.0.1:{server.client.base_url.port}/api/chat/ws"
    with suppress(ConnectionClosed), connect(url, additional_headers=KEY, open_timeout=SECONDS) as connection:
        for each in sent:
            connection.send(each.encode("utf-8", "replace").decode() if isinstance(each, str) else each)
    assert server.client.get("/healthz").status_code == 200
