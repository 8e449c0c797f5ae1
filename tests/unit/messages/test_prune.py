"""`prune_messages`: what a model need not read again."""

from __future__ import annotations

from typing import Any

import pytest

from usechat import prune_messages
from usechat.errors import ConfigurationError
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ReasoningContent,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)


def call(name: str, call_id: str) -> ToolCallContent:
    return ToolCallContent(tool_call_id=call_id, tool_name=name, input={})


def result(name: str, call_id: str) -> ToolResultContent:
    return ToolResultContent(tool_call_id=call_id, tool_name=name, output=ToolResultOutput("text", "ok"))


ASKED = ToolApprovalRequestContent(approval_id="ap", tool_call_id="c1")
ANSWERED = ToolApprovalResponseContent(approval_id="ap", approved=True)
QUESTION = UserMessage((TextContent("Hi"),))
CHAT: list[ModelMessage] = [
    QUESTION,
    AssistantMessage((ReasoningContent("Hm."), call("look", "c1"), ASKED)),
    ToolMessage((ANSWERED, result("look", "c1"))),
    AssistantMessage((ReasoningContent("So."), TextContent("One"), call("read", "c2"))),
    ToolMessage((result("read", "c2"),)),
    AssistantMessage((ReasoningContent("Yes."), TextContent("Two"))),
]


def shown(messages: list[ModelMessage]) -> list[Any]:
    """Names of what is left, message by message."""
    return [[getattr(item, "tool_call_id", None) or type(item).__name__[:4] for item in m.content] for m in messages]  # type: ignore[union-attr]


def test_nothing_is_left_out_unless_it_is_asked_for():
    assert prune_messages(CHAT) == CHAT


@pytest.mark.parametrize(("which", "left"), [("all", 0), ("before-last-message", 1)])
def test_reasoning_is_left_out(which: Any, left: int):
    pruned = prune_messages(CHAT, reasoning=which)
    assert sum(isinstance(item, ReasoningContent) for m in pruned for item in m.content) == left  # type: ignore[union-attr]
    assert len(pruned) == len(CHAT)


@pytest.mark.parametrize(
    ("rule", "left"),
    [
        ("all", [["Text"], ["Reas"], ["Reas", "Text"], ["Reas", "Text"]]),
        ("before-last-message", [["Text"], ["Reas"], ["Reas", "Text"], ["Reas", "Text"]]),
        (2, [["Text"], ["Reas"], ["Reas", "Text", "c2"], ["c2"], ["Reas", "Text"]]),
        (4, shown(CHAT)),
        (100, shown(CHAT)),
        ({"look": "all"}, [["Text"], ["Reas"], ["Reas", "Text", "c2"], ["c2"], ["Reas", "Text"]]),
        (
            {"read": 0, "look": "none"},
            [["Text"], ["Reas", "c1", "c1"], ["Tool", "c1"], ["Reas", "Text"], ["Reas", "Text"]],
        ),
    ],
)
def test_call_goes_with_its_result_and_its_approval(rule: Any, left: list[Any]):
    before = list(CHAT)
    assert shown(prune_messages(CHAT, tool_calls=rule)) == left
    assert before == CHAT


def test_empty_messages_may_stay():
    assert len(prune_messages(CHAT, tool_calls="all", keep_empty=True)) == len(CHAT)


@pytest.mark.parametrize(
    "options", [{"reasoning": "some"}, {"tool_calls": "some"}, {"tool_calls": -1}, {"tool_calls": True}]
)
def test_unknown_rule_is_refused(options: Any):
    with pytest.raises(ConfigurationError, match="must be none, all"):
        prune_messages(CHAT, **options)
