"""Build the request to Anthropic's Messages API for a model call.

Pure: turns model messages, tools and settings into a JSON body and the beta features it needs. For a history that AI
SDK 7 accepts, the body is the same as the body of its Anthropic provider; other histories are repaired
(`usechat.models.claude.request.repairs`). Knows no HTTP and no client.

Source: ``@ai-sdk/anthropic/src/anthropic-language-model.ts`` and ``convert-to-anthropic-prompt.ts`` (4.0.105).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from usechat.errors import ConfigurationError, RequestError
from usechat.json import replace_lone_surrogates
from usechat.messages.model import (
    AssistantMessage,
    FileContent,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from usechat.models.base import FunctionTool, ModelCall, ToolDefinition
from usechat.models.claude.catalog import ModelCapabilities, model_capabilities
from usechat.models.claude.keys import CacheBreakpoints
from usechat.models.claude.names import illegal_keys
from usechat.models.claude.request.blocks import assistant_blocks, tool_blocks, user_blocks
from usechat.models.claude.request.context import Block, BlockContext
from usechat.models.claude.request.files import has_citations
from usechat.models.claude.request.options import Settings, is_thinking, resolve_settings, uses_native_output
from usechat.models.claude.request.repairs import repair_messages
from usechat.models.claude.request.repairs.turns import SERVER_USES
from usechat.models.claude.request.system import system_message
from usechat.models.claude.request.tools import (
    PreparedTools,
    ToolSettings,
    prepare_tools,
    provider_tool_names,
    toolset_names,
)
from usechat.models.claude.response.citations import CitationDocument
from usechat.models.object_schema import object_schema

__all__ = ["AnthropicRequest", "build_request"]

_JSON_TOOL: Final = "json"


class AnthropicRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request, and the facts about it that the reader of the answer needs."""

    body: dict[str, Any]
    """The JSON body, with ``stream`` set."""
    content: bytes | None = None
    """The body as JSON text; ``None`` when it has values that only the ``anthropic`` package can encode."""
    betas: tuple[str, ...] = ()
    """Values for the ``anthropic-beta`` header."""
    warnings: tuple[str, ...] = ()
    """Texts for the log about settings and content that were changed or left out."""
    citation_documents: tuple[CitationDocument, ...] = ()
    uses_json_tool: bool = False
    """Whether the answer is the input of a tool called ``json``."""
    tool_names: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """Maps Anthropic's names of its own tools to the application's names."""


def build_request(call: ModelCall, model_id: str) -> AnthropicRequest:
    """Return the request for one model call.

    Raises:
        RequestError: The messages hold nothing to answer, or a file that Anthropic cannot read.
    """
    capabilities = model_capabilities(model_id)
    settings = resolve_settings(call, model_id, capabilities)
    cache = CacheBreakpoints()
    context = BlockContext(
        cache=cache,
        tool_names=provider_tool_names(call.tools),
        toolsets=toolset_names(call.tools),
        sends_reasoning=settings.sends_reasoning,
    )
    system, wire = _convert_messages(call, context)
    takes_prefill = capabilities.takes_prefill and not is_thinking(settings.thinking_type)
    takes_repeated_ids = not capabilities.is_known and "claude-" not in model_id
    messages = repair_messages(wire, takes_prefill=takes_prefill, takes_repeated_ids=takes_repeated_ids)
    if all(message["role"] == "system" for message in messages):
        raise RequestError("There is nothing in the messages to answer.", path="messages", status=400)
    uses_json_tool = call.response_format is not None and not uses_native_output(
        call, settings.structured_output_mode, capabilities
    )
    tools = _prepare(call, settings, capabilities, cache, uses_json_tool=uses_json_tool)
    # A continued thread keeps the instructions and tools of its first request.
    starts_afresh = settings.body.get("thread", {}).get("type") != "continue"
    body, content = _encoded(
        {
            **settings.body,
            **_mcp_fields(call, settings, tools, uses_json_tool=uses_json_tool),
            **({"system": system} if system and starts_afresh else {}),
            "messages": messages,
            **(_tool_fields(tools, messages) if starts_afresh else _choice_field(tools)),
            "stream": True,
        }
    )
    return AnthropicRequest(
        body=body,
        content=content,
        betas=tuple(dict.fromkeys([*context.betas, *settings.betas, *tools.betas])),
        warnings=(*settings.warnings, *context.warnings, *tools.warnings, *cache.warnings),
        citation_documents=_citation_documents(context.user_files),
        uses_json_tool=uses_json_tool,
        tool_names=context.tool_names,
    )


# Messages


def _convert_messages(call: ModelCall, context: BlockContext) -> tuple[list[Block], list[dict[str, Any]]]:
    own = [SystemMessage(call.system)] if call.system else []
    system: list[Block] = []
    wire: list[dict[str, Any]] = []
    newest = call.messages[-1] if call.messages else None
    for message in (*own, *call.messages):
        context.is_newest = message is newest
        if isinstance(message, SystemMessage):
            converted = system_message(message, context, is_initial=not wire or not system)
            system += converted.initial
            wire += converted.inline
        else:
            wire.append(_convert_message(message, context))
    if context.unanswered:
        wire = [_without_calls(message, context.unanswered) for message in wire]
    if isinstance(newest, UserMessage) and not wire[-1]["content"]:
        # Without a user message at the end, the model would continue its own last answer.
        raise RequestError("The last message says nothing to the model.", path="messages", status=400)
    return system, wire


