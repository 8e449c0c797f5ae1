"""Convert tool results that come back with a chat to the model's form, with `Tool.to_model_output`.

Clients keep the original result, so it must be converted again in each request. Upstream: ``convertToModelMessages``
with ``tools`` (``ai/src/ui``, 7.0.173).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from usechat.answers.loop.asks import Call, Script
from usechat.messages.dicts.ai_sdk import read_tool_output
from usechat.messages.model import AssistantMessage, ModelMessage, ToolMessage, ToolResultContent, ToolResultOutput
from usechat.tools.tool import Tool

__all__ = ["convert_outputs"]

logger = logging.getLogger(__name__)


def convert_outputs(messages: Sequence[ModelMessage], tools: Mapping[str, Tool]) -> Script[list[ModelMessage]]:
    """Return the messages. Each result whose tool has ``to_model_output`` is converted."""
    if not any(tool.to_model_output for tool in tools.values()):
        return list(messages)
    converted: list[ModelMessage] = []
    for message in messages:
        converted += [(yield from convert_message(message, tools))]
    return converted


def convert_message(message: ModelMessage, tools: Mapping[str, Tool]) -> Script[ModelMessage]:
    if not isinstance(message, AssistantMessage | ToolMessage):
        return message
    content: list[Any] = []
    for item in message.content:
        if isinstance(item, ToolResultContent):
            output = yield from convert_output(item, tools)
            content.append(msgspec.structs.replace(item, output=output))
        else:
            content.append(item)
    return msgspec.structs.replace(message, content=tuple(content))


def convert_output(result: ToolResultContent, tools: Mapping[str, Tool]) -> Script[ToolResultOutput]:
    tool = tools.get(result.tool_name)
    if tool is None or tool.to_model_output is None or result.output.type not in ("text", "json"):
        return result.output
    try:
        converted: Any = yield Call(tool.to_model_output, (result.output.value,))
    except Exception:
        # The result comes from the client and may be anything; the model then gets it unchanged.
        logger.exception("to_model_output of tool %s failed for a result of an earlier turn", tool.name)
        return result.output
    if isinstance(converted, ToolResultOutput):
        return converted
    if isinstance(converted, Mapping):
        return read_tool_output(converted, f"to_model_output of tool {tool.name}")
    logger.error("to_model_output of tool %s must return a ToolResultOutput", tool.name)
    return result.output
