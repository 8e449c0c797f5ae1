"""What the model said, called and got, as the API takes it."""

from __future__ import annotations

import pytest

from tests.unit.models.claude.request.conversations import (
    QUESTION,
    Json,
    answered,
    called,
    file,
    messages_of,
    request,
    text_block,
    user_turn,
)
from usechat.messages.model import (
    AssistantMessage,
    CustomContent,
    ReasoningContent,
    TextContent,
    ToolApprovalResponseContent,
    ToolMessage,
)
from usechat.models.base import ProviderTool


def test_reasoning_goes_back_with_its_signature_and_without_one_not_at_all():
    content = (
        ReasoningContent("why", {"anthropic": {"signature": "s"}}),
        ReasoningContent("", {"anthropic": {"redactedData": "d"}}),
        ReasoningContent("stopped"),
        TextContent("so"),
    )
    turn = messages_of(QUESTION, AssistantMessage(content), QUESTION)[1]
    assert turn["content"] == [
        {"type": "thinking", "thinking": "why", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        text_block("so"),
    ]
    silent = messages_of(QUESTION, AssistantMessage(content), QUESTION, options={"sendReasoning": False})
    assert silent[1]["content"] == [text_block("so")]


def test_an_answer_that_ends_in_thinking_ends_before_it():
    thinking = ReasoningContent("why", {"anthropic": {"signature": "s"}})
    assert messages_of(QUESTION, AssistantMessage((TextContent("a"), thinking)), QUESTION)[1]["content"] == [
        text_block("a")
    ]
    assert messages_of(QUESTION, AssistantMessage((thinking,)), QUESTION) == [user_turn(text_block("Weather?"))] * 2


def test_text_keeps_its_citations_and_compactions_their_kind():
    citation = {"type": "char_location", "cited_text": "c"}
    content = (
        TextContent("sum", {"anthropic": {"type": "compaction"}}),
        TextContent("signed", {"anthropic": {"type": "compaction", "signature": "s"}}),
        TextContent("so", {"anthropic": {"citations": [citation]}}),
        TextContent("odd", {"anthropic": {"citations": ["x"]}}),
    )
    built = request(QUESTION, AssistantMessage(content), QUESTION)
    assert built.body["messages"][1]["content"] == [
        {"type": "compaction", "content": "sum"},
        {"type": "compaction", "content": "signed", "signature": "s"},
        {**text_block("so"), "citations": [citation]},
        text_block("odd"),
    ]
    assert built.betas == ("compact-2026-09-04",)


def test_fallbacks_go_back_and_other_custom_parts_do_not():
    models = {"from": {"model": "a"}, "to": {"model": "b"}}
    content = (
        CustomContent("anthropic.fallback", {"anthropic": models}),
        CustomContent("anthropic.fallback", {"anthropic": {"from": {}}}),
        CustomContent("anthropic.message_start"),
        file("image/png", b"x"),
        TextContent("so"),
    )
    built = request(QUESTION, AssistantMessage(content), QUESTION)
    assert built.body["messages"][1]["content"] == [{"type": "fallback", **models}, text_block("so")]
    assert built.betas == ("server-side-fallback-2026-06-01",)


def test_calls_go_to_the_end_of_what_lies_between_two_thoughts():
    def thought(words: str) -> ReasoningContent:
        return ReasoningContent(words, {"anthropic": {"signature": "s"}})

    content = (thought("1"), called("toolu_1"), TextContent("a"), thought("2"), called("toolu_2"), TextContent("b"))
    results = ToolMessage((answered("toolu_1"), answered("toolu_2")))
    turn = messages_of(QUESTION, AssistantMessage(content), results)[1]
    assert [block["type"] for block in turn["content"]] == [
        "thinking",
        "text",
        "tool_use",
        "thinking",
        "text",
        "tool_use",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"a": 1}, {"a": 1}),
        ('{"a": 1}', {"a": 1}),
        ('{"a": ', {"rawInvalidInput": '{"a": '}),
        ("[1]", {"rawInvalidInput": "[1]"}),
        ([1], {"rawInvalidInput": [1]}),
        (5, {"rawInvalidInput": 5}),
    ],
)
def test_inputs_of_calls_are_objects(given: Json, expected: Json):
    turns = messages_of(QUESTION, AssistantMessage((called(given=given),)), ToolMessage((answered(),)))
    assert turns[1]["content"][0]["input"] == expected


@pytest.mark.parametrize(
    ("kind", "value", "content", "is_error"),
    [
        ("text", "hi", "hi", None),
        ("json", {"a": [18.0, None]}, '{"a":[18,null]}', None),
        ("json", None, "null", None),
        ("error-text", "no", "no", True),
        ("error-json", {"a": 1}, '{"a":1}', True),
        ("execution-denied", None, "Tool call execution denied.", None),
        ("execution-denied", "no", "no", None),
        (
            "content",
            (
                TextContent("see"),
                TextContent(" "),
                file("image/png", b"x"),
                file("text/plain", b" "),
                CustomContent("ref", {"anthropic": {"type": "tool-reference", "toolName": "t"}}),
                CustomContent("other"),
            ),
            [
                text_block("see"),
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "eA=="}},
                {"type": "tool_reference", "tool_name": "t"},
            ],
            None,
        ),
    ],
)
def test_results_of_calls(kind: str, value: Json, content: Json, is_error: bool | None):
    result = answered(kind=kind, value=value)
    turns = messages_of(QUESTION, AssistantMessage((called(),)), ToolMessage((result,)))
    expected = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content}
    assert turns[2] == user_turn(expected if is_error is None else {**expected, "is_error": True})


def test_decisions_of_the_user_are_not_sent():
    decision = ToolApprovalResponseContent(approval_id="a", approved=True)
    turns = messages_of(QUESTION, AssistantMessage((called(),)), ToolMessage((decision, answered())))
    assert [block["type"] for block in turns[2]["content"]] == ["tool_result"]


def test_members_of_a_toolset_are_called_by_their_own_names():
    computer = ProviderTool(
        id="anthropic.computer_toolset_20260801", name="screen", args={"configs": {"wait": {"deferLoading": True}}}
    )
    history = (
        QUESTION,
        AssistantMessage((called("toolu_1", "screen", {"action": "left_click"}), called("toolu_2", "screen"))),
        ToolMessage((answered("toolu_1", "screen"), answered("toolu_2", "screen"))),
    )
    body = request(*history, tools=[computer]).body
    calls = body["messages"][1]["content"]
    assert [(block["name"], block["toolset_name"]) for block in calls] == [
        ("left_click", "computer"),
        ("computer", "computer"),
    ]
    assert {block["toolset_name"] for block in body["messages"][2]["content"]} == {"computer"}
    assert body["tools"] == [{"type": "computer_toolset_20260801", "configs": {"wait": {"defer_loading": True}}}]
