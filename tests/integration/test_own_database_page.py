"""The programs of docs/your-own-database.md, run as they stand there, and the suite for stores on the store there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.test_readme import programs
from usechat import Agent, Chats, ChatTurn, FinishEvent, stream_text
from usechat.chats.store import ChatStore
from usechat.testing.models import ScriptedModel, saying
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio

PAGE = "docs/your-own-database.md"
LIST, END, STORE, SUITE = programs(PAGE)
NAMES: dict[str, Any] = {"__name__": __name__}
for program in (STORE, SUITE):
    exec(compile(program, PAGE, "exec", dont_inherit=True), NAMES)

TestMemoryChats = NAMES["TestMemoryChats"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def user(id: str, text: str) -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def browser(app: FastAPI) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://backend")


async def test_list_is_saved_as_the_client_has_it(monkeypatch: pytest.MonkeyPatch):
    async with ReplayServer("text") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(LIST, PAGE, "exec", dont_inherit=True), names)
        async with browser(names["app"]) as client:
            assert (await client.get("/api/chats/c")).json() == []
            messages = [user("u1", "Hi")]
            for _ in range(2):
                body = {"id": "c", "trigger": "submit-message", "messages": messages}
                assert (await client.post("/api/chat", json=body)).text.endswith("data: [DONE]\n\n")
                held = (await client.get("/api/chats/c")).json()
                assert held[:-1] == messages
                assert (held[-1]["role"], held[-1]["parts"] != []) == ("assistant", True)
                messages = [*held, user("u2", "And?")]
        assert len(messages) == 5


async def test_list_is_saved_as_the_client_has_it_when_the_client_posts_less(monkeypatch: pytest.MonkeyPatch):
    async with ReplayServer("text") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        names: dict[str, Any] = {"__name__": "page"}
        exec(compile(LIST, PAGE, "exec", dont_inherit=True), names)
        async with browser(names["app"]) as client:

            async def held_after(**body: Any) -> list[dict[str, Any]]:
                answer = await client.post("/api/chat", json={"id": "c", "trigger": "submit-message", **body})
                assert answer.text.endswith("data: [DONE]\n\n")
                return (await client.get("/api/chats/c")).json()

            first = await held_after(message=user("u1", "Hi"))
            assert [message["role"] for message in first] == ["user", "assistant"]
            both = await held_after(message=user("u2", "And?"))
            assert both[:3] == [*first, user("u2", "And?")]
            anew = await held_after(trigger="regenerate-message", messageId=both[3]["id"])
            assert anew[:3] == both[:3]
            assert [message["role"] for message in anew[3:]] == ["assistant"]
            edited = await held_after(message=user("u1", "Ho"), messageId="u1")
            assert [message["id"] for message in edited[:-1]] == ["u1"]
            assert len(upstream.requests[-1].json["messages"]) == 1
            unknown = await client.post(
                "/api/chat", json={"id": "c", "trigger": "regenerate-message", "messageId": "none"}
            )
            assert (unknown.status_code, (await client.get("/api/chats/c")).json()) == (422, edited)


async def test_end_of_a_turn_saves_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "page", "database": {}}
    exec(compile(END, PAGE, "exec", dont_inherit=True), names)
    app = FastAPI()
    app.include_router(names["chats"].router(Agent(ScriptedModel(saying("Hi"))), user=lambda: "ada"), prefix="/api")
    async with names["chats"], browser(app) as client:
        await client.post("/api/chat", json={"id": "c", "messages": [user("u1", "Hi")]})
        shown = (await client.get("/api/chats/c")).json()["messages"]
    assert json.loads(names["database"]["c"]) == shown
    assert [message["role"] for message in shown] == ["user", "assistant"]


async def test_store_of_ones_own_keeps_the_chats_of_an_application():
    store = cast("ChatStore", NAMES["MemoryChats"]())
    chats = Chats(store)
    app = FastAPI()
    app.include_router(chats.router(Agent(ScriptedModel(saying("Hello"))), user=lambda: "ada"), prefix="/api")
    async with chats, browser(app) as client:
        body = {"id": "c", "trigger": "submit-message", "messages": [user("u1", "Hi")]}
        assert (await client.post("/api/chat", json=body)).text.endswith("data: [DONE]\n\n")
        shown = (await client.get("/api/chats/c")).json()
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"]
    assert shown["title"] == "Hi"


async def test_answer_of_a_saved_chat_tells_the_whole_chat_whatever_was_posted():
    ends: list[FinishEvent] = []

    def answer(turn: ChatTurn):
        return stream_text(ScriptedModel(saying("Hello")), messages=turn.messages, on_finish=ends.append)

    chats = Chats(cast("ChatStore", NAMES["MemoryChats"]()))
    app = FastAPI()
    app.include_router(chats.router(answer, user=lambda: "ada"), prefix="/api")
    async with chats, browser(app) as client:
        for number in (1, 2):
            body = {"id": "c", "trigger": "submit-message", "message": user(f"u{number}", "Hi")}
            assert (await client.post("/api/chat", json=body)).text.endswith("data: [DONE]\n\n")
        shown = (await client.get("/api/chats/c")).json()["messages"]
    assert ends[-1].messages == shown
    assert [message["role"] for message in shown] == ["user", "assistant"] * 2
