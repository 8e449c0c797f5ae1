"""Histories that are mended for the API, and breakpoints of its cache."""

from __future__ import annotations

import pytest

from tests.unit.models.claude.request.conversations import (
    CACHE,
    HIT,
    QUESTION,
    SONNET,
    Json,
    answered,
    called,
    messages_of,
    ran,
    request,
    said,
    text_block,
    user_turn,
)
from usechat.messages.model import AssistantMessage, ReasoningContent, TextContent, ToolMessage, UserMessage
from usechat.models.base import FunctionTool

# Repairs


def test_a_call_without_a_result_gets_one_that_says_so():
    turns = messages_of(
        QUESTION,
        AssistantMessage((called("toolu_1"), called("toolu_2"))),
        ToolMessage((answered("toolu_2"),)),
        QUESTION,
    )
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "null"},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_1",
            "content": "The tool call was interrupted. It may have taken effect.",
            "is_error": True,
        },
        text_block("Weather?"),
    ]
    last = messages_of(QUESTION, AssistantMessage((called(),)))[2]["content"]
    assert [block["type"] for block in last] == ["tool_result"]


def test_a_result_without_a_call_and_a_second_one_go():
    turns = messages_of(
        QUESTION, AssistantMessage((called(),)), ToolMessage((answered(value=1), answered(value=2), answered("x")))
    )
    assert [block["content"] for block in turns[2]["content"]] == ["1"]
    assert messages_of(ToolMessage((answered(),)), QUESTION) == [user_turn(text_block("Weather?"))]


def test_results_stand_before_what_the_user_says():
    turns = messages_of(
        QUESTION, AssistantMessage((called(),)), UserMessage((TextContent("hi"),)), ToolMessage((answered(),))
    )
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result", "text"]


def test_ids_are_used_once_and_match_their_patterns():
    twice = AssistantMessage((called("a b"), called("a b")))
    history = (QUESTION, twice, ToolMessage((answered("a b"),)), QUESTION, twice, ToolMessage((answered("a b"),)))
    turns = messages_of(*history, model_id=SONNET)
    assert [block["id"] for turn in (turns[1], turns[3]) for block in turn["content"]] == ["a_b", "a_b_2"]
    assert [turn["content"][0]["tool_use_id"] for turn in (turns[2], turns[4])] == ["a_b", "a_b_2"]
    foreign = ran("web_search", {}, "json", [HIT])
    foreign = AssistantMessage(tuple(_with_id(part, "toolu-x") for part in foreign.content))
    assert messages_of(QUESTION, foreign, QUESTION)[1]["content"][1]["tool_use_id"] == "srvtoolu_toolu_x"


def test_another_servers_ids_may_come_again_in_a_later_turn_but_not_in_the_same_one():
    twice = AssistantMessage((called("call_0"), called("call_0")))
    results = ToolMessage((answered("call_0"),))
    turns = request(QUESTION, twice, results, QUESTION, twice, results, model_id="qwen3").body["messages"]
    assert [block["id"] for turn in (turns[1], turns[3]) for block in turn["content"]] == ["call_0", "call_0"]
    assert [turn["content"][0]["tool_use_id"] for turn in (turns[2], turns[4])] == ["call_0", "call_0"]


def _with_id(part: Json, call_id: str) -> Json:
    fields = {name: getattr(part, name) for name in part.__struct_fields__}
    return type(part)(**{**fields, "tool_call_id": call_id})


def test_names_of_tools_match_their_pattern():
    history = (QUESTION, AssistantMessage((called(name="get weather!"), called("toolu_2", ""))), QUESTION)
    assert [block["name"] for block in messages_of(*history)[1]["content"]] == ["get_weather_", "unknown"]


def test_neighbours_of_one_role_are_one_turn_and_the_user_begins():
    assert messages_of(said("Hi!"), said("How can I help?"), QUESTION, UserMessage((TextContent("?"),))) == [
        user_turn(text_block("(The assistant spoke first.)")),
        {"role": "assistant", "content": [text_block("Hi!"), text_block("How can I help?")]},
        user_turn(text_block("Weather?"), text_block("?")),
    ]


def test_what_was_said_before_and_after_an_empty_answer_stays_apart():
    assert messages_of(QUESTION, said(" "), QUESTION) == [user_turn(text_block("Weather?"))] * 2
    assert messages_of(said(""), QUESTION) == [user_turn(text_block("Weather?"))]


def test_an_unfinished_answer_is_gone_on_with_or_asked_for():
    assert messages_of(QUESTION, said(" It is ", " \n"))[1]["content"] == [text_block("It is")]
    for case in ({"model_id": "claude-sonnet-4-6"}, {"options": {"thinking": {"type": "enabled"}}}):
        assert messages_of(QUESTION, said("It is "), **case)[2] == user_turn(text_block("Continue."))


# Caching


def test_cache_breakpoints_of_parts_messages_and_tools_are_four_at_most():
    history = (
        UserMessage((TextContent("a", CACHE), TextContent("b")), CACHE),
        AssistantMessage(
            (ReasoningContent("r", {"anthropic": {"signature": "s", **CACHE["anthropic"]}}), called()), CACHE
        ),
        ToolMessage((answered(),), CACHE),
    )
    built = request(*history, tools=[FunctionTool(name="t", provider_options=CACHE)])
    blocks = [block for message in built.body["messages"] for block in message["content"]]
    assert [block["type"] for block in blocks if "cache_control" in block] == [
        "text",
        "text",
        "tool_use",
        "tool_result",
    ]
    assert "cache_control" not in built.body["tools"][0]
    assert any("thinking" in warning for warning in built.warnings)
    assert any("breakpoints" in warning for warning in built.warnings)


@pytest.mark.parametrize("control", ["yes", {"type": "eternal"}, {"type": "ephemeral", "ttl": "9h"}])
def test_what_is_no_cache_control_is_ignored(control: Json):
    content = (TextContent("a", {"anthropic": {"cacheControl": control}}),)
    assert messages_of(UserMessage(content)) == [user_turn(text_block("a"))]


def test_a_cache_can_live_an_hour():
    control = {"type": "ephemeral", "ttl": "1h"}
    content = (TextContent("a", {"anthropic": {"cache_control": control}}),)
    assert messages_of(UserMessage(content)) == [user_turn({**text_block("a"), "cache_control": control})]
