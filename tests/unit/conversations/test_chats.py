"""What `Chats` says of a wrong argument, in the call with the mistake."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from usechat import Agent, Chats, ChatTurn, stream_text, tool
from usechat.answers.answer import Answer
from usechat.chats.sql.migrations.migrate import migrate
from usechat.conversations.answering import read_client_tools
from usechat.errors import ConfigurationError
from usechat.runs.memory.log import MemoryLog
from usechat.testing.models import ScriptedModel, saying

DATABASE = "sqlite:///chats.db"
ANYTHING: Any = object()
ANY_AGENT: Any = Agent


def answer(turn: ChatTurn) -> Answer:
    return stream_text(ScriptedModel(saying("Hello")), messages=turn.messages)


def user() -> str:
    return "ada"


PICK_DATE = tool(name="pick_date", input_schema={"type": "object"})
WRONG: Any = {"histroy": "server"}

MISTAKES: dict[str, tuple[Callable[[], Any], str]] = {
    "no database": (lambda: Chats(ANYTHING), 'Chats takes the URL of a database ("sqlite:///chats.db"), not object'),
    "another database": (lambda: Chats("mysql://h/db"), "Chats: "),
    "a file": (lambda: Chats("chats.db"), "Chats: "),
    "another Redis": (lambda: Chats(DATABASE, redis_url="http://h"), "redis_url: it must begin with redis://"),
    "an unknown option": (lambda: Chats(DATABASE, **WRONG), "do you mean history?"),
    "a wrong choice": (lambda: Chats(DATABASE, history=ANYTHING), "history must be one of client, server"),
    "a wrong number": (lambda: Chats(DATABASE, grace=-1), "grace must be a number from 0"),
    "no number": (lambda: Chats(DATABASE, lease=ANYTHING), "lease must be a number"),
    "no seconds": (lambda: Chats(DATABASE, lease=None), "lease must be a number, not None"),  # pyright: ignore[reportArgumentType]
    "no flag": (lambda: Chats(DATABASE, is_lasting=ANYTHING), "is_lasting must be True or False"),
    "no limits": (lambda: Chats(DATABASE, limits=ANYTHING), "limits must be a BodyLimits"),
    "no callback": (lambda: Chats(DATABASE, on_finish=ANYTHING), "on_finish must be a function"),
    "another version": (lambda: Chats(DATABASE, sdk="one"), "the AI SDK version must be"),
    "two logs": (
        lambda: Chats(DATABASE, redis_url="redis://h", run_log=MemoryLog()),
        "give either redis_url or run_log",
    ),
    "strict without Redis": (lambda: Chats(DATABASE, is_strict=True), "give redis_url, too"),
    "no user": (
        lambda: Chats(DATABASE).router(answer, user="ada"),  # pyright: ignore[reportArgumentType]
        "user must be a function that returns the user's id",
    ),
    "no user of a turn": (lambda: Chats(DATABASE).turn(user=ANYTHING), "user must be a function"),
    "a model": (
        lambda: Chats(DATABASE).router(ScriptedModel(saying("Hi")), user=user),  # pyright: ignore[reportArgumentType]
        "not a model: write router(lambda turn: stream_text(model, messages=turn.messages), user=…)",
    ),
    "a class": (lambda: Chats(DATABASE).router(ANY_AGENT, user=user), "not its class: write Agent(…)"),
    "one answer": (
        lambda: Chats(DATABASE).router(stream_text(ScriptedModel(saying("Hi")), prompt="Hi"), user=user),  # pyright: ignore[reportArgumentType]
        "not one answer: write router(lambda turn: stream_text(model, messages=turn.messages), user=…)",
    ),
    "a user that is annotated": (
        lambda: Chats(DATABASE).router(answer, user=Annotated[str, Depends(user)]),  # pyright: ignore[reportArgumentType]
        "write user=current_user, without Annotated",
    ),
    "no answer": (
        lambda: Chats(DATABASE).router(ANYTHING, user=user),
        "router takes an agent or a function of the turn",
    ),
    "a context for a function": (
        lambda: Chats(DATABASE).router(answer, user=user, context=lambda turn: 1),
        "context is for an agent",
    ),
    "a title": (lambda: Chats(DATABASE).router(answer, user=user, title="Tides"), "use title=make_title"),  # pyright: ignore[reportArgumentType]
    "a turn without parentheses": (
        lambda: FastAPI().post("/", dependencies=[Depends(Chats(DATABASE).turn)])(user),
        "write Depends(chats.turn(user=current_user))",
    ),
    "one client tool": (lambda: Chats(DATABASE).router(answer, user=user, client_tools="pick"), "write ['pick']"),
    "no client tool": (lambda: Chats(DATABASE).turn(user=user, client_tools=[ANYTHING]), "client_tools must be a list"),
    "one origin": (lambda: Chats(DATABASE).router(answer, user=user, origins="https://a"), "write ['https://a']"),
}


@pytest.mark.parametrize(("call", "said"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_told_in_the_call(call: Callable[[], Any], said: str):
    with pytest.raises(ConfigurationError) as raised:
        call()
    assert said in str(raised.value)


def test_chats_that_nobody_opened_say_how_to_open_them():
    app = FastAPI()
    app.include_router(Chats(DATABASE).router(answer, user=user), prefix="/api")
    with pytest.raises(ConfigurationError, match=r"FastAPI\(lifespan=chats\.lifespan\)"):
        TestClient(app).get("/api/chats")


def test_lifespan_that_is_called_says_to_leave_the_parentheses(tmp_path: Path):
    app = FastAPI(lifespan=Chats(f"sqlite:///{tmp_path}/chats.db").lifespan())
    with pytest.raises(ConfigurationError, match=r"lifespan=chats\.lifespan\), without the parentheses"):
        TestClient(app).__enter__()


def test_process_that_does_not_last_needs_no_lifespan(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/chats.db"
    asyncio.run(migrate(url))
    app = FastAPI()
    app.include_router(Chats(url, is_lasting=False).router(answer, user=user), prefix="/api")
    body = {"id": "c", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
    with TestClient(app) as client:
        assert client.post("/api/chat", json=body).status_code == 200
        assert len(client.get("/api/chats/c").json()["messages"]) == 2


def test_an_application_can_be_opened_again(tmp_path: Path):
    chats = Chats(f"sqlite:///{tmp_path}/chats.db")
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(answer, user=user), prefix="/api")
    body = {"id": "c", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
    with TestClient(app) as client:
        assert client.post("/api/chat", json=body).status_code == 200
    with TestClient(app) as client:
        assert [chat["id"] for chat in client.get("/api/chats").json()["chats"]] == ["c"]


@pytest.mark.anyio
async def test_chats_are_opened_once_at_a_time(tmp_path: Path):
    async with (chats := Chats(f"sqlite:///{tmp_path}/chats.db")):
        with pytest.raises(ConfigurationError, match="open already"):
            await chats.__aenter__()


def test_without_a_database_the_routes_answer_and_keep_nothing():
    chats = Chats(None)
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(answer, user=user), prefix="/api")
    body = {"id": "c", "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hello"}]}]}
    with TestClient(app) as client:
        assert '"delta":"Hello"' in client.post("/api/chat", json=body).text
        assert client.post("/api/chat", json={"id": "c", "trigger": "regenerate-message"}).status_code == 400
        assert client.get("/api/chat/c/stream").status_code == 204
        assert client.get("/api/chat", params={"chatId": "c"}).status_code == 200
        assert client.post("/api/chat/c/stop").json() == {"stopped": False}
        assert client.get("/api/chats").status_code == 404


def test_chats_without_a_database_say_that_they_are_not_saved(caplog: pytest.LogCaptureFixture):
    Chats(None)
    assert "chats are not saved: Chats got None in place of a database's URL" in caplog.text


@pytest.mark.parametrize("number", [7, UUID(int=7)])
def test_id_that_is_no_text_is_told_to_be_made_one(number: Any):
    app = FastAPI()
    app.include_router(Chats(None).router(answer, user=lambda: number))
    with pytest.raises(ConfigurationError, match=r"return str\(…\) of an id that is no text"):
        TestClient(app).post("/completion", json={"prompt": "Hello"})


@pytest.mark.parametrize("nobody", [None, "", 0])
def test_who_has_no_id_gets_nothing(nobody: Any):
    app = FastAPI()
    app.include_router(Chats(None).router(answer, user=lambda: nobody))
    with pytest.raises(ConfigurationError, match=r"raise HTTPException\(401\) for somebody who is not signed in"):
        TestClient(app).post("/completion", json={"prompt": "Hello"})


def test_agent_tells_which_tools_the_client_runs():
    @tool
    def look_up(word: str) -> str:
        """Look a word up."""
        return word

    is_clients = read_client_tools(None, Agent(ScriptedModel(saying("Hello")), tools=[look_up, PICK_DATE]))
    assert is_clients is not None
    assert [is_clients(name) for name in ("look_up", "pick_date", "other")] == [False, True, False]
    assert read_client_tools(None, answer) is None
    named = read_client_tools(["a", PICK_DATE], None)
    assert named is not None
    assert [named(name) for name in ("a", "pick_date", "b")] == [True, True, False]
