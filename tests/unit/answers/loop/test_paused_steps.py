"""Steps in which the provider pauses its model (``pause_turn``): the model goes on, within the limits of steps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.answers.loop.model_turns import GUESSED, WEATHER, answer, ended
from usechat import generate_text, step_count_is, stream_text
from usechat.models import anthropic
from usechat.parts import FinishReason, TextDelta, TextEnd, TextStart
from usechat.testing.models import ScriptedModel, Step, calling_tool, saying
from usechat.testing.replay import ReplayServer, Reply
from usechat.tools import web_search

pytestmark = pytest.mark.anyio

PAUSED: Step = [[TextStart("0"), TextDelta("0", "Let me look."), TextEnd("0"), ended("stop", "pause_turn")]]
USAGE = {"input_tokens": 1, "output_tokens": 1}


def paused_stream(block: dict[str, Any]) -> Reply:
    return Reply(
        events=[
            {"type": "message_start", "message": {"id": "msg_1", "model": "m", "content": [], "usage": USAGE}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "pause_turn"}, "usage": USAGE},
            {"type": "message_stop"},
        ]
    )


async def test_paused_answer_goes_on():
    done = await answer(PAUSED, PAUSED, saying("And so on."), policy=GUESSED)
    assert done.turn.outcome().finish_reason == FinishReason("stop", "stop")
    assert [step.text for step in done.turn.steps] == ["Let me look.", "Let me look.", "And so on."]
    assert len(done.model.calls[1].messages) == 2


async def test_pauses_count_for_a_limit_of_steps_that_was_set():
    result = await generate_text(ScriptedModel(PAUSED), prompt="Hi", stop_when=step_count_is(3))
    assert len(result.steps) == 3


async def test_answer_without_a_limit_of_its_own_goes_on_after_a_pause_and_ends_after_its_step():
    model = ScriptedModel(PAUSED, calling_tool("get_weather", {"city": "Oslo"}), saying("Not asked."))
    result = await generate_text(model, prompt="Hi", tools=[WEATHER])
    assert [step.finish_reason.raw for step in result.steps] == ["pause_turn", "tool-calls"]


async def test_pauses_without_end_end():
    result = await generate_text(ScriptedModel(PAUSED), prompt="Hi", tools=[WEATHER])
    assert len(result.steps) == 11


async def test_pause_ends_the_answer_where_it_is_not_to_be_continued():
    model = ScriptedModel(PAUSED, saying("More."))
    result = stream_text(model, prompt="Hi", continue_paused=False, stop_when=step_count_is(5))
    assert await result.text == "Let me look."
    assert len(model.calls) == 1


async def test_paused_call_of_the_provider_is_sent_back_for_it_to_go_on():
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tides"}}
    with ReplayServer(paused_stream(search), Reply("text")) as server:
        model = anthropic("claude-sonnet-4-6", api_key="none", base_url=server.url)
        result = await generate_text(model, prompt="Hi", tools=[web_search()])
        asked = [request.json["messages"] for request in server.requests]
    assert [len(messages) for messages in asked] == [1, 2]
    assert asked[1][-1] == {"role": "assistant", "content": [search]}
    assert result.text == "High water is at 14:20 in Whitby."


async def test_paused_call_of_an_mcp_server_is_sent_back_although_the_application_has_no_tools():
    call = {"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "echo", "server_name": "srv", "input": {"a": 1}}
    servers = [{"type": "url", "name": "srv", "url": "https://mcp.example.com"}]
    with ReplayServer(paused_stream(call), Reply("text")) as server:
        model = anthropic("claude-sonnet-4-6", api_key="none", base_url=server.url)
        result = await generate_text(model, prompt="Hi", provider_options={"anthropic": {"mcpServers": servers}})
        asked = [request.json["messages"] for request in server.requests]
    assert [len(messages) for messages in asked] == [1, 2]
    assert asked[1][-1] == {"role": "assistant", "content": [call]}
    assert len(result.steps) == 2
