"""`output=Output.object(…)` and its like: structured output together with tools and steps."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, field_validator

from tests.conformance.replies import call, said, text
from usechat import (
    Agent,
    ChatRequest,
    FinishEvent,
    Output,
    StreamingAnswer,
    generate_text,
    step_count_is,
    stream_text,
    tool,
)
from usechat.errors import ConfigurationError, NoObjectGeneratedError, ProviderStreamError
from usechat.models import anthropic
from usechat.parts import TextEnd
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals
from usechat.testing.models import Hold, ScriptedModel, calling_tool, saying
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio


class Recipe(BaseModel):
    name: str
    minutes: int = 5

    @field_validator("name")
    @classmethod
    def is_no_exit(cls, name: str) -> str:
        if name == "exit":
            raise SystemExit(2)
        return name


@tool
async def look_up(dish: str) -> str:
    """Look a dish up."""
    return f"{dish}: 20 minutes"


SOUP = '{"name": "Soup", "minutes": 20}'


async def test_agent_with_tools_ends_in_a_checked_object():
    model = ScriptedModel(calling_tool("look_up", {"dish": "Soup"}), saying(SOUP))
    agent = Agent(model, tools=[look_up], output=Output.object(Recipe, name="recipe", description="A dish"))
    event = await agent.generate("A soup")
    assert event.output == Recipe(name="Soup", minutes=20)
    assert [len(step.tool_calls) for step in event.steps] == [1, 0]
    asked = [call.response_format for call in model.calls]
    assert [(form.name, form.description) for form in asked if form] == [("recipe", "A dish")] * 2
    assert all(len(call.tools) == 1 for call in model.calls)


@pytest.mark.parametrize(
    ("output", "written", "value"),
    [
        (Output.array(Recipe), f'{{"elements": [{SOUP}]}}', [Recipe(name="Soup", minutes=20)]),
        (Output.choice(["sunny", "rainy"]), '{"result": "rainy"}', "rainy"),
        (Output.object(list[int]), '{"value": [1, 2]}', [1, 2]),
        (Output.object({"type": "object", "properties": {"a": {"type": "number"}}}), '{"a": 1}', {"a": 1}),
        (Output.json(), "[1, null]", [1, None]),
        (None, "Hi", "Hi"),
    ],
)
async def test_output_is_read_from_the_last_text(output: Any, written: str, value: Any):
    result = stream_text(ScriptedModel(saying(*written)), prompt="Hi", output=output)
    assert await result.output == value
    assert await result.text == written
    assert (await generate_text(ScriptedModel(saying(written)), prompt="Hi", output=output)).output == value


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([saying("No.")], "text is not JSON"),
        ([saying('{"name": 5}')], "does not fit"),
        ([saying('{"name": "exit"}')], "SystemExit"),
        ([saying('{"na', finish="length")], "ran out of tokens"),
        ([saying("", finish="content-filter")], "refused"),
        ([calling_tool("look_up", {"dish": "x"})], "ended with calls of tools"),
    ],
)
async def test_answer_without_its_output_ends_well_and_says_why(steps: Any, why: str):
    heard: list[FinishEvent[Any]] = []
    agent = Agent(
        ScriptedModel(*steps),
        tools=[look_up],
        stop_when=step_count_is(1),
        output=Output.object(Recipe),
        on_finish=heard.append,
    )
    event = await agent.generate("A soup")
    assert event.error is None
    with pytest.raises(Exception, match=why) as raised:
        _ = event.output
    assert isinstance(event.output_error, NoObjectGeneratedError) or "SystemExit" in str(raised.value)
    assert (heard, heard[0].parsed) == ([event], None)
    with pytest.raises(Exception, match=why):
        await agent.stream("A soup").output


async def test_failed_answer_has_its_failure_in_place_of_an_output():
    model = ScriptedModel([ProviderStreamError("broken", provider="scripted")])
    with pytest.raises(ProviderStreamError, match="broken"):
        await stream_text(model, prompt="Hi", output=Output.object(Recipe)).output


async def test_partials_grow_within_the_last_step():
    model = ScriptedModel(
        [*saying("I look.")[:-1], [TextEnd("0")], *calling_tool("look_up", {"dish": "x"})],
        saying('{"name": "So', 'up", "min', 'utes": 20}'),
    )
    agent = Agent(model, tools=[look_up], output=Output.object(Recipe))
    seen = [partial async for partial in agent.stream("A soup").partial_output_stream]
    assert seen == [{"name": "So"}, {"name": "Soup"}, {"name": "Soup", "minutes": 20}]


async def test_partial_is_shown_before_the_text_is_whole():
    hold = Hold()
    model = ScriptedModel([*saying('{"name": "So')[:-1], hold])
    partials = stream_text(model, prompt="Hi", output=Output.object(Recipe)).partial_output_stream
    assert await anext(partials) == {"name": "So"}
    await partials.aclose()
    assert model.open_count == 0


async def test_elements_come_whole_and_checked():
    pieces = '{"elements": [{"name": "Soup"}, {"name": "Ste', 'w", "minutes": 90}]}'
    output = Output.array(Recipe)
    result = stream_text(ScriptedModel(saying(*pieces)), prompt="Hi", output=output)
    whole = [Recipe(name="Soup"), Recipe(name="Stew", minutes=90)]
    assert [element async for element in result.element_stream] == whole
    again = stream_text(ScriptedModel(saying(*pieces)), prompt="Hi", output=output)
    assert [partial async for partial in again.partial_output_stream] == [[whole[0]], whole]


async def test_streams_that_an_answer_does_not_have_are_one_sentence():
    result = stream_text(ScriptedModel(saying("Hi")), prompt="Hi")
    with pytest.raises(ConfigurationError, match="partial_output_stream needs output="):
        await anext(result.partial_output_stream)
    with pytest.raises(ConfigurationError, match=r"element_stream needs output=Output.array"):
        await anext(result.element_stream)


def test_what_is_no_output_is_refused():
    with pytest.raises(ConfigurationError, match="output must be an Output such as"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi", output=Recipe)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="options must be a list of texts"):
        Output.choice("sunny")
    with pytest.raises(ConfigurationError, match="an enum needs values"):
        Output.choice([])


@pytest.mark.parametrize("model_id", ["claude-sonnet-4-6", "claude-sonnet-4-0"])
async def test_provider_is_asked_for_the_form_with_the_tools(model_id: str):
    """One model has a form of its own for it; the other is given a tool whose input is the object."""
    native = model_id == "claude-sonnet-4-6"
    asked = said(call("look_up", {"dish": "Soup"}, id="call-1"), stop="tool_use")
    last = said(text(SOUP)) if native else said(call("json", SOUP, id="call-2"), stop="tool_use")
    async with ReplayServer(asked, last) as server:
        model = anthropic(model_id, base_url=server.url, api_key="none")
        event = await Agent(model, tools=[look_up], output=Output.object(Recipe)).generate("A soup")
        names = [each["name"] for each in server.requests[1].json["tools"]]
    assert event.output == Recipe(name="Soup", minutes=20)
    assert names == (["look_up"] if native else ["look_up", "json"])
    assert event.steps[0].tool_calls[0].output == "Soup: 20 minutes"


@pytest.mark.parametrize("sdk", ["4.3.19", "5.0.0", "5.0.277", "6.0.324", "7.0.173"])
async def test_clients_of_each_major_take_an_answer_with_tools_and_output(sdk: str):
    model = ScriptedModel(calling_tool("look_up", {"dish": "Soup"}), saying(SOUP))
    agent = Agent(model, tools=[look_up], output=Output.object(Recipe), tool_call_concurrency=1)
    app = FastAPI()

    @app.post("/api/chat")
    async def chat(chat: ChatRequest) -> StreamingAnswer:
        return agent.respond(chat, sdk=sdk)

    message = {"id": "1", "role": "user", "content": "Hi", "parts": [{"type": "text", "text": "Hi"}]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://backend") as browser:
        answer = await browser.post("/api/chat", json={"id": "c", "messages": [message]})
    version: Any = tuple(map(int, sdk.split(".")))
    find = find_data_stream_refusals if version[0] == 4 else find_refusals
    assert find(answer.content, version) == []
    assert "Soup" in answer.text
