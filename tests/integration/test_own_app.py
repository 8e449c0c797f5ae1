"""An application of one's own with chats: its routes, titles, callbacks and repeated requests."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from websockets.asyncio.client import connect

from tests.integration.own_app import Client, OwnApp, body_of, current_user, served
from tests.support.waiting import PATIENCE, eventually
from usechat import Chats, ChatTurn, TurnEnd, stream_text, tool
from usechat.answers.answer import Answer
from usechat.chats.store import SavedChat
from usechat.errors import ConfigurationError
from usechat.messages import ui
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chats.db"


@dataclass
class Told:
    """What the callbacks of a route of one's own were told, and what they wait for."""

    ends: list[TurnEnd] = field(default_factory=list[TurnEnd])
    titled: list[ChatTurn] = field(default_factory=list[ChatTurn])
    threads: list[str] = field(default_factory=list[str])
    may_title: asyncio.Event = field(default_factory=asyncio.Event)
    title: Any = "Tides"

    async def make_title(self, turn: ChatTurn) -> Any:
        self.titled.append(turn)
        await self.may_title.wait()
        if isinstance(self.title, BaseException):
            raise self.title
        return self.title

    def note(self, end: TurnEnd) -> None:
        self.ends.append(end)


@dataclass
class Place:
    client: Client
    chats: Chats
    own: OwnApp
    told: Told

    async def post(self, body: dict[str, Any], name: str = "ada") -> httpx.Response:
        return await self.client.ask(name, "POST", "/chat", json=body)

    async def load(self, chat_id: str, name: str = "ada") -> SavedChat:
        return await self.chats.conversations.store.load_chat(name, chat_id)


@pytest.fixture
async def place(url: str) -> AsyncIterator[Place]:
    """An application with a route of its own, beside the routes of chats."""
    own, told = OwnApp(), Told()
    chats = Chats(url, disconnect="finish", shutdown_timeout=0.2)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        async with chats:
            yield

    app = FastAPI(lifespan=lifespan)
    planned = Depends(chats.turn(user=current_user))

    @app.post("/api/chat")
    async def chat(turn: ChatTurn = planned) -> Any:
        assert turn.user == "ada"
        return turn.respond(own.answer(turn), title=told.make_title, on_finish=told.note)

    app.include_router(chats.router(own.answer, user=current_user), prefix="/api")
    async with served(app) as client:
        yield Place(client, chats, own, told)


async def test_route_of_ones_own_saves_and_titles_its_chat(place: Place):
    place.told.may_title.set()
    answer = await place.post(body_of("c", "When is high water?"))
    assert answer.text.endswith("data: [DONE]\n\n")
    saved = await place.load("c")
    assert [message.message["role"] for message in saved.messages] == ["user", "assistant"]
    [end] = place.told.ends
    assert (end.owner, end.chat_id, end.status) == ("ada", "c", "whole")
    assert end.message == saved.messages[-1].message

    async def is_titled() -> bool:
        return (await place.load("c")).chat.title == "Tides"

    await eventually(is_titled)


async def test_answer_does_not_wait_for_its_title(place: Place):
    assert (await place.post(body_of("c"))).text.endswith("data: [DONE]\n\n")
    assert len(place.told.titled) == 1
    saved = await place.load("c")
    assert (saved.chat.title, saved.chat.active_run_id) == ("Hello", None)


async def test_title_of_the_user_stays(place: Place):
    await place.post(body_of("c"))
    renamed = await place.client.ask("ada", "PATCH", "/chats/c", json={"title": "Mine"})
    assert renamed.json()["title"] == "Mine"
    place.told.may_title.set()
    await eventually(lambda: not place.chats.conversations.titles.tasks)
    assert (await place.load("c")).chat.title == "Mine"


