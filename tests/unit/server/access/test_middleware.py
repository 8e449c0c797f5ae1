"""Who gets in: keys, loopback, origins. The application is called directly; nothing listens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from usechat.errors import ConfigurationError
from usechat.server.access.middleware import LastResort, LoopbackOnly
from usechat.server.access.sign_in.keys import KeyGuard
from usechat.server.app import create_app
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

KEY = {"authorization": "Bearer the-key"}
ROUTES = [
    ("POST", "/api/chat"),
    ("GET", "/api/chat"),
    ("POST", "/api/completion"),
    ("POST", "/api/ai/chat/stream"),
    ("GET", "/api/info"),
    ("GET", "/api/nothing/here"),
    ("DELETE", "/api/"),
]

Asking = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Asking:
    """Makes a client of an application with the given settings; ``vercel`` and ``peer`` say where it runs."""

    @asynccontextmanager
    async def ask(
        *, vercel: bool = False, peer: str = "127.0.0.1", **settings: Any
    ) -> AsyncGenerator[httpx.AsyncClient]:
        monkeypatch.setenv("VERCEL", "1" if vercel else "")
        app = create_app(Settings.model_validate({"model": "demo", "database_url": "off", **settings}))
        transport = httpx.ASGITransport(app, client=(peer, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8000") as client:
            yield client

    return ask


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_api_route_wants_a_key(asking: Asking, method: str, path: str) -> None:
    async with asking(api_keys="the-key") as client:
        response = await client.request(method, path, json={})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.json()["detail"] == "An API key is needed: send the header Authorization: Bearer KEY."


async def test_no_documented_route_below_api_is_open(asking: Asking) -> None:
    async with asking(api_keys="the-key", database_url="sqlite:///never-opened.db") as client:
        paths = (await client.get("/openapi.json", headers=KEY)).json()["paths"]
        routes = [(method, path) for path, methods in paths.items() for method in methods if path.startswith("/api")]
        assert ("delete", "/api/chats/{chat_id}") in routes
        for method, path in routes:
            response = await client.request(method.upper(), path.replace("{chat_id}", "1"), json={})
            assert response.status_code == 401, (method, path)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Bearer the-key", 200),
        ("bearer the-key", 200),
        ("Bearer another-key", 200),
        ("Bearer the-ke", 401),
        ("Bearer the-key2", 401),
        ("Bearer", 401),
        ("Bearer ", 401),
        ("the-key", 401),
        ("Basic the-key", 401),
        ("Bearer caf\u00e9", 401),
    ],
)
async def test_only_the_servers_keys_open(asking: Asking, header: str, status: int) -> None:
    async with asking(api_keys="the-key,another-key") as client:
        response = await client.get("/api/info", headers={b"authorization": header.encode("latin-1")})
    assert response.status_code == status


async def test_page_and_health_need_no_key(asking: Asking) -> None:
    async with asking(api_keys="the-key") as client:
        assert (await client.get("/healthz")).json()["status"] == "ok"
        assert (await client.head("/healthz")).status_code == 200
        assert (await client.get("/")).status_code == 200


async def test_key_is_checked_before_the_body_is_read(asking: Asking) -> None:
    async with asking(api_keys="the-key", max_body_bytes=10) as client:
        response = await client.post("/api/chat", content=b"x" * 100)
    assert response.status_code == 401


async def test_keys_are_compared_by_digests_of_one_length() -> None:
    guard = KeyGuard(Settings.model_validate({"api_keys": "a,a-much-longer-key"}), is_public=False)
    assert guard.knows("a")
    assert guard.knows("a-much-longer-key")
    assert not guard.knows("")


async def test_route_that_is_not_there_is_told_with_a_key_only(asking: Asking) -> None:
    async with asking(api_keys="the-key") as client:
        missing = await client.get("/api/nothing/here", headers=KEY)
        wrong_method = await client.put("/api/chat", headers=KEY)
    assert (missing.status_code, missing.json()) == (404, {"detail": "Not Found"})
    assert (wrong_method.status_code, wrong_method.headers["allow"]) == (405, "GET, POST")


async def test_deployment_without_keys_is_closed(asking: Asking) -> None:
    async with asking(vercel=True, peer="203.0.113.7") as client:
        response = await client.get("/api/info", headers={"host": "chat.example"})
    assert response.status_code == 503
    assert "USECHAT_API_KEYS" in response.json()["detail"]


async def test_deployment_can_be_opened_on_purpose(asking: Asking) -> None:
    async with asking(vercel=True, peer="203.0.113.7", insecure=True) as client:
        assert (await client.get("/api/info", headers={"host": "chat.example"})).status_code == 200


def test_application_refuses_to_listen_to_strangers_without_keys() -> None:
    with pytest.raises(ConfigurationError, match="USECHAT_HOST"):
        create_app(Settings(host="0.0.0.0"))


@pytest.mark.parametrize(
    ("headers", "peer", "status"),
    [
        ({}, "127.0.0.1", 200),
        ({}, "::1", 200),
        ({}, "::ffff:127.0.0.1", 200),
        ({}, "a-socket-file", 200),
        ({"host": "127.0.0.1:8000"}, "127.0.0.1", 200),
        ({"host": "[::1]:8000"}, "::1", 200),
        ({"host": "evil.example"}, "127.0.0.1", 403),
        ({"host": "localhost.evil.example:8000"}, "127.0.0.1", 403),
        ({"host": "[broken"}, "127.0.0.1", 403),
        ({"host": ""}, "127.0.0.1", 403),
        ({}, "192.0.2.1", 403),
        ({}, "fe80::1%eth0", 403),
        # A page of this server, and one behind the proxy of its own development server.
        ({"origin": "http://localhost:8000"}, "127.0.0.1", 200),
        ({"origin": "http://localhost:3000", "sec-fetch-site": "same-origin"}, "127.0.0.1", 200),
        ({"origin": "http://localhost:3000", "x-forwarded-host": "localhost:3000"}, "127.0.0.1", 200),
        # A page of another program on this machine. A form needs nobody's leave to send text/plain.
        ({"origin": "http://localhost:3000"}, "127.0.0.1", 403),
        ({"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-site"}, "127.0.0.1", 403),
        ({"origin": "http://localhost:3000", "sec-fetch-site": "same-site"}, "127.0.0.1", 403),
        ({"origin": "https://evil.example"}, "127.0.0.1", 403),
        ({"origin": "null"}, "127.0.0.1", 403),
        # A proxy on this machine that calls it by its loopback address.
        ({"origin": "https://own.example", "sec-fetch-site": "same-origin"}, "127.0.0.1", 403),
        ({"referer": "https://own.example/", "sec-fetch-site": "same-origin"}, "127.0.0.1", 403),
        ({"x-forwarded-host": "own.example"}, "127.0.0.1", 403),
        ({"x-forwarded-for": "192.0.2.1"}, "127.0.0.1", 403),
        ({"x-real-ip": "192.0.2.1"}, "127.0.0.1", 403),
        # A link on another site.
        ({"referer": "https://blog.example/", "sec-fetch-site": "cross-site"}, "127.0.0.1", 200),
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, "127.0.0.1", 403),
    ],
)
async def test_without_keys_only_this_machine_gets_in(
    asking: Asking, headers: dict[str, str], peer: str, status: int
) -> None:
    async with asking(peer=peer) as client:
        response = await client.get("/api/info", headers=headers)
    assert response.status_code == status
    if status == 403:
        assert "USECHAT_API_KEYS" in response.json()["detail"]


@pytest.mark.parametrize("settings", [{"insecure": True}, {"api_keys": "the-key"}])
async def test_everybody_may_knock_where_strangers_are_expected(asking: Asking, settings: dict[str, Any]) -> None:
    async with asking(peer="192.0.2.1", **settings) as client:
        headers = {**KEY, "host": "chat.example", "origin": "https://other.example"}
        assert (await client.get("/api/info", headers=headers)).status_code == 200


async def test_websocket_from_elsewhere_is_refused() -> None:
    sent: list[Message] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        raise AssertionError("it came through")

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    await LoopbackOnly(inner)({"type": "websocket", "headers": [(b"host", b"evil.example")]}, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008, "reason": ""}]


async def test_no_origin_is_let_in_unless_named(asking: Asking) -> None:
    async with asking(api_keys="the-key") as client:
        response = await client.get("/api/info", headers={**KEY, "origin": "https://chat.example"})
        preflight = await client.options(
            "/api/chat", headers={"origin": "https://chat.example", "access-control-request-method": "POST"}
        )
    assert not [name for name in {**response.headers, **preflight.headers} if name.startswith("access-control")]
    assert preflight.status_code == 401


async def test_named_origin_reads_the_answer_and_its_headers(asking: Asking) -> None:
    async with asking(api_keys="the-key", cors_origins="https://chat.example") as client:
        response = await client.get("/api/info", headers={**KEY, "origin": "https://chat.example"})
        other = await client.get("/api/info", headers={**KEY, "origin": "https://evil.example"})
    assert response.headers["access-control-allow-origin"] == "https://chat.example"
    assert set(response.headers["access-control-expose-headers"].split(", ")) == {
        "x-vercel-ai-ui-message-stream",
        "x-vercel-ai-data-stream",
        "x-experimental-stream-data",
        "x-request-id",
    }
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in other.headers


async def test_preflight_needs_no_key(asking: Asking) -> None:
    async with asking(api_keys="the-key", cors_origins="https://chat.example") as client:
        preflight = await client.options(
            "/api/chat",
            headers={
                "origin": "https://chat.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization,content-type,x-usechat-sdk",
            },
        )
    assert preflight.status_code == 200
    assert preflight.headers["access-control-allow-origin"] == "https://chat.example"
    assert "x-usechat-sdk" in preflight.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in preflight.headers


async def test_refusal_can_be_read_by_a_named_origin(asking: Asking) -> None:
    async with asking(api_keys="the-key", cors_origins="https://chat.example") as client:
        response = await client.post("/api/chat", json={}, headers={"origin": "https://chat.example"})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (401, "https://chat.example")


async def test_named_origin_gets_in_without_keys(asking: Asking) -> None:
    async with asking(cors_origins="https://chat.example") as client:
        assert (await client.get("/api/info", headers={"origin": "https://chat.example"})).status_code == 200
        assert (await client.get("/api/info", headers={"origin": "https://evil.example"})).status_code == 403


@pytest.mark.parametrize(
    ("given", "is_kept"), [("abc-DEF.1_2", True), ("", False), ("two words", False), ("x" * 129, False)]
)
async def test_request_id_is_kept_where_it_is_one(asking: Asking, given: str, is_kept: bool) -> None:
    async with asking() as client:
        response = await client.get("/healthz", headers={"x-request-id": given})
    assert (response.headers["x-request-id"] == given) is is_kept
    assert response.headers["x-content-type-options"] == "nosniff"


async def call(app: LastResort) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    await app({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)
    return sent


async def test_unexpected_error_becomes_json_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("the password is 123")

    start, body = await call(LastResort(broken))
    assert (start["status"], body["body"]) == (500, b'{"detail":"Internal Server Error"}')
    assert "the password is 123" in caplog.text


async def test_request_that_a_server_cancels_when_it_ends_is_to_be_sent_again() -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        raise asyncio.CancelledError

    start, _ = await call(LastResort(waiting))
    assert start["status"] == 503
    assert (b"retry-after", b"1") in start["headers"]


async def test_error_after_the_answer_began_is_left_to_the_server() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("too late")

    with pytest.raises(RuntimeError, match="too late"):
        await call(LastResort(broken))
