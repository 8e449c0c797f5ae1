"""Masked tool errors and signed thinking, where only the browser holds the history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from usechat import step_count_is, stream_text, tool
from usechat.answers.masked_errors import warn_once
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models.base import ModelCall
from usechat.models.claude.request.request import build_request
from usechat.parts import ReasoningDelta, ReasoningEnd, ReasoningStart
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.options import EncoderOptions
from usechat.testing.models import ScriptedModel, Step, calling_tool, saying

DROPPING = {"prefix_mismatch_behavior": "drop_block"}
BETA = "thinking-binding-controls-2026-08-01"

ASKED = UserMessage((TextContent("?"),))
CALLED = AssistantMessage((ToolCallContent(tool_call_id="c", tool_name="t", input={}),))
THOUGHT = AssistantMessage((ReasoningContent("Hm.", {"anthropic": {"signature": "s"}}), TextContent("No.")))


def result(kind: Any) -> ToolMessage:
    output = ToolResultOutput(kind, "An error occurred.")
    return ToolMessage((ToolResultContent(tool_call_id="c", tool_name="t", output=output),))


FAILED = [ASKED, CALLED, result("error-text"), THOUGHT, ASKED]


@pytest.mark.parametrize(
    ("model", "messages", "thinking", "sent"),
    [
        ("claude-fable-5-1", FAILED, None, {"block_binding": DROPPING}),
        ("claude-opus-5-5", FAILED, {"type": "adaptive"}, {"type": "adaptive", "block_binding": DROPPING}),
        (
            "claude-opus-5-5",
            FAILED,
            {"blockBinding": {"prefixMismatchBehavior": "error"}},
            {"block_binding": {"prefix_mismatch_behavior": "error"}},
        ),
        ("claude-sonnet-5-5", FAILED, {"type": "between_tools"}, {"type": "between_tools"}),
        ("claude-sonnet-4-6", FAILED, {"type": "adaptive"}, {"type": "adaptive"}),
        ("claude-opus-5-5", [ASKED, CALLED, result("text"), THOUGHT, ASKED], None, None),
        ("claude-opus-5-5", [ASKED, THOUGHT, CALLED, result("error-text"), ASKED], None, None),
        # Within one answer the model is told the true text.
        ("claude-opus-5-5", FAILED[:-1], None, None),
    ],
)
def test_claude_is_asked_to_drop_thinking_that_may_not_match(
    model: str, messages: list[ModelMessage], thinking: Any, sent: Any
):
    options = {"anthropic": {"thinking": thinking}} if thinking else None
    request = build_request(ModelCall(messages=messages, provider_options=options), model)
    assert request.body.get("thinking") == sent
    assert (BETA in request.betas) == ("block_binding" in (sent or {}))


@tool
async def fail() -> str:
    """Fail."""
    raise RuntimeError("secret")


def thinking(signature: str | None) -> Step:
    metadata = {"anthropic": {"signature": signature}} if signature else None
    return [[ReasoningStart("r"), ReasoningDelta("r", "Hm."), ReasoningEnd("r", metadata)], *saying("No.")]


@pytest.fixture
def never_warned() -> Iterator[None]:
    warn_once.cache_clear()
    yield
    warn_once.cache_clear()


@pytest.mark.anyio
@pytest.mark.usefixtures("never_warned")
@pytest.mark.parametrize(
    ("steps", "options", "is_warned"),
    [
        ([calling_tool("fail"), thinking("s")], {}, True),
        ([calling_tool("fail", '{"an input that is no JSON'), thinking("s")], {}, True),
        ([calling_tool("fail"), thinking(None)], {}, False),
        ([calling_tool("fail"), saying("No.")], {}, False),
        ([[*thinking("s")[:1], *calling_tool("fail")], saying("No.")], {}, False),
        ([calling_tool("fail"), thinking("s")], {"tool_errors": "shown"}, False),
        ([calling_tool("fail"), thinking("s")], {"send_reasoning": False}, False),
    ],
)
async def test_signed_thinking_after_a_masked_error_is_warned_of_once(
    steps: list[Step], options: dict[str, Any], is_warned: bool, caplog: pytest.LogCaptureFixture
):
    for _ in range(2):
        answer = stream_text(ScriptedModel(*steps), prompt="?", tools=[fail], stop_when=step_count_is(2))
        answer.bind(Dialect(NEWEST[7], exact=True), EncoderOptions(**options))
        await answer.ui_message
    assert caplog.text.count("does not match that thinking") == is_warned
