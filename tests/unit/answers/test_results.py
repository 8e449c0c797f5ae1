"""What an answer tells beside its text: sources, reasoning, calls, the provider's response and its warnings."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.replies import said, text, thinking
from usechat import Agent, generate_text, stream_text, tool
from usechat.answers.loop.results.model_response import ModelResponse, RateLimit
from usechat.errors import ConfigurationError, ProviderStreamError
from usechat.models import anthropic
from usechat.parts import File, FinishReason, ModelFinish, SourceUrl, TextDelta, TextEnd, TextStart, Usage
from usechat.testing.models import ScriptedModel, calling_tool, saying
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio

HEADERS = {
    "request-id": "req_1",
    "anthropic-ratelimit-requests-limit": "50",
    "anthropic-ratelimit-requests-remaining": "49",
    "anthropic-ratelimit-requests-reset": "2026-01-01T00:00:00Z",
    "anthropic-ratelimit-input-tokens-remaining": "none",
    "retry-after": "2.5",
}


@tool
async def look_up(dish: str) -> str:
    """Look a dish up."""
    return f"{dish}: 20 minutes"


async def test_text_stream_has_the_text_of_all_steps_as_it_comes():
    first: Any = [
        [TextStart("0")],
        [TextDelta("0", "I look.")],
        [TextEnd("0")],
        *calling_tool("look_up", {"dish": "x"}),
    ]
    model = ScriptedModel(first, saying("Do", "", "ne."))
    seen = [piece async for piece in Agent(model, tools=[look_up]).stream("A soup").text_stream]
    assert seen == ["I look.", "Do", "ne."]


async def test_text_stream_of_a_failed_answer_raises_after_its_text():
    model = ScriptedModel([*saying("Hi")[:-1], ProviderStreamError("broken", provider="scripted")])
    seen: list[str] = []
    stream = stream_text(model, prompt="Hi").text_stream
    seen.append(await anext(stream))
    with pytest.raises(ProviderStreamError, match="broken"):
        await anext(stream)
    assert seen == ["Hi"]


async def test_text_stream_that_is_left_stops_the_model():
    model = ScriptedModel(saying("One", "Two", "Three"))
    stream = stream_text(model, prompt="Hi").text_stream
    assert await anext(stream) == "One"
    await stream.aclose()
    assert model.open_count == 0


async def test_sources_files_and_calls_are_those_of_all_steps():
    found = SourceUrl(source_id="s1", url="https://a.example")
    picture = File(url="data:image/png;base64,aGk=", media_type="image/png")
    model = ScriptedModel([[found, picture], *calling_tool("look_up", {"dish": "soup"})], saying("Done."))
    result = Agent(model, tools=[look_up]).stream("A soup")
    assert list(await result.sources) == [found]
    assert list(await result.files) == [picture]
    assert [(call.tool_name, call.output) for call in await result.tool_calls] == [("look_up", "soup: 20 minutes")]
    assert list(await result.warnings) == []
    assert await result.reasoning_text == ""


async def test_provider_tells_id_model_headers_limits_and_warnings():
    reply = said(thinking("Hm.", signature="sig"), text("Hi"), headers=HEADERS)
    async with ReplayServer(reply) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
        result = stream_text(model, prompt="Hi", temperature=1.5)
        response = await result.model_response
        event = await generate_text(model, prompt="Hi")
    assert (response.id, response.model_id) == ("msg_made", "claude-sonnet-4-6")
    assert (response.request_id, response.retry_after) == ("req_1", 2.5)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.rate_limits == {
        "requests": RateLimit(limit=50, remaining=49, reset="2026-01-01T00:00:00Z"),
        "input-tokens": RateLimit(),
    }
    assert list(await result.warnings) == ["temperature was limited to 1"]
    assert [block.text for block in await result.reasoning] == ["Hm."]
    assert await result.reasoning_text == "Hm."
    assert event.response.request_id == "req_1"
    assert (list(event.warnings), event.reasoning_text, event.steps[0].response.id) == ([], "Hm.", "msg_made")


def test_response_of_a_model_without_headers_tells_nothing():
    response = ModelResponse()
    assert (response.headers, response.rate_limits, response.request_id, response.retry_after) == ({}, {}, None, None)


def test_headers_of_one_name_are_joined_and_odd_ones_passed_over():
    raw = ((b"X-A", b"1"), (b"x-a", b"2"), (b"retry-after", b"soon"), (b"x-ratelimit-remaining-tokens", b"7"))
    response = ModelResponse(raw_headers=raw)
    assert response.headers["x-a"] == "1, 2"
    assert response.retry_after is None
    assert response.rate_limits == {"tokens": RateLimit(remaining=7)}


async def test_headers_and_warnings_of_a_model_of_ones_own_are_told():
    ended = ModelFinish(
        finish_reason=FinishReason("stop", "stop"),
        usage=Usage(),
        headers=((b"request-id", b"r"),),
        warnings=("no top_k",),
    )
    event = await generate_text(
        ScriptedModel([[TextStart("0"), TextDelta("0", "Hi"), TextEnd("0"), ended]]), prompt="Hi"
    )
    assert (event.response.request_id, list(event.warnings)) == ("r", ["no top_k"])


async def test_answer_is_read_once():
    result = stream_text(ScriptedModel(saying("Hi")), prompt="Hi")
    await result.text
    with pytest.raises(ConfigurationError, match="an answer can be read once"):
        await anext(result.text_stream)
