"""A client's outputs and decisions that cannot be read: they are refused with their place, and the right ones count."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from usechat import Agent, ChatRequest, Chats, tool
from usechat.testing.models import ScriptedModel, calling_tool, saying

USER: Mapping[str, Any] = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Go."}]}
HEADERS = {"x-usechat-sdk": "7.0.173"}
ran: list[str] = []
pick = tool(name="pick", input_schema={"type": "object"})


@tool(needs_approval=True)
def delete(path: str) -> str:
    """Delete a file."""
    ran.append(path)
    return "deleted"


def asking(name: str, given: Mapping[str, Any]) -> Agent:
    ran.clear()
    return Agent(ScriptedModel(calling_tool(name, given), saying("Done.")), tools=[pick, delete])


def client_of(agent: Agent, tmp_path: Path) -> TestClient:
    chats = Chats(f"sqlite:///{tmp_path}/chats.db")
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(agent, user=lambda: "ada"), prefix="/api")
    return TestClient(app, headers=HEADERS)


def post(client: TestClient, *messages: Any) -> Any:
    return client.post("/api/chat", json={"id": "c", "messages": messages})


def changed(client: TestClient, **fields: Any) -> dict[str, Any]:
    """The stored answer, with other fields in its call."""
    answer = client.get("/api/chats/c").json()["messages"][1]
    *others, call = answer["parts"]
    return {**answer, "parts": [*others, {**call, **fields}]}


def test_output_that_cannot_be_read_is_refused_and_the_right_one_is_taken(tmp_path: Path):
    with client_of(asking("pick", {}), tmp_path) as client:
        post(client, USER)
        wrong = changed(client, state="output_available", output=1)
        refused = post(client, USER, wrong)
        assert refused.status_code == 422
        place = f"messages[1].parts[{len(wrong['parts']) - 1}]"
        assert refused.json()["detail"].startswith(f"{place}.state: must be one of input-streaming")
        assert post(client, USER, changed(client, state="output-available", output=None)).status_code == 200
        assert client.get("/api/chats/c").json()["messages"][1]["parts"][1]["state"] == "output-available"


def test_output_of_a_tool_that_returns_nothing_may_be_left_out(tmp_path: Path):
    with client_of(asking("pick", {}), tmp_path) as client:
        post(client, USER)
        told = post(client, USER, changed(client, state="output-available"))
        assert told.status_code == 200
        assert "Done." in told.text


@pytest.mark.parametrize("decision", [{"approved": "true"}, {"approved": 1}, {}], ids=["a text", "a number", "none"])
def test_decision_that_is_no_bool_is_refused_and_the_right_one_is_taken(tmp_path: Path, decision: Mapping[str, Any]):
    with client_of(asking("delete", {"path": "/tmp/a"}), tmp_path) as client:
        post(client, USER)
        approval = changed(client)["parts"][-1]["approval"]
        wrong = changed(client, state="approval-responded", approval={**approval, **decision})
        refused = post(client, USER, wrong)
        assert refused.status_code == 422
        place = f"messages[1].parts[{len(wrong['parts']) - 1}].approval.approved"
        assert refused.json()["detail"] == f"{place}: must be true or false"
        assert ran == []
        post(client, USER, changed(client, state="approval-responded", approval={**approval, "approved": True}))
        assert ran == ["/tmp/a"]


def test_message_that_is_sent_alone_has_its_place_too(tmp_path: Path):
    with client_of(asking("pick", {}), tmp_path) as client:
        post(client, USER)
        wrong = changed(client, state="result", output=1)
        refused = client.post("/api/chat", json={"id": "c", "message": wrong})
        assert (refused.status_code, refused.json()["detail"].split(":")[0]) == (422, "message.parts[1].state")


def test_approval_of_another_call_tells_the_user_to_ask_again(caplog: pytest.LogCaptureFixture):
    app = FastAPI()
    agent = asking("delete", {"path": "/tmp/a"})

    @app.post("/api/chat")
    async def chat(chat: ChatRequest):
        return agent.respond(chat)

    with TestClient(app, headers=HEADERS) as client:
        line = next(one for one in post(client, USER).text.split("\n") if "approval-request" in one)
        asked = json.loads(line.removeprefix("data: "))
        call = {"type": "tool-delete", "toolCallId": "call-1", "state": "approval-responded", "input": {"path": "/etc"}}
        approval = {"id": asked["approvalId"], "signature": asked["signature"], "approved": True}
        text = post(client, USER, {"id": "a", "role": "assistant", "parts": [{**call, "approval": approval}]}).text
    assert "This approval does not count any more, and the tool has not run. Ask for it again. (error " in text
    assert ran == []
    assert "approval_secret=" in caplog.text
    assert "restart" in caplog.text