@pytest.mark.parametrize("title", [None, "  ", 7, RuntimeError("no model"), SystemExit()])
async def test_chat_keeps_its_title_when_none_is_made(place: Place, title: Any, caplog: pytest.LogCaptureFixture):
    place.told.title = title
    place.told.may_title.set()
    await place.post(body_of("c"))
    await eventually(lambda: not place.chats.conversations.titles.tasks)
    assert (await place.load("c")).chat.title == "Hello"
    assert ("could not be made" in caplog.text) == (title not in (None, "  "))


async def test_only_a_new_chat_gets_a_title(place: Place):
    place.told.may_title.set()
    await place.post(body_of("c"))
    before = [message.message for message in (await place.load("c")).messages]
    await place.post(body_of("c", "More", "u2", before))
    assert len(place.told.titled) == 1
    assert place.told.titled[0].is_new
    assert len(place.told.ends) == 2


async def test_chat_that_is_deleted_meanwhile_gets_no_title(place: Place, caplog: pytest.LogCaptureFixture):
    await place.post(body_of("c"))
    assert (await place.client.ask("ada", "DELETE", "/chats/c")).status_code == 204
    place.told.may_title.set()
    await eventually(lambda: not place.chats.conversations.titles.tasks)
    assert caplog.text == ""


async def test_plain_function_makes_a_title_in_a_thread(url: str):
    threads: list[int] = []

    def make_title(turn: ChatTurn) -> str:
        threads.append(threading.get_ident())
        return f"{turn.user}: {turn.messages[0].text}"

    own, chats = OwnApp(), Chats(url)
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(own.answer, user=current_user, title=make_title), prefix="/api")
    async with served(app) as client:
        await client.ask("ada", "POST", "/chat", json=body_of("c"))
        await eventually(lambda: not chats.conversations.titles.tasks)
        listed = (await client.ask("ada", "GET", "/chats")).json()["chats"]
    assert [chat["title"] for chat in listed] == ["ada: Hello"]
    assert threads != [threading.get_ident()]


async def test_repeated_request_gets_its_answer_and_asks_no_model(place: Place, recwarn: pytest.WarningsRecorder):
    first = await place.post(body_of("c"))
    again = await place.post(body_of("c"))
    assert '"delta":"Hello there"' in again.text.replace('"delta":"Hello"', "")
    assert first.status_code == again.status_code == 200
    assert place.own.calls == 1
    assert len(place.told.ends) == 1
    assert len((await place.load("c")).messages) == 2
    assert [str(warning.message) for warning in recwarn] == []


async def test_request_that_comes_again_reads_the_answer_that_is_being_made(place: Place):
    posting = asyncio.create_task(place.post(body_of("c", "Wait")))
    await asyncio.wait_for(place.own.hold.reached.wait(), PATIENCE)
    again = asyncio.create_task(place.post(body_of("c", "Wait")))
    # The second reader has come.
    handles = place.chats.conversations.runs.handles
    await eventually(lambda: [handle.readers for handle in handles.values()] == [2])
    assert (await place.client.ask("ada", "POST", "/chat/c/stop")).json() == {"stopped": True}
    assert '"delta":"Hel"' in (await posting).text
    assert '"delta":"Hel"' in (await again).text
    assert place.own.calls == 1


async def test_message_and_owner_are_saved_before_the_answer_begins(url: str):
    chats, seen = Chats(url), list[tuple[str, int]]()

    async def look() -> None:
        saved = await chats.conversations.store.load_chat("ada", "c")
        seen.append((saved.chat.owner, len(saved.messages)))

    def answer(turn: ChatTurn) -> Answer:
        return stream_text(ScriptedModel([look, *saying("Hello")]), messages=turn.messages)

    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(answer, user=current_user), prefix="/api")
    async with served(app) as client:
        assert (await client.ask("ada", "POST", "/chat", json=body_of("c"))).status_code == 200
    assert seen == [("ada", 1)]


