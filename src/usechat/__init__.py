"""The Python backend for ``useChat``: the stream protocols of Vercel's AI SDK 3 to 7, for Anthropic models."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from usechat.fastapi import ChatRequest, CompletionRequest, StreamingAnswer
    from usechat.generate.answer import Answer, FinishEvent
    from usechat.generate.approvals import Approve, AskUser, Deny
    from usechat.generate.generate_text import generate_text
    from usechat.generate.loop_request import StepSettings
    from usechat.generate.objects import ObjectFinishEvent, generate_object, stream_object
    from usechat.generate.recorder import StepResult
    from usechat.generate.smooth import smooth_stream
    from usechat.generate.steering import Steering, SteeringOutcome
    from usechat.generate.stop import has_tool_call, step_count_is
    from usechat.generate.stream_text import StreamTextResult, stream_text
    from usechat.generate.tools import Tool, ToolContext, tool
    from usechat.generate.ui_stream import UIMessageStreamWriter, ui_message_stream
    from usechat.ids import generate_id
    from usechat.messages.convert import convert_to_model_messages
    from usechat.messages.ui import UIMessage
    from usechat.models.base import Timeout

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "Approve",
    "AskUser",
    "ChatRequest",
    "CompletionRequest",
    "Deny",
    "FinishEvent",
    "ObjectFinishEvent",
    "Steering",
    "SteeringOutcome",
    "StepResult",
    "StepSettings",
    "StreamTextResult",
    "StreamingAnswer",
    "Timeout",
    "Tool",
    "ToolContext",
    "UIMessage",
    "UIMessageStreamWriter",
    "convert_to_model_messages",
    "generate_id",
    "generate_object",
    "generate_text",
    "has_tool_call",
    "smooth_stream",
    "step_count_is",
    "stream_object",
    "stream_text",
    "tool",
    "ui_message_stream",
]

# Loaded when asked for: an import of the package alone brings no web framework and no provider's package.
HOMES = {
    "Answer": "usechat.generate.answer",
    "Approve": "usechat.generate.approvals",
    "AskUser": "usechat.generate.approvals",
    "ChatRequest": "usechat.fastapi",
    "CompletionRequest": "usechat.fastapi",
    "Deny": "usechat.generate.approvals",
    "FinishEvent": "usechat.generate.answer",
    "Steering": "usechat.generate.steering",
    "SteeringOutcome": "usechat.generate.steering",
    "StepResult": "usechat.generate.recorder",
    "StepSettings": "usechat.generate.loop_request",
    "StreamTextResult": "usechat.generate.stream_text",
    "StreamingAnswer": "usechat.fastapi",
    "Timeout": "usechat.models.base",
    "Tool": "usechat.generate.tools",
    "ToolContext": "usechat.generate.tools",
    "UIMessage": "usechat.messages.ui",
    "UIMessageStreamWriter": "usechat.generate.ui_stream",
    "convert_to_model_messages": "usechat.messages.convert",
    "ObjectFinishEvent": "usechat.generate.objects",
    "generate_id": "usechat.ids",
    "generate_object": "usechat.generate.objects",
    "generate_text": "usechat.generate.generate_text",
    "has_tool_call": "usechat.generate.stop",
    "smooth_stream": "usechat.generate.smooth",
    "step_count_is": "usechat.generate.stop",
    "stream_object": "usechat.generate.objects",
    "stream_text": "usechat.generate.stream_text",
    "tool": "usechat.generate.tools",
    "ui_message_stream": "usechat.generate.ui_stream",
}


def __getattr__(name: str) -> Any:
    home = HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value
