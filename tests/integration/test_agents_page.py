"""The programs of docs/agents.md, run as they are written, with a stand-in for the Messages API behind them."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.conformance.replies import call, said, text
from usechat import RequestError, handle_refusal
from usechat.testing.client_rules import find_refusals
from usechat.testing.replay import ReplayServer, Reply

pytestmark = pytest.mark.anyio

PAGE = (Path(__file__).resolve().parents[2] / "docs/agents.md").read_text()
PROGRAMS: dict[str, str] = dict(
    re.findall(r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
)
OBJECT = "An object for useObject"
ASKED: dict[str, Any] = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "An agent in a route": ("get_weather", {"city": "York"}),
    "Dependencies": ("my_name", {}),
    "What an answer tells": ("add", {"a": 2, "b": 3}),
    "Steps": ("search", {"query": "soup"}),
    "Stored and posted messages": ("get_weather", {"city": "York"}),
}
"""The tool that the model calls first."""


@pytest.fixture
async def upstream(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ReplayServer]:
    def answer(asked: Any) -> Reply:
        if asked.path.endswith("count_tokens"):
            return Reply(body=b'{"input_tokens": 200000}', content_type="application/json")
        first = CALLS.get(request.node.callspec.params.get("section", ""))
        has_called = any(message["role"] == "assistant" for message in asked.json["messages"])
        if first is not None and not has_called:
            return said(call(*first, id="toolu_1"), stop="tool_use")
        return said(text('{"name": "So', 'up", "minutes": 20}'), headers={"anthropic-ratelimit-requests-limit": "50"})

    async with ReplayServer(answer) as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        yield server


async def run(section: str) -> dict[str, Any]:
    """Run a program of the page, which may await. Return its names."""
    names: dict[str, Any] = {"__name__": __name__, "app": FastAPI()}
    code = compile(PROGRAMS[section], "docs/agents.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    made = eval(code, names)
    if inspect.isawaitable(made):
        await made
    return names


async def post(app: FastAPI, *messages: dict[str, Any]) -> httpx.Response:
    app.add_exception_handler(RequestError, handle_refusal)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://backend") as browser:
        body = {"id": "c", "trigger": "submit-message", "messages": messages}
        return await browser.post("/api/chat", json=body, headers={"x-usechat-sdk": "7.0.173"})


@pytest.mark.parametrize("section", PROGRAMS)
async def test_program_of_the_page_runs(section: str, upstream: ReplayServer):
    names = await run(section)
    if "chat" in names:
        answer = await post(names["app"], ASKED)
        assert answer.status_code == 200
        assert find_refusals(answer.content, (7, 0, 173)) == []
        assert '"type":"text-delta"' in answer.text
    if "event" in names:
        assert names["event"].text == '{"name": "Soup", "minutes": 20}'
        assert names["event"].error is None
    if section not in ("Time limits", OBJECT):
        assert upstream.requests


@pytest.mark.parametrize("section", ["Structured output"])
async def test_output_is_an_object_of_its_class(
    section: str, upstream: ReplayServer, capsys: pytest.CaptureFixture[str]
):
    names = await run(section)
    assert names["recipe"] == names["Recipe"](name="Soup", minutes=20)
    assert capsys.readouterr().out.splitlines()[-1] == "{'name': 'Soup', 'minutes': 20}"


@pytest.mark.parametrize("section", [OBJECT])
@pytest.mark.parametrize("path", ["/api/recipe", "/api/recipe/agent"])
async def test_use_object_gets_the_growing_json(section: str, path: str, upstream: ReplayServer):
    names = await run(section)
    transport = httpx.ASGITransport(app=names["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://backend") as browser:
        answer = await browser.post(path, json={"dish": "soup"})
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.json() == {"name": "Soup", "minutes": 20}
    assert "A recipe: soup" in str(upstream.requests[0].json["messages"])


@pytest.mark.parametrize("section", ["What an answer tells"])
async def test_values_of_an_answer_are_as_the_page_says(
    section: str, upstream: ReplayServer, capsys: pytest.CaptureFixture[str]
):
    names = await run(section)
    assert [each.output for each in names["calls"]] == [5]
    assert "asking claude-sonnet-4-6 with 1 messages" in capsys.readouterr().out
    assert upstream.requests


@pytest.mark.parametrize("section", ["Stored and posted messages"])
async def test_stored_call_that_does_not_fit_never_reaches_the_model(section: str, upstream: ReplayServer):
    names = await run(section)
    part = {
        "type": "tool-get_weather",
        "toolCallId": "t",
        "state": "output-available",
        "input": {"city": 5},
        "output": "x",
    }
    answer = await post(names["app"], ASKED, {"id": "2", "role": "assistant", "parts": [part]}, {**ASKED, "id": "3"})
    assert answer.status_code == 422
    assert answer.json() == {"detail": "messages[1].parts[0].input: does not fit the schema of its tool"}
    assert upstream.requests == []


@pytest.mark.parametrize("section", ["Long conversations"])
async def test_long_conversation_is_asked_without_its_old_calls(section: str, upstream: ReplayServer):
    names = await run(section)
    part: dict[str, Any] = {
        "type": "tool-x",
        "toolCallId": "t",
        "state": "output-available",
        "input": {},
        "output": "seen",
    }
    later = {"id": "4", "role": "assistant", "parts": [{"type": "text", "text": "Yes."}]}
    said_before = {"id": "2", "role": "assistant", "parts": [part]}
    answer = await post(names["app"], ASKED, said_before, {**ASKED, "id": "3"}, later, {**ASKED, "id": "5"})
    assert answer.status_code == 200
    counted, asked = (request.json for request in upstream.requests)
    assert "seen" in str(counted["messages"])
    assert "seen" not in str(asked["messages"])


def test_every_program_of_the_page_is_run():
    assert len(PROGRAMS) == PAGE.count("```python") == 11