async def test_refusals_need_no_handlers(place: Place):
    own_route = await place.post({"id": "c/export", "messages": body_of("c")["messages"]})
    assert (own_route.status_code, own_route.json()["detail"][:3]) == (400, "id:")
    missing = await place.client.ask("ada", "GET", "/chats/none")
    assert (missing.status_code, missing.json()) == (404, {"detail": "There is no such chat."})


class ToldAgent:
    """An agent as `Chats` knows it; notes the contexts that it was given."""

    def __init__(self) -> None:
        self.contexts: list[Any] = []

    def stream(self, messages: Any, /, *, context: Any = None) -> Answer:
        self.contexts.append(context)
        return stream_text(ScriptedModel(saying("Hello")), messages=messages, context=context)


async def test_agent_answers_chats_and_completions_with_a_context_of_each_turn(url: str):
    agent, chats = ToldAgent(), Chats(url)

    async def context(turn: ChatTurn) -> Any:
        return turn.user, turn.chat_id, [message.text for message in turn.messages]

    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(agent, user=current_user, context=context), prefix="/api")
    async with served(app) as client:
        assert '"delta":"Hello"' in (await client.ask("ada", "POST", "/chat", json=body_of("c", "Hi"))).text
        answer = await client.ask("bob", "POST", "/completion", json={"prompt": "Go on"})
        assert '"delta":"Hello"' in answer.text
        assert (await client.ask("bob", "GET", "/chats")).json()["chats"] == []
    assert agent.contexts == [("ada", "c", ["Hi"]), ("bob", None, ["Go on"])]


@pytest.mark.parametrize(
    ("history", "client_tools", "is_taken"),
    [("client", None, True), ("server", None, True), ("server", ["pick_date"], True), ("server", (), False)],
)
async def test_output_of_a_client_tool_is_taken_and_saved(url: str, history: Any, client_tools: Any, is_taken: bool):
    pick_date = tool(name="pick_date", description="Ask for a date.", input_schema={"type": "object"})
    model = ScriptedModel(calling_tool("pick_date"), saying("Booked."))

    def answer(turn: ChatTurn) -> Answer:
        return stream_text(model, messages=turn.messages, tools=[pick_date])

    chats = Chats(url, sdk="7.0.173", history=history)
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(answer, user=current_user, client_tools=client_tools), prefix="/api")
    async with served(app) as client:
        await client.ask("ada", "POST", "/chat", json=body_of("c", "Book"))
        messages = (await client.ask("ada", "GET", "/chats/c")).json()["messages"]
        [part] = [part for part in messages[-1]["parts"] if part["type"] == "tool-pick_date"]
        part |= {"state": "output-available", "output": "2026-12-01"}
        body = {"id": "c", "trigger": "submit-message", "messages": messages}
        assert (await client.ask("ada", "POST", "/chat", json=body)).status_code == 200
        saved = (await client.ask("ada", "GET", "/chats/c")).json()["messages"]
    assert ("2026-12-01" in json.dumps(saved[-1])) == is_taken
    assert ("2026-12-01" in repr(model.calls[-1].messages)) == is_taken


async def test_only_the_authorization_of_a_frame_counts_and_no_cookie_of_a_foreign_page(url: str):
    heads: list[dict[str, str]] = []

    async def user(request: Request) -> str:
        heads.append({name: request.headers.get(name, "") for name in ("authorization", "cookie", "x-user")})
        return "ada"

    chats = Chats(url)
    app = FastAPI(lifespan=chats.lifespan)
    router = chats.router(OwnApp().answer, user=user, origins=["https://chat.example"])
    app.include_router(router, prefix="/api")
    frame: dict[str, Any] = {"type": "resume", "requestId": "r", "id": "c", "body": {}}
    given = {"authorization": "Bearer ada", "x-user": "root", "cookie": "session=other"}
    async with served(app) as client:
        address = f"{client.url.replace('http', 'ws', 1)}/api/chat/ws"
        own = client.url
        for origin in (None, own, "https://chat.example", "https://evil.example"):
            headers = {"cookie": "session=mine"} | ({} if origin is None else {"origin": origin})
            async with connect(address, additional_headers=headers) as connection:
                await connection.send(json.dumps({**frame, "headers": given}))
                assert json.loads(await connection.recv())["type"] == "no-active"
            cookie = "" if origin == "https://evil.example" else "session=mine"
            assert heads[-1] == {"authorization": "Bearer ada", "cookie": cookie, "x-user": ""}


