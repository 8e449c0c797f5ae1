"""One user's chats do not exist for another: on every route that there is, saved and while they are answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.routing import WebSocketRoute

from tests.integration.own_app import Client, OwnApp, body_of, current_user, served
from tests.support.databases import make_migrated_url
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat import Chats

pytestmark = pytest.mark.anyio

CHAT = "ada's/chat"
PATH = "ada%27s%2Fchat"

Route = tuple[str, str]

ABOUT_A_CHAT: Mapping[Route, dict[str, Any]] = {
    ("POST", "/chat"): {"json": body_of(CHAT, "And now?", "u9")},
    ("GET", "/chat"): {"params": {"chatId": CHAT}},
    ("GET", "/chat/{chat_id:chat}/stream"): {},
    ("DELETE", "/chat/{chat_id:chat}/stream"): {},
    ("POST", "/chat/{chat_id:chat}/stop"): {},
    ("GET", "/chats/{chat_id:chat}"): {},
    ("GET", "/chats/{chat_id:chat}/export"): {},
    ("PATCH", "/chats/{chat_id:chat}"): {"json": {"title": "Mine"}},
    ("POST", "/chats/{chat_id:chat}/path"): {"json": {"node": 0}},
    ("DELETE", "/chats/{chat_id:chat}/messages/{node:int}"): {},
    ("DELETE", "/chats/{chat_id:chat}"): {},
}
"""The routes that name a chat, and what a request to them has beside the path."""
ABOUT_NONE: Mapping[Route, dict[str, Any]] = {
    ("GET", "/chats"): {},
    ("POST", "/completion"): {"json": {"prompt": "Hello"}},
}
SOCKET: Route = ("WEBSOCKET", "/chat/ws")
FRAMES: Mapping[str, dict[str, Any]] = {
    "send": {"type": "send", **body_of(CHAT, "And now?", "u9")},
    "resume": {"type": "resume", "id": CHAT},
}


def path_of(route: Route) -> str:
    return route[1].replace("{chat_id:chat}", PATH).replace("{node:int}", "0")


def routes_of(chats: Chats) -> Iterator[tuple[Route, Any]]:
    for route in chats.router(OwnApp().answer, user=current_user).routes:
        match route:
            case APIRoute():
                for method in route.methods or ():
                    yield (method, route.path), route
            case WebSocketRoute():
                yield ("WEBSOCKET", route.path), route
            case _:
                pytest.fail(f"a route of an unknown kind: {route}")


def dependencies(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from dependencies(inner)


def test_every_route_is_tried_below():
    assert {route for route, _ in routes_of(Chats("sqlite:///chats.db"))} == {*ABOUT_A_CHAT, *ABOUT_NONE, SOCKET}


def test_every_route_asks_who_the_user_is():
    http = [(name, route) for name, route in routes_of(Chats("sqlite:///chats.db")) if name != SOCKET]
    assert [name for name, route in http if current_user not in dependencies(route.dependant)] == []


@dataclass(frozen=True)
class Place:
    """Where chats are kept, and the process that another user asks."""

    own: OwnApp
    answering: Client
    asked: Client

    async def try_all(self, name: str | None) -> dict[Route, int]:
        """Ask all HTTP routes that name a chat; the answers, by route."""
        statuses: dict[Route, int] = {}
        for route, more in ABOUT_A_CHAT.items():
            statuses[route] = (await self.asked.ask(name, route[0], path_of(route), **more)).status_code
        return statuses

    async def try_frames(self, name: str | None) -> dict[str, str | None]:
        """Send all frames that name a chat; the errors that come back, by frame."""
        return {key: (await self.asked.send_frame(name, frame)).get("errorText") for key, frame in FRAMES.items()}


@pytest.fixture(params=["sqlite", "postgresql", "postgresql and redis"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    kind: str = request.param
    url = make_migrated_url(kind.split(maxsplit=1)[0], request, tmp_path)
    options: dict[str, Any] = {"disconnect": "finish", "shutdown_timeout": 0.2}
    if "redis" in kind:
        redis: RedisServer = request.getfixturevalue("redis_server")
        options["redis_url"] = redis.url
    own = OwnApp()
    async with AsyncExitStack() as stack:
        clients: list[Client] = []
        for _ in range(2 if "redis" in kind else 1):
            chats = Chats(url, **options)
            app = FastAPI(lifespan=chats.lifespan)
            app.include_router(chats.router(own.answer, user=current_user), prefix="/api")
            clients.append(await stack.enter_async_context(served(app)))
        yield Place(own, clients[0], clients[-1])


async def read(client: Client, name: str) -> dict[str, Any]:
    answer = await client.ask(name, "GET", f"/chats/{PATH}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def begin(place: Place, body: dict[str, Any]) -> asyncio.Task[httpx.Response]:
    """Post a turn that is held, and wait until its first word was said."""
    posting = asyncio.create_task(place.answering.ask("ada", "POST", "/chat", json=body))
    await asyncio.wait_for(place.own.hold.reached.wait(), PATIENCE)
    return posting


async def check_hidden(place: Place) -> None:
    """Ask everything as another user: nothing is there, and the chat is as it was."""
    before, asked = await read(place.answering, "ada"), place.own.calls
    assert await place.try_all("bob") == dict.fromkeys(ABOUT_A_CHAT, 404)
    assert await place.try_frames("bob") == dict.fromkeys(FRAMES, "There is no such chat.")
    assert (await place.asked.ask("bob", "GET", "/chats")).json()["chats"] == []
    assert await read(place.answering, "ada") == before
    assert place.own.calls == asked


async def test_saved_chat_is_not_there_for_another_user(place: Place):
    assert (await place.answering.ask("ada", "POST", "/chat", json=body_of(CHAT))).status_code == 200
    await check_hidden(place)


async def test_chat_is_not_there_for_another_user_while_its_first_turn_is_answered(place: Place):
    posting = await begin(place, body_of(CHAT, "Wait"))
    await check_hidden(place)
    # For its owner it is, in whatever process.
    assert (await place.asked.ask("ada", "POST", f"/chat/{PATH}/stop")).json() == {"stopped": True}
    assert (await posting).status_code == 200


async def test_chat_is_not_there_for_another_user_while_a_later_turn_is_answered(place: Place):
    await place.answering.ask("ada", "POST", "/chat", json=body_of(CHAT))
    messages = (await read(place.answering, "ada"))["messages"]
    posting = await begin(place, body_of(CHAT, "Wait", "u2", messages))
    await check_hidden(place)
    resumed = await place.asked.send_frame("ada", FRAMES["resume"])
    assert resumed["type"] == "start"
    assert (await place.asked.ask("ada", "DELETE", f"/chat/{PATH}/stream")).json() == {"stopped": True}
    assert (await posting).status_code == 200


async def test_answer_of_a_deleted_chat_is_not_there_any_more(place: Place):
    posting = await begin(place, body_of(CHAT, "Wait"))
    # The log keeps an ended answer for readers who were cut.
    assert (await place.answering.ask("ada", "DELETE", f"/chats/{PATH}")).status_code == 204
    await posting
    for asker in ("bob", "ada"):
        cut = await place.asked.ask(asker, "GET", f"/chat/{PATH}/stream", params={"cursor": "0"})
        assert (cut.status_code, cut.text) == (204, "")
        assert (await place.asked.ask(asker, "GET", f"/chat/{PATH}/stream")).status_code == 204


async def test_nobody_comes_in_without_signing_in(place: Place):
    await place.answering.ask("ada", "POST", "/chat", json=body_of(CHAT))
    assert await place.try_all(None) == dict.fromkeys(ABOUT_A_CHAT, 401)
    assert await place.try_frames(None) == dict.fromkeys(FRAMES, "Sign in.")
    for (method, path), more in ABOUT_NONE.items():
        assert (await place.asked.ask(None, method, path, **more)).status_code == 401


async def test_strangers_request_does_not_keep_an_answer_going(request: pytest.FixtureRequest, tmp_path: Path):
    own, chats = OwnApp(), Chats(f"sqlite:///{tmp_path}/chats.db", disconnect="auto", grace=0.3)
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(own.answer, user=current_user), prefix="/api")
    async with served(app) as client:
        posting = await begin(Place(own, client, client), body_of(CHAT, "Wait"))
        assert (await client.ask("bob", "GET", f"/chat/{PATH}/stream")).status_code == 404
        assert not await chats.conversations.runs.log.was_asked(CHAT)
        posting.cancel()
        await asyncio.gather(posting, return_exceptions=True)
        await eventually(lambda: all(model.open_count == 0 for model in own.models))
