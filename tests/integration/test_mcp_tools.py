"""Tools of real MCP servers, over stdio and over HTTP, from the list of them to the answer."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from tests.conformance.replies import answer, call, said
from tests.support.backend import Backend
from tests.support.mcp_server import PICTURE
from tests.support.waiting import eventually
from usechat import step_count_is, stream_text
from usechat.messages.call_words import INTERRUPTED
from usechat.messages.dicts.types import UIMessageDict
from usechat.models import anthropic
from usechat.testing.replay import ReplayServer
from usechat.tools import mcp_tools
from usechat.tools.tool import Tool

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
STDIO = StdioServerParameters(command=sys.executable, args=["-m", "tests.support.mcp_server"], cwd=ROOT)


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def http_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    log = tmp_path_factory.mktemp("mcp") / "log"
    started = Backend("tests.support.mcp_server:http_app", upstream="http://127.0.0.1:1", log=log)
    yield started
    started.close()


@pytest.fixture(scope="module")
async def stdio_client() -> AsyncGenerator[Client]:
    """A client whose server, a process of its own, takes a second to start."""
    async with Client(STDIO) as client:
        yield client


@pytest.fixture(params=["stdio", "http"])
async def client(request: pytest.FixtureRequest, stdio_client: Client, http_server: Backend) -> AsyncGenerator[Client]:
    if request.param == "stdio":
        yield stdio_client
        return
    async with Client(f"{http_server.url}/mcp") as client:
        yield client


async def run(tools: list[Tool], name: str, input: Any, **options: Any) -> tuple[Any, Any]:
    """The tool's part of the message, and what the model gets of its result."""
    async with ReplayServer(said(call(name, input, id="toolu_1"), stop="tool_use"), answer()) as upstream:
        model = anthropic("claude-sonnet-4-6", base_url=upstream.url, api_key="none")
        result = stream_text(model, prompt="Hi", tools=tools, stop_when=step_count_is(2), **options)
        message = await result.ui_message
        asked = upstream.requests[-1].json["messages"]
    parts = [part for part in message["parts"] if part["type"] == "dynamic-tool"]
    assert len(parts) == 1
    assert message["parts"][-1]["type"] == "text"
    return parts[0], asked[-1]["content"][0]


async def test_a_tool_of_a_server_is_listed_with_what_it_says_of_itself(client: Client):
    tools = {tool.name: tool for tool in await mcp_tools(client)}
    tide = tools["tide"]
    assert (tide.description, tide.title, tide.dynamic) == ("When high water is.", "Tide table", True)
    assert tide.schema.json_schema["properties"].keys() == {"port", "days"}
    assert tide.schema.json_schema["required"] == ["port"]
    assert tide.schema.json_schema["additionalProperties"] is False
    assert tide.metadata == {"toolName": "tide", "title": "Tide table", "annotations": {"readOnlyHint": True}}


async def test_a_call_goes_to_the_server_and_its_result_to_client_and_model(client: Client):
    part, result = await run(await mcp_tools(client), "tide", {"port": "Whitby"})
    assert (part["toolName"], part["state"], part["title"]) == ("tide", "output-available", "Tide table")
    assert part["output"]["structuredContent"] == {"port": "Whitby", "high_water": "14:20", "days": "1"}
    assert part["output"]["isError"] is False
    assert part["toolMetadata"]["toolName"] == "tide"
    assert [block["type"] for block in result["content"]] == ["text"]
    assert json.loads(result["content"][0]["text"])["high_water"] == "14:20"


async def test_text_pictures_and_documents_reach_the_model_as_such(client: Client):
    tools = await mcp_tools(client)
    _, greeting = await run(tools, "greet", {"name": "Ann"})
    part, picture = await run(tools, "picture", {})
    _, documents = await run(tools, "documents", {})
    _, sound = await run(tools, "sound", {})
    assert greeting["content"] == [{"type": "text", "text": "Hello Ann"}]
    assert part["output"]["content"] == [{"type": "image", "data": PICTURE, "mimeType": "image/png"}]
    source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    assert picture["content"] == [{"type": "image", "source": source}]
    blocks = documents["content"]
    assert [block["type"] for block in blocks] == ["text", "document", "text", "text"]
    assert "Low water" in blocks[0]["text"]
    assert blocks[1]["source"]["data"] == "JVBERi0xLjQK"
    assert "(8 characters of base64)" in blocks[2]["text"]
    assert "https://tides.example/" in blocks[3]["text"]
    assert "(400 characters of base64)" in sound["content"][0]["text"]