async def test_dependency_that_a_test_replaces_is_replaced_on_every_route(url: str):
    chats = Chats(url)
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(OwnApp().answer, user=current_user), prefix="/api")
    app.dependency_overrides[current_user] = lambda: "tester"
    async with served(app) as client:
        assert (await client.send_frame(None, {"type": "send", **body_of("c")}))["type"] == "start"
        assert [chat["id"] for chat in (await client.ask(None, "GET", "/chats")).json()["chats"]] == ["c"]


async def test_two_users_who_begin_one_id_at_once_get_one_chat(place: Place):
    async def post(name: str) -> int:
        router_chat = await place.client.send_frame(name, {"type": "send", **body_of("c", "Wait")})
        return router_chat["type"] == "start"

    began = await asyncio.gather(*(post(name) for name in ("bob", "eve", "joe")))
    assert began.count(True) == 1


def turn_of(request: dict[str, Any]) -> ChatTurn:
    return ChatTurn("ada", ui.ChatRequest.model_validate(request), None, None, {})


MISUSES: list[tuple[Callable[[ChatTurn, Any], Any], str]] = [
    (lambda turn, _: turn.respond(turn.messages), "respond takes an answer"),  # pyright: ignore[reportArgumentType]
    (lambda turn, answer: turn.respond(answer, title="Tides"), "use title=make_title"),  # pyright: ignore[reportArgumentType]
    (lambda turn, answer: turn.respond(answer, chat_id="d"), "respond takes no chat_id"),
    (lambda turn, answer: turn.respond(answer, on_finish=7), "on_finish must be a function"),  # pyright: ignore[reportArgumentType]
    (lambda turn, _: turn.repeat(), "this request has no answer yet"),
]


@pytest.mark.parametrize(("misuse", "said"), MISUSES)
async def test_misuse_of_a_turn_is_one_sentence(misuse: Callable[[ChatTurn, Any], Any], said: str):
    turn = turn_of(body_of("c"))
    with pytest.raises(ConfigurationError, match=said):
        misuse(turn, OwnApp().answer(turn))


async def test_end_of_an_answer_has_the_whole_list(place: Place):
    """What a page holds when the answer has ended: also of a branch, and of an answer to which the chat went on."""
    place.told.may_title.set()
    await place.post(body_of("c", "One"))
    first = await place.told.ends[0].messages
    assert [message["role"] for message in first] == ["user", "assistant"]
    await place.post(body_of("c", "Two", "u2", before=first))
    second = await place.told.ends[1].messages
    assert second[:2] == first
    assert second == (await place.client.ask("ada", "GET", "/chats/c")).json()["messages"]
    await place.post(body_of("c", "Other", "u1"))
    other = await place.told.ends[2].messages
    assert [part["text"] for part in other[0]["parts"]] == ["Other"]
    assert (len(other), await place.told.ends[1].messages) == (2, second)


async def test_end_of_an_answer_that_said_nothing_has_what_was_asked(place: Place):
    place.told.may_title.set()

    def fail(turn: ChatTurn) -> Answer:
        return stream_text(ScriptedModel([OSError("no")]), messages=turn.messages)

    place.own.answer = fail
    await place.post(body_of("c", "One"))
    [end] = place.told.ends
    assert (end.status, end.message) == ("failed", None)
    assert [message["id"] for message in await end.messages] == ["u1"]
