"""Results that come back with a chat reach the model as their tools would have them."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.conformance.replies import answer
from usechat import Tool, generate_text, stream_text, tool
from usechat.messages.model import (
    AssistantMessage,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models import anthropic
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def short(output: Any) -> ToolResultOutput:
    return ToolResultOutput("text", f"in short: {output['words'][0]}")


async def shorten(output: Any) -> ToolResultOutput:
    return short(output)


def look(convert: Any) -> Tool:
    async def execute(arguments: Any) -> Any:
        return arguments

    return tool(name="look", input_schema={"type": "object"}, execute=execute, to_model_output=convert)


def chat(**part: Any) -> list[dict[str, Any]]:
    told: dict[str, Any] = {"type": "tool-look", "toolCallId": "t1", "state": "output-available", "input": {}, **part}
    asked = {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
    return [asked, {"id": "2", "role": "assistant", "parts": [told]}, {**asked, "id": "3"}]


async def result_for_the_model(messages: Any, convert: Any) -> Any:
    async with ReplayServer(answer()) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
        await stream_text(model, messages=messages, tools=[look(convert)]).text
        return server.requests[0].json["messages"][2]["content"][0]["content"]


@pytest.mark.parametrize("convert", [short, shorten])
async def test_a_result_is_what_its_tool_makes_of_it(convert: Any):
    assert await result_for_the_model(chat(output={"words": ["tide", "wind"]}), convert) == "in short: tide"


async def test_a_result_that_the_tool_cannot_read_stays_as_it_is(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.CRITICAL):
        assert await result_for_the_model(chat(output={"other": 1}), short) == '{"other":1}'


async def test_an_error_is_not_the_tools_to_convert():
    assert await result_for_the_model(chat(state="output-error", errorText="no"), short) == "no"


async def test_model_messages_are_converted_already():
    output = ToolResultOutput("json", {"words": ["tide"]})
    messages = [
        UserMessage((TextContent("Hi"),)),
        AssistantMessage((ToolCallContent(tool_call_id="t1", tool_name="look", input={}),)),
        ToolMessage((ToolResultContent(tool_call_id="t1", tool_name="look", output=output),)),
    ]
    assert await result_for_the_model(messages, short) == '{"words":["tide"]}'


async def test_an_answer_can_be_had_whole():
    async with ReplayServer(answer("All at once.")) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
        finished = await generate_text(model, prompt="Hi")
    assert finished.text == "All at once. "
    assert finished.usage.output == 17
    assert finished.ui_message["parts"][-1]["text"] == "All at once. "