def _convert_message(message: UserMessage | AssistantMessage | ToolMessage, context: BlockContext) -> dict[str, Any]:
    match message:
        case UserMessage():
            return {"role": "user", "content": user_blocks(message, context)}
        case AssistantMessage():
            return {"role": "assistant", "content": assistant_blocks(message, context)}
        case ToolMessage():
            return {"role": "user", "content": tool_blocks(message, context)}


def _without_calls(message: dict[str, Any], ids: Collection[str]) -> dict[str, Any]:
    """Return the message without these calls of the provider's tools. The model would wait for their results."""
    content = [block for block in message["content"] if block["type"] not in SERVER_USES or block["id"] not in ids]
    return {**message, "content": content} if message["role"] == "assistant" else message


def _citation_documents(files: Sequence[FileContent]) -> tuple[CitationDocument, ...]:
    return tuple(
        CitationDocument(file.filename or "Untitled Document", file.media_type, file.filename)
        for file in files
        if has_citations(file) and (file.media_type == "application/pdf" or file.media_type.startswith("text/"))
    )


# Tools


def _prepare(
    call: ModelCall,
    settings: Settings,
    capabilities: ModelCapabilities,
    cache: CacheBreakpoints,
    *,
    uses_json_tool: bool,
) -> PreparedTools:
    tool_settings = ToolSettings(
        streams_input=settings.streams_tool_input,
        has_strict_tools=capabilities.has_structured_output,
        announces_structured_output=capabilities.has_structured_output and not uses_json_tool,
        can_force_tools=capabilities.can_force_tools and settings.thinking_type != "enabled",
        disables_parallel_use=True if uses_json_tool else settings.disables_parallel_tool_use,
    )
    if not uses_json_tool:
        return prepare_tools(call.tools, call.tool_choice, tool_settings, cache)
    return prepare_tools([*_allowed_tools(call), _json_tool(call)], "required", tool_settings, cache)


def _allowed_tools(call: ModelCall) -> Sequence[ToolDefinition]:
    choice = call.tool_choice or "auto"
    if choice.startswith("tool:"):
        return [tool for tool in call.tools if tool.name == choice.removeprefix("tool:")]
    return [] if choice == "none" else call.tools


def _json_tool(call: ModelCall) -> FunctionTool:
    schema: Mapping[str, Any] = {} if call.response_format is None else call.response_format.json_schema
    if illegal := illegal_keys(schema):
        # The input streams to the client as text, so a replaced key could not be restored.
        raise ConfigurationError(
            f"this model takes a schema as a tool's, which can have no property called {illegal[0]!r}: "
            "give it another name, or an alias of a-z, A-Z, 0-9, _ and -"
        )
    schema = object_schema(schema)
    return FunctionTool(name=_JSON_TOOL, description="Respond with a JSON object.", input_schema=schema)


def _tool_fields(tools: PreparedTools, messages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    if tools.tools is None:
        # "Requests which include `tool_use` or `tool_result` blocks must define tools."
        names = dict.fromkeys(
            block["name"] for message in messages for block in message["content"] if block["type"] == "tool_use"
        )
        declared = [{"name": name, "input_schema": {"type": "object"}} for name in names]
        return {"tools": declared, "tool_choice": {"type": "none"}} if declared else {}
    return {"tools": tools.tools, **_choice_field(tools)}


def _choice_field(tools: PreparedTools) -> dict[str, Any]:
    return {} if tools.tool_choice is None else {"tool_choice": tools.tool_choice}


def _mcp_fields(call: ModelCall, settings: Settings, tools: PreparedTools, *, uses_json_tool: bool) -> dict[str, Any]:
    """Return the MCP servers, disabled if the tool choice excludes them but the request cannot express that choice."""
    choice = call.tool_choice or "auto"
    is_softened = uses_json_tool or (tools.tool_choice or {}).get("type") == "auto"
    undoes = (choice.startswith("tool:") and is_softened) or (choice == "none" and uses_json_tool)
    servers = settings.body.get("mcp_servers")
    if not undoes or not servers:
        return {}
    off = (
        {**server, "tool_configuration": {**server.get("tool_configuration", {}), "enabled": False}}
        for server in servers
    )
    return {"mcp_servers": list(off)}


def _encoded(body: dict[str, Any]) -> tuple[dict[str, Any], bytes | None]:
    """Return the body and its JSON text. Lone surrogates are replaced, because UTF-8 has no encoding for them."""
    try:
        return body, msgspec.json.encode(body)
    except (UnicodeEncodeError, OverflowError, TypeError):
        pass
    clean = replace_lone_surrogates(body)
    try:
        return clean, msgspec.json.encode(clean)
    except (OverflowError, TypeError):
        return clean, None
