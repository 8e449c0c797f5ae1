"""What a client posts stands at its place in a list of saved messages, and nothing is there twice."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from usechat import Agent, ChatRequest, FinishEvent, RequestError, UIMessage, merge_messages, parse_chat_request, tool
from usechat.testing.models import ScriptedModel, calling_tool, saying

Json = dict[str, Any]


def said(id: str, text: str, role: str = "user") -> Json:
    return {"id": id, "role": role, "parts": [{"type": "text", "text": text}]}


def answered(id: str, text: str) -> Json:
    return said(id, text, "assistant")


def picking(**state: Any) -> Json:
    call: Json = {"type": "tool-pick", "toolCallId": "t", "input": {}, "state": "input-available", **state}
    return {"id": "a1", "role": "assistant", "parts": [call]}


ASKING = picking(state="approval-requested", approval={"id": "ap"})
AGREED = picking(state="approval-responded", approval={"id": "ap", "approved": True})
PICKED = picking(state="output-available", output="red")
U1, A1, U2, A2 = said("u1", "one"), answered("a1", "1"), said("u2", "two"), answered("a2", "2")
SAVED = [U1, A1, U2, A2]
SUBMIT, ANEW = {"trigger": "submit-message"}, {"trigger": "regenerate-message"}


def merged(saved: list[Json], body: Json) -> list[Json]:
    request = parse_chat_request(json.dumps({"id": "c", **body}).encode())
    return [message.to_json() for message in merge_messages(saved, request)]


@pytest.mark.parametrize(
    ("saved", "body", "expected"),
    [
        ([], {"message": U1, **SUBMIT}, [U1]),
        ([U1, A1], {"message": U2, **SUBMIT}, [U1, A1, U2]),
        (SAVED, {"message": U2, **SUBMIT}, [U1, A1, U2]),
        (SAVED, {"message": said("u2", "TWO"), "messageId": "u2", **SUBMIT}, [U1, A1, said("u2", "TWO")]),
        (SAVED, {"message": said("u1", "ONE"), "messageId": "u1", **SUBMIT}, [said("u1", "ONE")]),
        (SAVED, ANEW, [U1, A1, U2]),
        (SAVED, {"messageId": "a1", **ANEW}, [U1]),
        (SAVED, {"messageId": "u1", **ANEW}, [U1]),
        (SAVED, {"message": U2, **ANEW}, [U1, A1, U2]),
        (SAVED, {"message": U2, "messageId": "a2", **ANEW}, [U1, A1, U2]),
        (SAVED, {"message": A2, "messageId": "a2", **ANEW}, [U1, A1, U2]),
        # Its first answer failed before it was saved.
        ([U1, A1], {"message": U2, "messageId": "lost", **ANEW}, [U1, A1, U2]),
        ([U1, ASKING], {"message": AGREED, **SUBMIT}, [U1, AGREED]),
        ([U1, ASKING], {"messages": [U1, AGREED], **SUBMIT}, [U1, AGREED]),
        ([U1, picking()], {"message": PICKED, **SUBMIT}, [U1, PICKED]),
        ([U1, picking()], {"message": {**PICKED, "metadata": {"forged": 1}}, **SUBMIT}, [U1, PICKED]),
        (SAVED, {"messages": [U1, A1, said("u3", "three")], **SUBMIT}, [U1, A1, said("u3", "three")]),
    ],
)
def test_posted_message_stands_at_its_place(saved: list[Json], body: Json, expected: list[Json]):
    before = json.dumps(saved)
    assert merged(saved, body) == expected
    assert json.dumps(saved) == before


@pytest.mark.parametrize(
    ("saved", "body", "status"),
    [
        ([U1, ASKING, U2], {"message": AGREED, **SUBMIT}, 409),
        ([U1, picking(state="approval-responded", approval={"id": "ap", "approved": False})], {"message": AGREED}, 409),
        ([U1, {**PICKED, "parts": [*PICKED["parts"], *A1["parts"]]}], {"message": PICKED, **SUBMIT}, 409),
        ([U1], {"message": AGREED, **SUBMIT}, 409),
        (SAVED, {"messageId": "none", **ANEW}, 422),
        (SAVED, {"message": answered("u1", "x"), **SUBMIT}, 422),
        ([], ANEW, 422),
        ([{"id": "u1"}], {"message": U2}, 422),
    ],
)
def test_what_does_not_fit_the_list_is_refused(saved: list[Json], body: Json, status: int):
    with pytest.raises(RequestError) as refused:
        merged(saved, body)
    assert refused.value.status == status


def test_saved_messages_may_be_objects_and_lack_ids():
    saved = [UIMessage.model_validate({"role": "user", "parts": U1["parts"]}), UIMessage.model_validate(A1)]
    messages = merge_messages(saved, parse_chat_request(json.dumps({"id": "c", "message": U2}).encode()))
    assert [message.text for message in messages] == ["one", "1", "two"]
    assert messages[0].id


def test_approved_tool_runs_once_and_its_message_is_saved_once():
    ran: list[str] = []

    @tool(needs_approval=True)
    async def remove(path: str) -> str:
        """Remove a file."""
        ran.append(path)
        return "removed"

    model = ScriptedModel(calling_tool("remove", {"path": "a"}), saying("Done."))
    agent = Agent(model, tools=[remove])
    app = FastAPI()
    saved: list[list[Any]] = [[]]

    @app.post("/api/chat")
    async def answer(chat: ChatRequest):
        def save(event: FinishEvent) -> None:
            saved.append(json.loads(json.dumps(event.messages)))

        chat.messages = merge_messages(saved[-1], chat)
        return agent.stream(chat.messages, on_finish=save).response(chat, message_id=True, sdk="7.0.173")

    with TestClient(app) as client:
        client.post("/api/chat", json={"id": "c", "message": U1, **SUBMIT})
        asked = json.loads(json.dumps(saved[-1][-1]))
        call = next(part for part in asked["parts"] if part["type"] == "tool-remove")
        call.update(state="approval-responded", approval={**call["approval"], "approved": True})
        client.post("/api/chat", json={"id": "c", "message": asked, **SUBMIT})
    assert ran == ["a"]
    assert [message["id"] for message in saved[-1]] == ["u1", asked["id"]]
    assert len(model.calls[-1].messages) == 3
