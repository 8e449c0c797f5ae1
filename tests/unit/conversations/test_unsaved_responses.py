"""Responses that would not be saved, where those of a saved chat are expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from usechat import Agent, Chats, ChatTurn
from usechat.errors import ConfigurationError
from usechat.testing.models import ScriptedModel, saying

BODY = {"id": "c", "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
CURE = r"return turn\.respond\(agent\.stream\(turn\.messages\)\)"
agent = Agent(ScriptedModel(saying("Hello")))


def user() -> str:
    return "ada"


def application(tmp_path: Path) -> tuple[Chats, FastAPI]:
    chats = Chats(f"sqlite:///{tmp_path}/chats.db")
    return chats, FastAPI(lifespan=chats.lifespan)


WRONG: dict[str, Callable[[ChatTurn], Any]] = {
    "agent.respond": lambda turn: agent.respond(turn.request),
    "answer.response": lambda turn: agent.stream(turn.messages).response(turn.request),
    "without the request": lambda turn: agent.stream(turn.messages).response(),
}


@pytest.mark.parametrize("answer", WRONG.values(), ids=WRONG)
def test_response_that_is_not_the_turns_is_refused_with_the_cure(tmp_path: Path, answer: Callable[[ChatTurn], Any]):
    chats, app = application(tmp_path)
    app.include_router(chats.router(answer, user=user), prefix="/api")
    with TestClient(app) as client, pytest.raises(ConfigurationError, match=CURE):
        client.post("/api/chat", json=BODY)


def test_route_of_its_own_is_told_the_same(tmp_path: Path):
    chats, app = application(tmp_path)

    async def chat(turn: ChatTurn):
        return agent.respond(turn.request)

    chat.__annotations__["turn"] = Annotated[ChatTurn, Depends(chats.turn(user=user))]
    app.post("/chat")(chat)
    with TestClient(app) as client, pytest.raises(ConfigurationError, match=CURE):
        client.post("/chat", json=BODY)


def test_response_of_the_turn_is_taken_and_saved(tmp_path: Path):
    chats, app = application(tmp_path)
    app.include_router(chats.router(lambda turn: turn.respond(agent.stream(turn.messages)), user=user), prefix="/api")
    with TestClient(app) as client:
        assert client.post("/api/chat", json=BODY).status_code == 200
        assert len(client.get("/api/chats/c").json()["messages"]) == 2
        assert client.post("/api/chat", json=BODY).status_code == 200


def test_response_to_what_is_not_saved_is_taken():
    app = FastAPI()
    app.include_router(Chats(None).router(lambda turn: agent.respond(turn.request), user=user))
    assert '"delta":"Hello"' in TestClient(app).post("/chat", json=BODY).text