async def test_what_a_server_says_went_wrong_is_a_result(client: Client):
    part, result = await run(await mcp_tools(client), "fail", {"why": "no water"})
    assert (part["state"], part["output"]["isError"]) == ("output-available", True)
    assert "no water" in result["content"][0]["text"]


async def test_a_server_checks_its_input_itself(client: Client):
    part, result = await run(await mcp_tools(client), "tide", {"port": ["Whitby"]})
    assert part["output"]["isError"] is True
    assert "port" in result["content"][0]["text"]


async def test_a_call_that_takes_too_long_is_cancelled_on_the_server(client: Client, tmp_path: Path):
    part, result = await run(await mcp_tools(client, timeout=2), "wait", {"folder": str(tmp_path)})
    await eventually((tmp_path / "cancelled").exists)
    again, _ = await run(await mcp_tools(client), "greet", {"name": "Ann"})
    assert (part["state"], again["state"]) == ("output-error", "output-available")
    assert result["content"] == f"Error: The tool did not end within 2 seconds. {INTERRUPTED}"
    assert result["is_error"] is True


async def test_stopping_the_answer_cancels_the_call_on_the_server(client: Client, tmp_path: Path):
    reply = said(call("wait", {"folder": str(tmp_path)}, id="toolu_1"), stop="tool_use")
    async with ReplayServer(reply) as upstream:
        model = anthropic("claude-sonnet-4-6", base_url=upstream.url, api_key="none")
        result = stream_text(model, prompt="Hi", tools=await mcp_tools(client))
        reading = result.parts()
        async for part in reading:
            if type(part).__name__ == "ToolInputAvailable":
                break
        told = asyncio.create_task(anext(reading))
        await eventually((tmp_path / "begun").exists)
        result.abort()
        assert type(await told).__name__ == "Abort"
        await eventually((tmp_path / "cancelled").exists)


async def test_a_name_that_anthropic_refuses_is_changed_and_still_called(stdio_client: Client):
    tools = await mcp_tools(stdio_client, prefix="port.")
    part, result = await run(tools, "port_harbour_notices_list", {})
    assert part["output"]["content"][0]["text"] == "none"
    assert part["toolMetadata"]["toolName"] == "harbour/notices.list"
    assert result["content"] == [{"type": "text", "text": "none"}]


async def test_only_the_tools_that_are_wanted_are_there(stdio_client: Client):
    assert [tool.name for tool in await mcp_tools(stdio_client, only=["greet"], prefix="a_")] == ["a_greet"]


async def test_a_server_that_dies_in_a_call_fails_the_call_and_not_the_answer(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.CRITICAL):
        async with Client(STDIO) as client:
            part, result = await run(await mcp_tools(client), "die", {})
    assert part["state"] == "output-error"
    assert result["is_error"] is True


async def test_a_call_after_the_connection_is_over_fails():
    async with Client(STDIO) as client:
        tools = await mcp_tools(client)
    part, _ = await run(tools, "greet", {"name": "Ann"})
    assert part["state"] == "output-error"


async def test_a_result_that_comes_back_with_the_chat_is_what_it_was(stdio_client: Client):
    async with ReplayServer(answer()) as upstream:
        output = (await stdio_client.call_tool("picture", {})).model_dump(mode="json", by_alias=True, exclude_none=True)
        told = {"type": "dynamic-tool", "toolName": "picture", "toolCallId": "toolu_1", "state": "output-available"}
        messages: list[UIMessageDict] = [
            {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Chart?"}]},
            {"id": "2", "role": "assistant", "parts": [{**told, "input": {}, "output": output}]},
            {"id": "3", "role": "user", "parts": [{"type": "text", "text": "And?"}]},
        ]
        model = anthropic("claude-sonnet-4-6", base_url=upstream.url, api_key="none")
        await stream_text(model, messages=messages, tools=await mcp_tools(stdio_client)).text
        result = upstream.requests[0].json["messages"][2]["content"][0]
    assert [block["type"] for block in result["content"]] == ["image"]
