"""A function of the application says who sends a request, over HTTP and the WebSocket, before a body is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient
from starlette.types import Message

from usechat.errors import ConfigurationError
from usechat.server.access.asking import current_user
from usechat.server.access.sign_in.own_user import load_user
from usechat.server.app import create_app
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

EVIL = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}


def by_header(connection: HTTPConnection) -> str | None:
    return connection.headers.get("x-user")


async def by_cookie(connection: HTTPConnection) -> str | None:
    await asyncio.sleep(0)
    return connection.cookies.get("who")


def returns_coroutine(connection: HTTPConnection) -> Awaitable[str | None]:
    return by_cookie(connection)


def number(connection: HTTPConnection) -> Any:
    return 7


def empty(connection: HTTPConnection) -> str:
    return ""


class ByQuery:
    async def __call__(self, connection: HTTPConnection) -> str | None:
        return connection.query_params.get("user")


async def refusing(connection: HTTPConnection) -> str | None:
    raise HTTPException(403, "Your account is closed.")


def failing(connection: HTTPConnection) -> str | None:
    raise SystemExit("the accounts are away")


def make_app(function: Any, **settings: Any) -> FastAPI:
    app = create_app(Settings.model_validate({"model": "demo", "database_url": "off", **settings}), user=function)

    @app.api_route("/api/whoami", methods=["GET", "POST"])
    async def whoami() -> str:
        return current_user()

    # The page, mounted at "/", comes first otherwise.
    app.router.routes.insert(0, app.router.routes.pop())
    return app


@asynccontextmanager
async def asked(function: Any, **settings: Any) -> AsyncGenerator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(function, **settings), client=("192.0.2.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://chat.example") as client:
        yield client


@pytest.mark.parametrize(
    ("user", "known"),
    [
        (by_header, {"headers": {"x-user": "ann"}}),
        (by_cookie, {"headers": {"cookie": "who=ann"}}),
        (ByQuery(), {"params": {"user": "ann"}}),
        (returns_coroutine, {"headers": {"cookie": "who=ann"}}),
    ],
    ids=["function", "coroutine", "object", "returns-coroutine"],
)
async def test_function_names_the_user(user: Any, known: dict[str, Any]) -> None:
    async with asked(user) as client:
        answered = await client.get("/api/whoami", **known)
        assert (answered.status_code, answered.json()) == (200, "user:ann")
        refused = await client.get("/api/whoami")
        assert (refused.status_code, refused.json()) == (401, {"detail": "You are not signed in."})


async def test_function_says_why_it_refuses() -> None:
    async with asked(refusing) as client:
        refused = await client.get("/api/whoami")
        assert (refused.status_code, refused.json()) == (403, {"detail": "Your account is closed."})


@pytest.mark.parametrize("user", [failing, number, empty], ids=["raises", "number", "empty"])
async def test_function_that_fails_lets_nobody_in(user: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with asked(user) as client:
        refused = await client.get("/api/whoami")
    assert (refused.status_code, refused.json()) == (500, {"detail": "It could not be found out who you are."})
    assert "function of the user" in caplog.text


async def test_keys_count_beside_the_function() -> None:
    async with asked(by_header, api_keys="the-key") as client:
        assert (await client.get("/api/whoami", headers={"authorization": "Bearer the-key"})).json() == "default"
        wrong = {"authorization": "Bearer other"}
        # What is no key of the server's may be one of the application's.
        assert (await client.get("/api/whoami", headers={**wrong, "x-user": "ann"})).json() == "user:ann"
        refused = await client.get("/api/whoami", headers=wrong)
        assert (refused.status_code, refused.json()["detail"]) == (401, "The API key is not valid.")


async def test_cookies_that_a_page_of_another_site_sends_are_not_seen() -> None:
    async with asked(by_cookie) as client:
        cookie = {"cookie": "who=ann"}
        own = {"origin": "https://chat.example"}
        assert (await client.post("/api/whoami", headers={**cookie, **own})).status_code == 200
        assert (await client.post("/api/whoami", headers={**cookie, **EVIL})).status_code == 401
        assert (await client.post("/api/whoami", headers=cookie)).status_code == 401


async def test_function_is_asked_before_the_body() -> None:
    sent: list[Message] = []

    async def never() -> Message:
        raise AssertionError("the body was asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"chat.example"), (b"content-length", b"10")]
    scope = {"type": "http", "method": "POST", "path": "/api/chat", "query_string": b"", "headers": headers}
    await make_app(by_header)({**scope, "client": ("192.0.2.1", 1), "scheme": "https"}, never, send)
    assert sent[0]["status"] == 401


@pytest.mark.parametrize(("who", "last"), [("who=ann", "end"), ("", "error")])
def test_function_is_asked_for_the_socket(who: str, last: str) -> None:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}
    body = {"id": "c", "messages": [message], "trigger": "submit-message"}
    with TestClient(make_app(by_cookie)).websocket_connect("/api/chat/ws", headers={"cookie": who}) as socket:
        socket.send_json({"type": "send", "requestId": "a", "headers": {}, "body": body})
        ends = ("end", "error")
        received = next(
            frame for frame in iter(cast("Callable[[], Any]", socket.receive_json), None) if frame["type"] in ends
        )
    assert received["type"] == last


def test_server_with_a_function_may_listen_to_strangers() -> None:
    assert make_app(by_header, host="0.0.0.0")


@pytest.mark.parametrize("given", [7, HTTPConnection])
def test_function_must_be_one(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="must be a function"):
        make_app(given)


async def test_setting_names_the_function() -> None:
    name = f"{__name__}:by_header"
    async with asked(None, user=name) as client:
        assert (await client.get("/api/whoami", headers={"x-user": "ann"})).json() == "user:ann"
        assert (await client.get("/api/whoami")).status_code == 401
    with pytest.raises(ConfigurationError, match="the function of the user nowhere_at_all:find is not there"):
        load_user("nowhere_at_all:find")
    with pytest.raises(ConfigurationError, match="has no nothing"):
        load_user(f"{__name__}:nothing")
