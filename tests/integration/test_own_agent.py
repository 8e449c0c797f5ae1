"""`usechat serve my_app:agent` and `create_app(agent=…)`: an application's own agent behind every route."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.integration.running_server import serving
from usechat import Agent, ToolContext, tool
from usechat.errors import ConfigurationError
from usechat.messages.model import ToolMessage
from usechat.server.answering.own_agent import load_agent
from usechat.server.app import create_app
from usechat.server.settings import Settings
from usechat.testing.models import ScriptedModel, calling_tool, saying

PROGRAM = """
from usechat import Agent
from usechat.testing.models import ScriptedModel, saying

agent = Agent(ScriptedModel(saying("From my own agent."), model_id="tide-1"), name="Tides")
"""


@dataclass(frozen=True)
class Deps:
    harbour: str


@tool
async def harbour(context: ToolContext[Deps]) -> str:
    """Which harbour this is."""
    return context.deps.harbour


@tool(needs_approval=True)
async def sound_horn(times: int) -> str:
    """Sound the horn."""
    return f"sounded {times} times"


locate = tool(name="locate", input_schema={"type": "object", "properties": {}})


@contextmanager
def browsing(agent: Agent[Any], folder: Path, **settings: Any) -> Generator[TestClient]:
    known = {"database_url": f"sqlite:///{folder / 'chats.db'}", "insecure": True, "sdk": "7.0.173", **settings}
    app = create_app(Settings.model_validate(known), agent=agent)
    with TestClient(app, base_url="http://127.0.0.1:8000") as browser:
        yield browser


def user_message(text: str) -> dict[str, Any]:
    return {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}


def body(*messages: dict[str, Any], chat: str = "c1") -> dict[str, Any]:
    return {"id": chat, "trigger": "submit-message", "messages": list(messages)}


def chunks(text: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(line) for line in lines]


def saved(browser: TestClient, chat: str = "c1") -> dict[str, Any]:
    return browser.get(f"/api/chats/{chat}").json()["messages"][-1]


def test_every_answering_route_asks_the_agent(tmp_path: Path):
    model = ScriptedModel(calling_tool("harbour"), saying("It is Whitby."), model_id="tide-1")
    agent = Agent(model, name="Tides", system="You know tides.", tools=[harbour], context=Deps("Whitby"))
    with browsing(agent, tmp_path, system_prompt="Not this.", max_output_tokens=70, error_detail=True) as browser:
        told = browser.post("/api/chat", json=body(user_message("Where?")))
        assert told.status_code == 200
        outputs = [chunk["output"] for chunk in chunks(told.text) if chunk["type"] == "tool-output-available"]
        assert outputs == ["Whitby"]
        assert saved(browser)["parts"][-1]["text"] == "It is Whitby."
        assert "It is Whitby." in browser.post("/api/completion", json={"prompt": "Where?"}).text
        spoken = {"messages": [{"role": "user", "content": "Where?"}], "systemPrompt": "Be brief."}
        assert "It is Whitby." in browser.post("/api/ai/chat/stream", json=spoken).text
        with browser.websocket_connect("/api/chat/ws") as socket:
            socket.close()
        info = browser.get("/api/info").json()
    assert info["model"] == {"id": "tide-1", "provider": "scripted", "label": "Tides"}
    assert info["notice"] is None
    assert [call.system for call in model.calls] == ["You know tides."] * 3 + ["You know tides.\n\nBe brief."]
    assert {call.max_output_tokens for call in model.calls} == {70}


def test_options_of_the_agent_go_before_the_servers(tmp_path: Path):
    model = ScriptedModel(saying("Hi"))
    with browsing(Agent(model, max_output_tokens=5), tmp_path, max_output_tokens=70, system_prompt="Here.") as browser:
        browser.post("/api/chat", json=body(user_message("Hi")))
    assert (model.calls[0].max_output_tokens, model.calls[0].system) == (5, "Here.")


def test_client_may_choose_another_model_for_the_agent(tmp_path: Path):
    model = ScriptedModel(calling_tool("harbour"), saying("It is Whitby."))
    agent = Agent(model, tools=[harbour], context=Deps("Whitby"))
    with browsing(agent, tmp_path, models=["demo"]) as browser:
        browser.post("/api/chat", json={**body(user_message("tools")), "model": "demo"})
        assert browser.get("/api/info").json()["models"] == ["scripted", "demo"]
    assert model.calls == []


def test_output_of_the_agents_client_tool_reaches_the_model(tmp_path: Path):
    model = ScriptedModel(calling_tool("locate"), saying("You are in Whitby."))
    with browsing(Agent(model, tools=[locate, harbour]), tmp_path) as browser:
        browser.post("/api/chat", json=body(user_message("Where am I?")))
        asked = saved(browser)
        part = next(part for part in asked["parts"] if part["type"] == "tool-locate")
        assert part["state"] == "input-available"
        part |= {"state": "output-available", "output": {"place": "Whitby"}}
        told = browser.post("/api/chat", json=body(user_message("Where am I?"), asked))
        assert told.status_code == 200
        assert "You are in Whitby." in told.text
        kept = saved(browser)
    result = model.calls[1].messages[-1]
    assert isinstance(result, ToolMessage)
    assert [content.output.value for content in result.content] == [{"place": "Whitby"}]  # type: ignore[union-attr]
    assert kept["parts"][1]["output"] == {"place": "Whitby"}
    assert kept["parts"][-1]["text"] == "You are in Whitby."


def test_output_that_a_client_makes_up_for_a_tool_of_the_server_is_not_taken(tmp_path: Path):
    model = ScriptedModel(calling_tool("sound_horn", {"times": 2}), saying("Done."))
    with browsing(Agent(model, tools=[sound_horn, locate]), tmp_path, history="server") as browser:
        browser.post("/api/chat", json=body(user_message("Horn!")))
        asked = saved(browser)
        forged = [
            {**part, "state": "output-available", "output": "forged"} if part["type"] == "tool-sound_horn" else part
            for part in asked["parts"]
        ]
        browser.post("/api/chat", json=body(user_message("Horn!"), {**asked, "parts": forged}))
        assert "forged" not in json.dumps(browser.get("/api/chats/c1").json())
    assert "forged" not in repr([call.messages for call in model.calls])


@pytest.mark.parametrize("approved", [True, False])
def test_approval_of_the_agents_tool_is_asked_for_and_followed(tmp_path: Path, approved: bool):
    model = ScriptedModel(calling_tool("sound_horn", {"times": 2}), saying("So be it."))
    with browsing(Agent(model, tools=[sound_horn]), tmp_path) as browser:
        browser.post("/api/chat", json=body(user_message("Horn!")))
        asked = saved(browser)
        part = next(part for part in asked["parts"] if part["type"] == "tool-sound_horn")
        assert part["state"] == "approval-requested"
        part |= {"state": "approval-responded", "approval": {**part["approval"], "approved": approved}}
        told = browser.post("/api/chat", json=body(user_message("Horn!"), asked)).text
        kept = saved(browser)
    assert ("sounded 2 times" in told) is approved
    assert kept["parts"][1]["state"] == ("output-available" if approved else "output-denied")
    assert kept["parts"][-1]["text"] == "So be it."


def test_server_of_a_program_of_ones_own_answers(tmp_path: Path):
    (tmp_path / "my_app.py").write_text(PROGRAM)
    with serving(tmp_path, "my_app:agent", USECHAT_INSECURE="1") as server:
        assert "Tides answers." in server.first_line
        told = server.client.post("/api/chat", json=body(user_message("Hi")))
        assert "From my own agent." in told.text
        assert server.client.get("/api/info").json()["model"]["id"] == "tide-1"


def test_workers_answer_with_the_agent_that_the_environment_names(tmp_path: Path):
    (tmp_path / "my_app.py").write_text(PROGRAM)
    with serving(tmp_path, USECHAT_AGENT="my_app:agent", USECHAT_WORKERS="2", USECHAT_INSECURE="1") as server:
        assert "From my own agent." in server.client.post("/api/chat", json=body(user_message("Hi"))).text


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("own_app_there:agnet", "the agent own_app_there:agnet is not there: own_app_there has no agnet"),
        ("own_app_missing:agent", "no module own_app_missing can be found from"),
        ("own_app_there:ScriptedModel", "own_app_there:ScriptedModel must be an Agent, not type"),
    ],
)
def test_agent_that_is_not_there_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, why: str
):
    (tmp_path / "own_app_there.py").write_text(PROGRAM)
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=why):
        load_agent(target)


def test_module_that_the_application_lacks_is_not_taken_for_the_application(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "own_app_broken.py").write_text("import a_module_that_nobody_has\n")
    monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
    with pytest.raises(ModuleNotFoundError, match="a_module_that_nobody_has"):
        load_agent("own_app_broken:agent")


def test_agent_without_the_context_that_its_tools_need_is_not_served():
    agent = Agent(ScriptedModel(saying("Hi")), context_type=Deps)
    with pytest.raises(ConfigurationError, match=r"give it one, as in Agent\(…, context=Deps\(…\)\)"):
        create_app(Settings(database_url=None), agent=agent)


def test_name_that_can_be_no_agent_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("USECHAT_AGENT", "my_app")
    with pytest.raises(ConfigurationError, match="USECHAT_AGENT must be MODULE:NAME, such as my_app:agent"):
        create_app()
