"""What models and applications make is never nested deeper than a client may post it again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.odd_bodies import nested
from usechat import UIMessageStreamWriter, step_count_is, stream_text, tool, ui_message_stream
from usechat.json import MAX_DEPTH, MAX_VALUE_DEPTH
from usechat.messages.ui import parse_chat_request
from usechat.parts import (
    Custom,
    Data,
    Error,
    MessageMetadata,
    Part,
    ToolInputAvailable,
    ToolInputError,
    ToolOutputAvailable,
    ToolOutputError,
)
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio

LEGAL = nested(MAX_VALUE_DEPTH)
DEEP = nested(MAX_VALUE_DEPTH + 1)
VERY_DEEP = nested(900)
QUESTION = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def read(result: Any) -> list[Part]:
    return [part async for part in result]


async def is_taken_again(result: Any) -> bool:
    """Whether a client can go on with the message."""
    message = await result.ui_message
    messages = [QUESTION, {**message, "id": "a1"}, {**QUESTION, "id": "u2"}]
    return parse_chat_request(json.dumps({"messages": messages}).encode()).messages[1].parts == message["parts"]


@pytest.mark.parametrize("is_preliminary", [False, True])
@pytest.mark.parametrize("output", [DEEP, VERY_DEEP], ids=["deep", "very deep"])
async def test_output_that_is_nested_too_deep_is_the_tools_error(output: Any, is_preliminary: bool):
    @tool(name="get")
    async def whole() -> Any:
        return output

    @tool(name="get")
    async def growing() -> AsyncIterator[Any]:
        yield output

    model = ScriptedModel(calling_tool("get"), saying("Too bad."))
    used = growing if is_preliminary else whole
    result = stream_text(model, prompt="?", tools=[used], stop_when=step_count_is(2))
    parts = await read(result)

    assert [part.error_text for part in parts if isinstance(part, ToolOutputError)] == [
        "Error: The tool's result cannot be written as JSON."
    ]
    assert await result.text == "Too bad."
    assert await is_taken_again(result)


async def test_deepest_output_and_input_that_are_taken_come_back():
    def give_back(given: Any) -> Any:
        return given

    get = tool(name="get", input_schema={"type": "object"}, execute=give_back)
    model = ScriptedModel(calling_tool("get", LEGAL), saying("Done."))
    result = stream_text(model, prompt="?", tools=[get], stop_when=step_count_is(2))
    parts = await read(result)

    assert [part.output for part in parts if isinstance(part, ToolOutputAvailable)] == [LEGAL]
    assert await is_taken_again(result)


@pytest.mark.parametrize("name", ["get", "unknown"])
@pytest.mark.parametrize("depth", [MAX_VALUE_DEPTH + 1, 900, 5_000])
async def test_input_that_is_nested_too_deep_is_one_that_cannot_be_read(name: str, depth: int):
    calls: list[Any] = []
    get = tool(name="get", input_schema={"type": "object"}, execute=calls.append)
    text = '{"a":' * depth + "1" + "}" * depth
    model = ScriptedModel(calling_tool(name, text), saying("Sorry."))
    result = stream_text(model, prompt="?", tools=[get], stop_when=step_count_is(2))
    parts = await read(result)

    assert [part.input for part in parts if isinstance(part, ToolInputError)] == [text]
    assert calls == []
    assert await result.text == "Sorry."
    assert await is_taken_again(result)


@pytest.mark.parametrize("data", [DEEP, VERY_DEEP], ids=["deep", "very deep"])
async def test_writer_refuses_data_that_is_nested_too_deep(data: Any):
    async def execute(writer: UIMessageStreamWriter) -> None:
        with pytest.raises(ValueError, match=r"deep|depth"):
            writer.write_data("tide", data)
        writer.write_data("tide", LEGAL)

    result = ui_message_stream(execute)
    parts = await read(result)

    assert [part.data for part in parts if isinstance(part, Data)] == [LEGAL]
    assert await is_taken_again(result)


PARTS = [
    Data(name="x", data=DEEP),
    MessageMetadata(VERY_DEEP),
    Custom("a.b", {"a": DEEP}),
    ToolOutputAvailable(tool_call_id="t", tool_name="get", output=VERY_DEEP),
]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: type(part).__name__)
async def test_part_that_is_nested_too_deep_ends_the_answer_with_an_error_and_is_not_saved(part: Part):
    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write_text("So far")
        writer.write(ToolInputAvailable(tool_call_id="t", tool_name="get", input={}))
        writer.write(part)

    result = ui_message_stream(execute)
    parts = await read(result)

    assert isinstance(parts[-2], Error)
    assert part not in parts
    assert (await result.ui_message)["parts"][0]["text"] == "So far"
    assert await is_taken_again(result)


async def test_metadata_that_is_nested_too_deep_is_left_out():
    result = stream_text(ScriptedModel(saying("Hi")), prompt="?", message_metadata=lambda _part: DEEP)

    await read(result)

    assert "metadata" not in await result.ui_message


@pytest.mark.parametrize("depth", [MAX_DEPTH // 2 - 4, 2_000])
async def test_wide_data_is_not_deep(depth: int):
    wide = [[number] for number in range(depth)]

    async def execute(writer: UIMessageStreamWriter) -> None:
        writer.write(Data(name="x", data=wide))

    parts = await read(ui_message_stream(execute))

    assert [part.data for part in parts if isinstance(part, Data)] == [wide]
