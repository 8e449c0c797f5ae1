"""The Python backend for ``useChat``: the stream protocols of Vercel's AI SDK 3 to 7, for Anthropic models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usechat.agent import Agent, AgentCall, CallSettings
    from usechat.answers.answer import Answer, FinishEvent
    from usechat.answers.calls.events import StepStartEvent, ToolEndEvent, ToolStartEvent
    from usechat.answers.count_tokens import count_tokens
    from usechat.answers.generate_text import generate_text
    from usechat.answers.loop.request import StepSettings
    from usechat.answers.loop.results.model_response import ModelResponse, RateLimit
    from usechat.answers.loop.results.recorder import StepResult
    from usechat.answers.loop.steering import Steering, SteeringOutcome
    from usechat.answers.objects.answer import ObjectFinishEvent, generate_object, stream_object
    from usechat.answers.objects.output import Output
    from usechat.answers.smooth import smooth_stream
    from usechat.answers.stop import has_tool_call, step_count_is
    from usechat.answers.stream_text import StreamTextResult, stream_text
    from usechat.answers.validate_messages import validate_ui_messages
    from usechat.answers.writer.ui_message_stream import UIMessageStreamWriter, ui_message_stream
    from usechat.conversations.chat_turn import ChatTurn
    from usechat.conversations.chats import Chats
    from usechat.conversations.merge_messages import merge_messages
    from usechat.conversations.turn_ends import TurnEnd
    from usechat.errors import RequestError
    from usechat.http.refusals import handle_refusal
    from usechat.http.request import ChatRequest, CompletionRequest
    from usechat.http.response import StreamingAnswer
    from usechat.http.stream import AnswerStream
    from usechat.ids import generate_id
    from usechat.messages.convert import convert_to_model_messages
    from usechat.messages.dicts.ai_sdk import write_model_message
    from usechat.messages.prune import prune_messages
    from usechat.messages.ui import UIMessage, parse_chat_request, parse_completion_request
    from usechat.models.base import Timeout
    from usechat.tools.approvals import Approve, AskUser, Deny
    from usechat.tools.tool import Tool, ToolContext, tool

__version__ = "0.1.0"

__all__ = [
    "Agent",
    "AgentCall",
    "Answer",
    "AnswerStream",
    "Approve",
    "AskUser",
    "CallSettings",
    "ChatRequest",
    "ChatTurn",
    "Chats",
    "CompletionRequest",
    "Deny",
    "FinishEvent",
    "ModelResponse",
    "ObjectFinishEvent",
    "Output",
    "RateLimit",
    "RequestError",
    "Steering",
    "SteeringOutcome",
    "StepResult",
    "StepSettings",
    "StepStartEvent",
    "StreamTextResult",
    "StreamingAnswer",
    "Timeout",
    "Tool",
    "ToolContext",
    "ToolEndEvent",
    "ToolStartEvent",
    "TurnEnd",
    "UIMessage",
    "UIMessageStreamWriter",
    "convert_to_model_messages",
    "count_tokens",
    "generate_id",
    "generate_object",
    "generate_text",
    "handle_refusal",
    "has_tool_call",
    "merge_messages",
    "parse_chat_request",
    "parse_completion_request",
    "prune_messages",
    "smooth_stream",
    "step_count_is",
    "stream_object",
    "stream_text",
    "tool",
    "ui_message_stream",
    "validate_ui_messages",
    "write_model_message",
]

# Imported on first use, so that `import usechat` alone imports no web framework and no provider's package.
HOMES = {
    "count_tokens": "usechat.answers.count_tokens",
    "prune_messages": "usechat.messages.prune",
    "validate_ui_messages": "usechat.answers.validate_messages",
    "write_model_message": "usechat.messages.dicts.ai_sdk",
    "ModelResponse": "usechat.answers.loop.results.model_response",
    "RateLimit": "usechat.answers.loop.results.model_response",
    "ToolStartEvent": "usechat.answers.calls.events",
    "ToolEndEvent": "usechat.answers.calls.events",
    "StepStartEvent": "usechat.answers.calls.events",
    "Agent": "usechat.agent",
    "AgentCall": "usechat.agent",
    "CallSettings": "usechat.agent",
    "Answer": "usechat.answers.answer",
    "AnswerStream": "usechat.http.stream",
    "Approve": "usechat.tools.approvals",
    "AskUser": "usechat.tools.approvals",
    "ChatRequest": "usechat.http.request",
    "ChatTurn": "usechat.conversations.chat_turn",
    "Chats": "usechat.conversations.chats",
    "CompletionRequest": "usechat.http.request",
    "Deny": "usechat.tools.approvals",
    "FinishEvent": "usechat.answers.answer",
    "RequestError": "usechat.errors",
    "Output": "usechat.answers.objects.output",
    "Steering": "usechat.answers.loop.steering",
    "SteeringOutcome": "usechat.answers.loop.steering",
    "StepResult": "usechat.answers.loop.results.recorder",
    "StepSettings": "usechat.answers.loop.request",
    "StreamTextResult": "usechat.answers.stream_text",
    "StreamingAnswer": "usechat.http.response",
    "Timeout": "usechat.models.base",
    "Tool": "usechat.tools.tool",
    "ToolContext": "usechat.tools.tool",
    "TurnEnd": "usechat.conversations.turn_ends",
    "UIMessage": "usechat.messages.ui",
    "UIMessageStreamWriter": "usechat.answers.writer.ui_message_stream",
    "convert_to_model_messages": "usechat.messages.convert",
    "ObjectFinishEvent": "usechat.answers.objects.answer",
    "generate_id": "usechat.ids",
    "generate_object": "usechat.answers.objects.answer",
    "generate_text": "usechat.answers.generate_text",
    "handle_refusal": "usechat.http.refusals",
    "has_tool_call": "usechat.answers.stop",
    "merge_messages": "usechat.conversations.merge_messages",
    "parse_chat_request": "usechat.messages.ui",
    "parse_completion_request": "usechat.messages.ui",
    "smooth_stream": "usechat.answers.smooth",
    "step_count_is": "usechat.answers.stop",
    "stream_object": "usechat.answers.objects.answer",
    "stream_text": "usechat.answers.stream_text",
    "tool": "usechat.tools.tool",
    "ui_message_stream": "usechat.answers.writer.ui_message_stream",
}


def __getattr__(name: str) -> Any:
    home = HOMES.get(name)
    if name in ("is_step_count", "isStepCount"):
        # AI SDK 7's name. Python replaces the text of an AttributeError where a name is imported.
        raise ImportError(f"usechat has no {name}: write step_count_is", name=__name__)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
