"""Names that Anthropic refuses: it gets others, the application and its clients see their own."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel

from tests.integration.anthropic_calls import model_for
from usechat import generate_object, step_count_is, stream_text, tool
from usechat.errors import ConfigurationError
from usechat.models import anthropic
from usechat.parts import ToolInputAvailable, ToolInputError, ToolInputStart, ToolOutputAvailable
from usechat.testing.replay import ReplayServer, Reply, Script
from usechat.testing.streams import read_events

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

GIVEN = {"straße": "Am Kai", "orte": [{"größe": 3}], "zip.code": "YO21"}
SENT = {"stra_e": "Am Kai", "orte": [{"gr__e": 3}], "zip.code": "YO21"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ort(BaseModel):
    größe: int = 0  # noqa: PLC2401 - any name is one


def calling(name: str, value: Any) -> Reply:
    events: list[dict[str, Any]] = [json.loads(event) for event in read_events("tool")]
    for event in events:
        if event["type"] == "content_block_start":
            event["content_block"]["name"] = name
        if event["type"] == "content_block_delta":
            is_first, event["delta"]["partial_json"] = event["delta"]["partial_json"] == "", ""
            if is_first:
                event["delta"]["partial_json"] = json.dumps(value)
    return Reply(events=events)


def in_turn(*replies: Reply) -> Script:
    left = iter(replies)
    return lambda request: next(left)


async def test_tool_and_parameters_of_any_name_are_called_by_it():
    got: list[Any] = []

    def suche(straße: str, orte: list[Ort]) -> str:  # noqa: PLC2401 - any name is one
        got.append((straße, orte))
        return "found"

    taken = tool(name="drive_search")(lambda: "no")
    value = {key: item for key, item in GIVEN.items() if key != "zip.code"}
    sent = {key: item for key, item in SENT.items() if key != "zip.code"}
    server = ReplayServer(in_turn(calling("drive_search_2", sent), Reply("text")))
    async with server:
        answer = stream_text(
            model_for(server),
            prompt="Search",
            tools={"drive.search": tool(suche), "drive_search": taken},
            tool_choice="tool:drive.search",
            stop_when=step_count_is(2),
        )
        parts = [part async for part in answer]
    assert got == [("Am Kai", [Ort(größe=3)])]
    calls = [part for part in parts if isinstance(part, ToolInputAvailable | ToolInputStart | ToolOutputAvailable)]
    assert {part.tool_name for part in calls} == {"drive.search"}
    assert [part.input for part in calls if isinstance(part, ToolInputAvailable)] == [value]
    first, second = (request.json for request in server.requests)
    assert [one["name"] for one in first["tools"]] == ["drive_search_2", "drive_search"]
    assert first["tool_choice"] == {"type": "tool", "name": "drive_search_2"}
    schema = first["tools"][0]["input_schema"]
    assert list(schema["properties"]) == schema["required"] == ["stra_e", "orte"]
    assert list(schema["$defs"]["Ort"]["properties"]) == ["gr__e"]
    (call,) = second["messages"][1]["content"]
    assert (call["name"], call["input"]) == ("drive_search_2", sent)


async def test_name_of_a_tool_that_is_gone_is_sent_in_a_legal_form():
    history: list[Any] = [
        {"id": "1", "role": "user", "parts": [{"type": "text", "text": "Search"}]},
        {
            "id": "2",
            "role": "assistant",
            "parts": [
                {
                    "type": "dynamic-tool",
                    "toolName": "größe",
                    "toolCallId": "call-1",
                    "state": "output-available",
                    "input": {"x": 1},
                    "output": "found",
                }
            ],
        },
        {"id": "3", "role": "user", "parts": [{"type": "text", "text": "And?"}]},
    ]
    async with ReplayServer("text") as server:
        await stream_text(model_for(server), messages=history).text
    (request,) = server.requests
    assert request.json["messages"][1]["content"][0]["name"] == "gr__e"
    assert request.json["tools"][0]["name"] == "gr__e"


async def test_input_that_is_no_json_is_told_as_it_came():
    def suche(straße: str): ...  # noqa: PLC2401 - any name is one

    reply = calling("suche", {})
    events = [
        {**event, "delta": {"type": "input_json_delta", "partial_json": "{no"}}
        if event["type"] == "content_block_delta"
        else event
        for event in reply.events or ()
        if isinstance(event, dict)
    ]
    async with ReplayServer(Reply(events=events)) as server:
        parts = [part async for part in stream_text(model_for(server), prompt="Search", tools=[suche])]
    (wrong,) = (part for part in parts if isinstance(part, ToolInputError))
    assert wrong.tool_name == "suche"
    assert wrong.input.startswith("{no")


class Street(BaseModel):
    straße: str  # noqa: PLC2401 - any name is one


async def test_object_of_a_name_that_a_model_without_native_output_cannot_be_told_is_refused_by_it():
    async with ReplayServer("text") as server:
        model = anthropic("claude-3-haiku-20240307", base_url=server.url, api_key="key-1")
        with pytest.raises(ConfigurationError, match="'straße'"):
            await generate_object(model, schema=Street, prompt="Where?")
    assert not server.requests
