"""Who may is decided from the head, for every route there is; bodies are bounded in bytes and time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from usechat.server.access.edge import BodyGate, is_api_path
from usechat.server.app import create_app
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

OPEN = {"/healthz", "/readyz", ""}
"""What needs no key: whether the process answers and is ready, the page."""
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]


def make_scope(method: str, path: str, headers: dict[str, str], **more: Any) -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
        "scheme": "http",
        **more,
    }


async def ask(app: ASGIApp, scope: Scope, receive: Receive) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


async def never() -> Message:
    raise AssertionError("the body was asked for")


def walk(routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, those of included routers too."""
    for route in routes:
        yield from walk(inner) if (inner := included(route)) else [route]


def included(route: BaseRoute) -> Sequence[BaseRoute]:
    router = getattr(route, "original_router", None)
    return router.routes if router is not None else ()


@pytest.fixture
def app() -> FastAPI:
    settings = {"model": "demo", "database_url": "sqlite:///never-opened.db", "api_keys": "the-key"}
    app = create_app(Settings.model_validate(settings))

    @app.post("/api/added/later")
    async def added(body: dict[str, Any]) -> None:
        """A route that says nothing of keys."""
        raise AssertionError(body)

    return app


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer another"}], ids=["no-key", "wrong-key"])
async def test_no_route_reads_a_body_before_it_has_seen_the_key(app: FastAPI, headers: dict[str, str]) -> None:
    paths: set[str] = set()
    for route in walk(app.routes):
        assert isinstance(route, Route | Mount | WebSocketRoute), route
        if isinstance(route, WebSocketRoute):
            assert route.path == "/api/chat/ws"
            continue
        paths.add(route.path)
        if not is_api_path(make_scope("GET", route.path, {})):
            assert route.path in OPEN
            continue
        for method in METHODS:
            path = route.path.replace("{chat_id:chat}", "1").replace("{path:path}", "anything")
            scope = make_scope(method, path, {"transfer-encoding": "chunked", **headers}, http_version="2")
            start, *_ = await ask(app, scope, never)
            assert start["status"] == 401, (method, path)
    assert {"/api/chats/{chat_id:chat}", "/api/chat", "/api/info", "/api/added/later", *(OPEN - {""})} <= paths


@pytest.mark.parametrize(
    ("path", "root", "is_api"),
    [
        ("/api", "", True),
        ("/api/chat", "", True),
        ("/behind/api/chat", "/behind", True),
        ("/api/chat", "/behind", True),
        ("/api/api/chat", "/api", True),
        ("/docs", "", True),
        ("/openapi.json", "", True),
        ("/metrics", "", True),
        ("/apiary", "", False),
        ("/", "", False),
    ],
)
async def test_paths_that_need_a_key(path: str, root: str, is_api: bool) -> None:
    assert is_api_path(make_scope("GET", path, {}, root_path=root)) is is_api


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await answer(scope, receive, send)
    assert (await receive())["type"] == "http.disconnect"


async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"yes", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


class Coming:
    """A body that comes in pieces, and then the client's leaving."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    async def __call__(self) -> Message:
        await asyncio.sleep(0)
        if not self.pieces:
            return {"type": "http.disconnect"}
        piece = self.pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces)}


CHUNKED = {"transfer-encoding": "chunked"}
CLOSING = [(b"connection", b"close")]


async def test_body_that_is_read_to_its_end_leaves_the_connection_open() -> None:
    sent = await ask(BodyGate(read_all, max_bytes=4, seconds=5), make_scope("POST", "/", CHUNKED), Coming(b"12", b"34"))
    assert sent[0]["headers"] == []
    assert len(sent) == 3


@pytest.mark.parametrize("pieces", [[b"1"] * 3, [b"x" * 2**20] * 200], ids=["to-its-end", "no-further-than-bounded"])
async def test_unread_rest_is_thrown_away_before_the_connection_is_closed(pieces: list[bytes]) -> None:
    coming = Coming(*pieces)
    sent = await ask(BodyGate(answer, max_bytes=4, seconds=5), make_scope("POST", "/", CHUNKED), coming)
    assert sent[0]["headers"] == CLOSING
    assert [(message["body"], message["more_body"]) for message in sent[1:]] == [
        (b"yes", True),
        (b"", True),
        (b"", False),
    ]
    assert len(coming.pieces) == max(0, len(pieces) - 64)


async def test_client_that_keeps_a_refused_connection_open_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr("usechat.server.access.edge.LINGER_SECONDS", 0.01)
    sent = await ask(BodyGate(answer, max_bytes=4, seconds=5), make_scope("POST", "/", CHUNKED), nothing)
    assert sent[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize(
    ("headers", "more"),
    [({"content-length": "1000"}, {}), (CHUNKED, {"http_version": "2"}), ({}, {})],
    ids=["small", "http2", "none"],
)
async def test_connection_is_kept_where_little_is_unread_or_it_is_shared(
    headers: dict[str, str], more: dict[str, Any]
) -> None:
    sent = await ask(BodyGate(answer, max_bytes=4, seconds=5), make_scope("POST", "/", headers, **more), never)
    assert sent[0]["headers"] == []
