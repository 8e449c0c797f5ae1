"""The programs of docs/tools.md, docs/data-parts.md and docs/models.md, run as they stand there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from tests.integration.pages import ASKED, post, run_program, running
from tests.integration.test_readme import programs
from usechat.testing.client_rules import find_refusals
from usechat.testing.streams import read_stream

pytestmark = pytest.mark.anyio

TOOLS, DATA, MODELS = "docs/tools.md", "docs/data-parts.md", "docs/models.md"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_every_program_is_run():
    assert [len(programs(page)) for page in (TOOLS, DATA, MODELS)] == [4, 3, 9]


@pytest.mark.parametrize(
    ("called", "shown"),
    [(("get_weather", {"city": "York"}), '"temperature":18,"days":1'), (("search", {"query": "x"}), '"stew"')],
)
async def test_functions_of_the_page_are_called(called: Any, shown: str, monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch, called):
        names = await run_program(TOOLS, 0)
        answer = await post(names["app"])
    assert find_refusals(answer.content, (7, 0, 173)) == []
    assert shown in answer.text
    assert '"delta":"So"' in answer.text


@pytest.mark.parametrize(("euros", "asks"), [(5, False), (500, True)])
async def test_large_payment_waits_for_the_user(euros: int, asks: bool, monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch, ("pay", {"euros": euros})):
        names = await run_program(TOOLS, 1)
        answer = await post(names["app"])
    assert ('"type":"tool-approval-request"' in answer.text) is asks
    assert (f"paid {euros}" in answer.text) is not asks


async def test_place_is_picked_in_the_page(monkeypatch: pytest.MonkeyPatch):
    part = {"type": "tool-pick_place", "toolCallId": "t", "state": "output-available", "input": {"near": "York"}}
    async with running(monkeypatch) as upstream:
        names = await run_program(TOOLS, 1)
        await post(names["app"], ASKED, {"id": "2", "role": "assistant", "parts": [{**part, "output": "the river"}]})
        assert "the river" in str(upstream.requests[0].json["messages"][-1])


async def test_policy_lets_the_admin_read(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch, ("read_file", {"path": "a.txt"})):
        names = await run_program(TOOLS, 2)
    assert names["event"].text == "Soup"
    assert names["event"].tool_calls[0].output == "a.txt: empty"


async def test_tools_of_anthropic_are_sent(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch) as upstream:
        names = await run_program(TOOLS, 3)
        sent = upstream.requests[0].json
    assert len(sent["tools"]) >= len(names["theirs"])
    assert [server["name"] for server in sent["mcp_servers"]] == ["docs"]
    assert [tool.execute for tool in (*names["ours"], *names["desktop"])] == [names["run"]] * 5


async def test_progress_of_a_tool_is_one_part_that_grows(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch, ("search", {"query": "soup"})):
        names = await run_program(DATA, 0)
    parts = [part for part in names["event"].ui_message["parts"] if part["type"] == "data-progress"]
    assert [part["data"]["done"] for part in parts] == [parts[0]["data"]["total"]]


async def test_status_stands_around_the_answer(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch):
        names = await run_program(DATA, 1)
        answer = await post(names["app"])
    assert find_refusals(answer.content, (7, 0, 173)) == []
    assert answer.text.index("thinking") < answer.text.index('"delta":"So"') < answer.text.index('"text":"done"')


async def test_model_is_told_of_the_page_that_the_user_sees(monkeypatch: pytest.MonkeyPatch):
    seen = {"type": "data-page", "data": {"url": "https://shop.example"}}
    async with running(monkeypatch) as upstream:
        names = await run_program(DATA, 2)
        await post(names["app"], {**ASKED, "parts": [*ASKED["parts"], seen]})
        assert "The user looks at https://shop.example" in str(upstream.requests[0].json)


async def test_options_of_thinking_and_caching_are_sent(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch) as upstream:
        await run_program(MODELS, 1)
        thinker, caching, exact = (request.json for request in upstream.requests)
    assert thinker["output_config"]["effort"] == "low"
    assert caching["cache_control"] == {"type": "ephemeral"}
    assert exact["thinking"] == {"type": "enabled", "budget_tokens": 2000}


async def test_models_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch):
        names = await run_program(MODELS, 2)
    assert names["name"] == names["claude"].model_id == names["model"].model_id
    assert names["without_a_key"].provider in ("demo", "local")


async def test_models_of_models_and_cached_ones_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    async with running(monkeypatch) as upstream:
        assert (await run_program(MODELS, 3))["event"].text == "Soup"
        asked = len(upstream.requests)
        assert (await run_program(MODELS, 4))["event"].text == "Soup"
        assert len(upstream.requests) == asked + 1
        model = (await run_program(MODELS, 5, folder=tmp_path))["model"]
        for _ in range(2):
            names = await run_program(MODELS, 5, folder=tmp_path)
            assert [batch async for batch in names["model"].stream(a_call())] != []
        assert len(upstream.requests) == asked + 2
    assert model.model_id == "claude-sonnet-4-6"


def a_call() -> Any:
    from usechat.messages.model import TextContent, UserMessage
    from usechat.models.base import ModelCall

    return ModelCall(messages=[UserMessage((TextContent("Hi"),))])


async def test_bytes_of_a_stream_become_parts():
    names = await run_program(MODELS, 6, app=FastAPI())
    parts = list(names["read"]([read_stream("text")]))
    names_of_parts = [type(part).__name__ for part in parts]
    assert "TextDelta" in names_of_parts
    assert names_of_parts[-1] == "ModelFinish"


async def test_events_of_the_anthropic_package_are_an_answer(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch):
        names = await run_program(MODELS, 7)
        answer = await post(names["app"])
        await names["client"].close()
    assert find_refusals(answer.content, (7, 0, 173)) == []
    assert '"delta":"So"' in answer.text
