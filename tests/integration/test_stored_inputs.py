"""Inputs of tool calls that come back with a chat, over HTTP: what does not fit its tool never reaches the model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel, Field

from tests.integration.own_app import current_user, signed_in
from usechat import Agent, ChatRequest, Chats, tool
from usechat.messages.model import AssistantMessage, ToolCallContent, ToolMessage, ToolResultContent, ToolResultOutput
from usechat.testing.models import ScriptedModel, calling_tool, saying


@tool
async def get_weather(city: str) -> str:
    """The current weather in a city."""
    return f"sunny in {city}"


pick_city = tool(name="pick_city", input_schema={"type": "object", "properties": {"near": {"type": "string"}}})


class Place(BaseModel):
    near: str


pick_place = tool(name="pick_place", input_schema=Place)
TOOLS = [get_weather, pick_city, pick_place]


def user(number: str, text: str = "Hi") -> dict[str, Any]:
    return {"id": number, "role": "user", "parts": [{"type": "text", "text": text}]}


def called(input: Any, name: str = "get_weather", **more: Any) -> dict[str, Any]:
    part = {"type": f"tool-{name}", "toolCallId": "t", "state": "output-available", "input": input, "output": "rain"}
    return {"id": "a", "role": "assistant", "parts": [{**part, **more}]}


def post(model: ScriptedModel, *messages: dict[str, Any], tools: Any = TOOLS) -> Any:
    app = FastAPI()
    agent = Agent(model, tools=tools)

    @app.post("/api/chat")
    async def chat(chat: ChatRequest):
        return agent.respond(chat, sdk="7.0.173")

    with TestClient(app) as client:
        return client.post("/api/chat", json={"id": "c", "trigger": "submit-message", "messages": messages})


def told(model: ScriptedModel) -> tuple[Any, ToolResultOutput]:
    """The input of the first call that the model is told of, and its result."""
    messages = model.calls[-1].messages
    [call] = next(message for message in messages if isinstance(message, AssistantMessage)).content
    [result] = next(message for message in messages if isinstance(message, ToolMessage)).content
    assert isinstance(call, ToolCallContent)
    assert isinstance(result, ToolResultContent)
    return call.input, result.output


@pytest.mark.parametrize("input", [{"city": 5}, {}, [], "York", {"city": {"$ne": ""}}])
def test_call_of_an_earlier_turn_that_does_not_fit_is_told_as_failed(input: Any):
    model = ScriptedModel(saying("Yes."))
    answer = post(model, user("1"), called(input), user("2"))
    assert answer.status_code == 200
    given, output = told(model)
    assert (given, output.type) == ({}, "error-text")
    assert output.value.startswith("AI_InvalidToolInputError: Invalid input for tool get_weather: ")
    assert output.value.endswith("it may have taken effect.")


@pytest.mark.parametrize("state", ["input-available", "approval-requested", "approval-responded"])
def test_open_call_of_an_earlier_turn_that_does_not_fit_is_told_as_failed(state: str):
    model = ScriptedModel(saying("Yes."))
    approval = {"id": "x", "approved": True} if state == "approval-responded" else {"id": "x"}
    post(model, user("1"), called({"city": 5}, state=state, approval=approval), user("2"))
    given, output = told(model)
    assert (given, output.type) == ({}, "error-text")


def test_call_that_the_client_sends_now_is_refused_with_its_place():
    model = ScriptedModel(saying("Yes."))
    answer = post(model, user("1"), called({"near": 5}, "pick_place"))
    assert answer.status_code == 422
    assert answer.json() == {"detail": "messages[1].parts[0].input: does not fit the schema of its tool"}
    assert model.calls == []


def test_calls_that_fit_and_those_of_unknown_tools_are_told_as_they_are():
    for message in (called({"city": "York"}), called({"near": 5}, "pick_city"), called({"city": 5}, "gone")):
        model = ScriptedModel(saying("Yes."))
        assert post(model, user("1"), message, user("2")).status_code == 200
        assert told(model)[0] == message["parts"][0]["input"]
        assert told(model)[1].value == "rain"


def test_call_whose_tool_shows_its_input_by_other_names_stays():
    class Trip(BaseModel):
        to: str = Field(validation_alias="destination")

    model = ScriptedModel(saying("Yes."))
    book = tool(name="book", input_schema=Trip)
    post(model, user("1"), called({"to": "York"}, "book"), user("2"), tools=[book])
    assert told(model)[0] == {"to": "York"}


Served = Callable[[Any], TestClient]


@pytest.mark.parametrize("history", ["client", "server"])
def test_stored_call_that_fits_no_longer_is_told_as_failed(history: Any, tmp_path: Path):
    """A new version of the application has other parameters; the chat goes on, and so does an open client tool."""

    def answer(model: ScriptedModel, tools: Any, *messages: dict[str, Any]) -> list[dict[str, Any]]:
        chats = Chats(f"sqlite:///{tmp_path / 'chats.db'}", history=history, sdk="7.0.173")
        app = FastAPI(lifespan=chats.lifespan)
        app.include_router(chats.router(Agent(model, tools=tools), user=current_user), prefix="/api")
        with TestClient(app, headers=signed_in("ada")) as client:
            body = {"id": "c", "trigger": "submit-message", "messages": messages}
            assert client.post("/api/chat", json=body).status_code == 200
            return client.get("/api/chats/c").json()["messages"]

    class Old(BaseModel):
        near: int

    [asked, open_call] = answer(
        ScriptedModel(calling_tool("pick_place", {"near": 5})),
        [tool(name="pick_place", input_schema=Old)],
        user("1"),
    )
    part = open_call["parts"][-1]
    assert part["input"] == {"near": 5}
    done = {**open_call, "parts": [{**part, "state": "output-available", "output": "York"}]}
    model = ScriptedModel(saying("York it is."))
    saved = answer(model, [pick_place], asked, done)
    given, output = told(model)
    assert (given, output.type) == ({}, "error-text")
    assert json.dumps({"near": 5}) in json.dumps(saved[-1])
    assert [message["role"] for message in saved] == ["user", "assistant"]
