"""Messages in the form that the conventions have for them, for applications that ask for contents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from usechat.answers.loop.results.recorder import StepResult
from usechat.json import write_json
from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ReasoningContent,
    SystemMessage,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    UserMessage,
)
from usechat.models.base import ModelCall

__all__ = ["input_messages", "output_messages", "text_of"]


ROLES: Final[Mapping[type, str]] = {
    SystemMessage: "system",
    UserMessage: "user",
    AssistantMessage: "assistant",
    ToolMessage: "tool",
}


def text_of(value: Any) -> str:
    """Return a value as the text of an attribute: JSON, unless JSON cannot hold it."""
    if isinstance(value, str):
        return value
    try:
        return write_json(value)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def input_messages(call: ModelCall) -> dict[str, Any]:
    """Return the attributes with the messages and instructions of a call."""
    found = {"gen_ai.input.messages": text_of([shown(message) for message in call.messages])}
    if call.system is not None:
        found["gen_ai.system_instructions"] = text_of([{"type": "text", "content": call.system}])
    return found


def output_messages(result: StepResult) -> dict[str, Any]:
    """Return the attribute with the model's message."""
    reason = result.finish_reason.unified
    said = [
        {**shown(message), "finish_reason": reason}
        for message in result.messages
        if isinstance(message, AssistantMessage)
    ]
    return {"gen_ai.output.messages": text_of(said)}


def shown(message: ModelMessage) -> dict[str, Any]:
    parts: Sequence[Any] = [TextContent(message.text)] if isinstance(message, SystemMessage) else message.content
    return {"role": ROLES[type(message)], "parts": [shown_part(part) for part in parts]}


def shown_part(part: Any) -> dict[str, Any]:
    match part:
        case TextContent():
            return {"type": "text", "content": part.text}
        case ReasoningContent():
            return {"type": "reasoning", "content": part.text}
        case ToolCallContent():
            return {"type": "tool_call", "id": part.tool_call_id, "name": part.tool_name, "arguments": part.input}
        case ToolResultContent():
            value = part.output.value
            response = [shown_part(each) for each in value] if part.output.type == "content" else value
            return {"type": "tool_call_response", "id": part.tool_call_id, "response": response}
        case _:
            # Files, in the main: their bytes belong into no trace.
            return {"type": type(part).__name__}
