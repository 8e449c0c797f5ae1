"""Conversations and the request that is made of them."""

from __future__ import annotations

import base64
from typing import Any

from usechat.messages.model import (
    AssistantMessage,
    FileContent,
    ModelMessage,
    TextContent,
    ToolCallContent,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models.base import FunctionTool, ModelCall
from usechat.models.claude.request.request import AnthropicRequest, build_request
from usechat.testing.messages_api_rules import find_violations

Json = Any

QUESTION = UserMessage((TextContent("Weather?"),))

WEATHER = FunctionTool(name="get_weather", description="The weather.", input_schema={"type": "object"})

CACHE = {"anthropic": {"cacheControl": {"type": "ephemeral"}}}

SONNET = "claude-sonnet-4-5"


def request(*messages: ModelMessage, model_id: str = "a-model", options: Json = None, **call: Any) -> AnthropicRequest:
    provider_options = None if options is None else {"anthropic": options}
    return build_request(
        ModelCall(messages=messages or [QUESTION], provider_options=provider_options, **call), model_id
    )


def messages_of(*messages: ModelMessage, **call: Any) -> Json:
    built = request(*messages, **call)
    assert find_violations(built.body) == []
    return built.body["messages"]


def called(call_id: str = "toolu_1", name: str = "get_weather", given: Json = None, **more: Any) -> ToolCallContent:
    return ToolCallContent(tool_call_id=call_id, tool_name=name, input={} if given is None else given, **more)


def answered(call_id: str = "toolu_1", name: str = "get_weather", kind: Any = "json", value: Json = None, **more: Any):
    return ToolResultContent(tool_call_id=call_id, tool_name=name, output=ToolResultOutput(kind, value), **more)


def said(*texts: str) -> AssistantMessage:
    return AssistantMessage(tuple(TextContent(text) for text in texts))


def user_turn(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks)}


def text_block(text: str) -> Json:
    return {"type": "text", "text": text}


NOTHING: Json = {}


def file(media_type: str, data: bytes | None = None, **more: Any) -> FileContent:
    encoded = None if data is None else base64.b64encode(data).decode()
    return FileContent(media_type=media_type, data=encoded, **more)


def ran(name: str, given: Json, kind: Any, value: Json, metadata: Json = None) -> AssistantMessage:
    options = None if metadata is None else {"anthropic": metadata}
    made = called("srvtoolu_1", name, given, provider_executed=True, provider_options=options)
    return AssistantMessage((made, answered("srvtoolu_1", name, kind, value, provider_options=options)))


HIT: Json = {"type": "web_search_result", "url": "u", "title": "t", "pageAge": None, "encryptedContent": "e"}
