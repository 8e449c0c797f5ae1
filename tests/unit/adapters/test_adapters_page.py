"""The programs of docs/adapters.md, with scripted models and servers on loopback behind them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from agents import Agent as OpenAIAgent
from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic_ai import Agent

from tests.unit.adapters import test_ai_sdk, test_langgraph, test_openai, test_openai_agents, test_pydantic_ai
from tests.unit.adapters.openai_events import call_turn, text_turn
from usechat import ChatRequest, ui_message_stream
from usechat.testing.client_rules import find_refusals
from usechat.testing.models import saying
from usechat.testing.replay import ReplayServer, Reply

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).resolve().parents[3] / "docs/adapters.md").read_text()
PROGRAMS = dict(re.findall(r"^## (.+?)\n.*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
serve = test_openai.serve


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Backend:
    """An application with one program of the page, and a browser's chat with it."""

    def __init__(self, section: str, **names: Any) -> None:
        self.app = FastAPI()
        known: dict[str, Any] = {"app": self.app, "ChatRequest": ChatRequest, "ui_message_stream": ui_message_stream}
        exec(compile(PROGRAMS[section], "docs/adapters.md", "exec"), {**known, **names})

    async def post(self, *messages: Any, path: str = "/api/chat", known: tuple[str, ...] = ()) -> list[Any]:
        """The chunks of an answer that AI SDK 7 takes."""
        body = {"id": "c", "messages": messages, "trigger": "submit-message"}
        transport = httpx.ASGITransport(app=self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://backend") as browser:
            answer = await browser.post(path, json=body, headers={"x-usechat-sdk": "7.0.173"})
        assert answer.status_code == 200
        assert find_refusals(answer.content, (7, 0, 173), known_tool_calls=known) == []
        return [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: {")]


QUESTION = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Sail!"}]}


def text(chunks: list[Any]) -> str:
    return "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")


def approved(chunks: list[Any]) -> dict[str, Any]:
    """The assistant's message with a call that the user has approved."""
    [call] = [chunk for chunk in chunks if chunk["type"] == "tool-input-available"]
    [asked] = [chunk for chunk in chunks if chunk["type"] == "tool-approval-request"]
    part = {
        "type": f"tool-{call['toolName']}",
        "toolCallId": call["toolCallId"],
        "state": "approval-responded",
        "input": call["input"],
        "approval": {"id": asked["approvalId"], "approved": True},
    }
    return {"id": "2", "role": "assistant", "parts": [{"type": "step-start"}, part]}


SAIL = ("sail", '{"port": "Whitby"}', "c2")


async def answer_after_approval(backend: Backend) -> list[Any]:
    chunks = await backend.post(QUESTION)
    return await backend.post(QUESTION, approved(chunks), known=("c2",))


def outputs(chunks: list[Any]) -> list[Any]:
    return [chunk["output"] for chunk in chunks if chunk["type"] == "tool-output-available"]


async def test_langgraph_answers_after_an_approval():
    graph = test_langgraph.graph_of(test_langgraph.call(*SAIL), test_langgraph.ANSWER)
    chunks = await answer_after_approval(Backend("LangGraph", graph=graph))
    assert (outputs(chunks), text(chunks)) == (["sailed: True"], "Three metres.")


async def test_pydantic_ai_answers_after_an_approval():
    agent: Agent[None, Any] = test_pydantic_ai.agent_of(test_pydantic_ai.calling(*SAIL), test_pydantic_ai.ANSWER)
    chunks = await answer_after_approval(Backend("pydantic-ai", agent=agent))
    assert (outputs(chunks), text(chunks)) == (["sailed"], "Three metres.")


async def test_openai_agents_answers_after_an_approval():
    model = test_openai_agents.Scripted(call_turn(SAIL), text_turn("Gone."))
    agent = OpenAIAgent[Any](name="Harbour", model=model, tools=[test_openai_agents.sail])
    chunks = await answer_after_approval(Backend("openai-agents", agent=agent))
    assert (outputs(chunks), text(chunks)) == (["sailed"], "Gone.")


@pytest.mark.parametrize(
    ("path", "events", "said"),
    [
        ("/api/chat", test_openai.CHAT, "I look."),
        ("/api/responses", test_openai.dumped(text_turn("Three.")), "Three."),
    ],
)
async def test_openai_answers(path: str, events: Any, said: str, serve: Any):
    client: AsyncOpenAI = serve(events)
    assert text(await Backend("OpenAI", client=client).post(QUESTION, path=path)) == said


async def test_another_backend_answers():
    body = await test_ai_sdk.sent("6", saying("From ", "there."))
    async with ReplayServer(Reply(body=body, content_type="text/event-stream")) as other:
        backend = Backend("Another backend of the AI SDK", URL=other.url)
        assert text(await backend.post(QUESTION)) == "From there."


def test_every_program_of_the_page_is_run():
    assert set(PROGRAMS) == {"LangGraph", "pydantic-ai", "openai-agents", "OpenAI", "Another backend of the AI SDK"}
