"""Convert the content of model messages to content blocks of the Messages API.

Each kind of content has a small converter, which sees one piece of content only.
`usechat.models.claude.request.repairs` handles the rules between blocks (order, pairs of calls and results, turns).

Source: ``@ai-sdk/anthropic/src/convert-to-anthropic-prompt.ts`` (4.0.105).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from usechat.json import parse_json, write_json
from usechat.messages.call_words import DENIED, FAILED, words_or
from usechat.messages.model import (
    AssistantContent,
    AssistantMessage,
    CustomContent,
    FileContent,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.models.claude.keys import anthropic_options
from usechat.models.claude.request.context import Block, BlockContext
from usechat.models.claude.request.files import file_or_note
from usechat.models.claude.request.server_tools import (
    MCP_TOOL_USE,
    mcp_result_block,
    mcp_use_block,
    server_result_block,
    server_use_block,
)
from usechat.models.claude.request.tools import provider_tool_name

__all__ = ["assistant_blocks", "tool_blocks", "user_blocks"]

_CALLERS: Final = ("code_execution_20250825", "code_execution_20260120")


def user_blocks(message: UserMessage, context: BlockContext) -> list[Block]:
    """Return the blocks of a user message; blank text is left out.

    Raises:
        RequestError: The newest message has a file that Anthropic does not accept.
    """
    last = _last_spoken(message) if message.provider_options else None
    blocks: list[Block] = []
    for index, part in enumerate(message.content):
        if not isinstance(part, TextContent):
            said = file_or_note(part, context, refuses=context.is_newest)
            if said and said[0]["type"] != "text":
                context.user_files.append(part)
        elif part.text and not part.text.isspace():
            said = [{"type": "text", "text": part.text}]
        else:
            continue
        if part.provider_options or index == last:
            fallback = message.provider_options if index == last else None
            control = _cache_control(part.provider_options, fallback, "user message", context)
            said = [{**block, **control} for block in said]
        blocks += said
    return blocks


def assistant_blocks(message: AssistantMessage, context: BlockContext) -> list[Block]:
    """Return the blocks of an assistant message (one step). Content that the API would refuse is left out."""
    last = _last_spoken(message) if message.provider_options else None
    blocks: list[Block] = []
    for index, part in enumerate(message.content):
        convert = None if _is_blank(part) else _ASSISTANT_PARTS.get(type(part))
        block = None if convert is None else convert(part, context)
        if block is None:
            continue
        fallback = message.provider_options if index == last else None
        own: Any = getattr(part, "provider_options", None)
        if own or fallback:
            can_cache = block["type"] not in ("thinking", "redacted_thinking", "fallback")
            block = {**block, **_cache_control(own, fallback, block["type"], context, can_cache)}
        blocks.append(block)
    return blocks


def _last_spoken(message: UserMessage | AssistantMessage) -> int | None:
    """Return the index of the last part that is not blank; it gets the cache breakpoint of the whole message."""
    return next((index for index, part in reversed([*enumerate(message.content)]) if not _is_blank(part)), None)


def tool_blocks(message: ToolMessage, context: BlockContext) -> list[Block]:
    """Return the blocks of tool results. The user's approvals are left out, because the API has no block for them."""
    blocks: list[Block] = []
    for index, part in enumerate(message.content):
        if not isinstance(part, ToolResultContent):
            continue
        fallback = message.provider_options if index == len(message.content) - 1 else None
        control = _cache_control(part.provider_options, fallback, "tool result", context)
        toolset = _toolset_name(part.tool_name, part.provider_options, context)
        blocks.append(
            {
                "type": "tool_result",
                "tool_use_id": part.tool_call_id,
                **({} if toolset is None else {"toolset_name": toolset}),
                "content": _result_content(part.output, context),
                **({"is_error": True} if part.output.type in ("error-text", "error-json") else {}),
                **control,
            }
        )
    return blocks


def _is_blank(part: Any) -> bool:
    # "text content blocks must contain non-whitespace text"
    return isinstance(part, TextContent) and (not part.text or part.text.isspace())


def _cache_control(own: Any, fallback: Any, place: str, context: BlockContext, can_cache: bool = True) -> Block:
    if not own and not fallback:
        return {}
    return context.cache.reserve(own, place, can_cache=can_cache) or context.cache.reserve(
        fallback, place, can_cache=can_cache
    )


# Tool results


def _result_content(output: ToolResultOutput, context: BlockContext) -> Any:
    match output.type:
        case "text":
            return str(output.value)
        # The API refuses an error without text, in this turn and in all later ones.
        case "error-text":
            return words_or(output.value, FAILED)
        case "execution-denied":
            return words_or(output.value, DENIED)
        case "content":
            parts = cast("Sequence[Any]", output.value or ())
            blocks = (_result_block(part, context) for part in parts if not _is_blank(part))
            return [block for block in blocks if block is not None]
        case _:
            return write_json(output.value)


def _result_block(part: Any, context: BlockContext) -> Block | None:
    if isinstance(part, TextContent):
        return {"type": "text", "text": part.text}
    if isinstance(part, CustomContent):
        options = anthropic_options(part.provider_options)
        if options.get("type") == "tool-reference":
            return {"type": "tool_reference", "tool_name": options.get("tool_name")}
    if isinstance(part, FileContent):
        blocks = file_or_note(part, context, refuses=False)
        return blocks[0] if blocks else None
    context.warnings.append("a tool answered with a part that the model cannot read")
    return None


# Assistant content


def _text_block(part: TextContent, context: BlockContext) -> Block:
    if not part.provider_options:
        return {"type": "text", "text": part.text}
    options = anthropic_options(part.provider_options)
    if options.get("type") != "compaction":
        citations = options.get("citations")
        return {"type": "text", "text": part.text, **({"citations": citations} if _are_blocks(citations) else {})}
    signature = options.get("signature")
    if not isinstance(signature, str):
        return {"type": "compaction", "content": part.text}
    context.betas["compact-2026-09-04"] = None
    return {"type": "compaction", "content": part.text, "signature": signature}


def _are_blocks(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(_has_text(item, "type") for item in cast("list[Any]", value))


def _has_text(value: Any, key: str) -> bool:
    return isinstance(value, Mapping) and isinstance(cast("Mapping[str, Any]", value).get(key), str)


def _reasoning_block(part: ReasoningContent, context: BlockContext) -> Block | None:
    options = anthropic_options(part.provider_options)
    signature, redacted = options.get("signature"), options.get("redacted_data")
    if not context.sends_reasoning:
        return None
    if isinstance(signature, str) and signature:
        return {"type": "thinking", "thinking": part.text, "signature": signature}
    if isinstance(redacted, str) and redacted:
        return {"type": "redacted_thinking", "data": redacted}
    # The API refuses thinking without a signature: it was stopped early, or is from another provider.
    context.warnings.append("reasoning without a signature was left out")
    return None


def _custom_block(part: CustomContent, context: BlockContext) -> Block | None:
    if part.kind != "anthropic.fallback":
        return None
    options = anthropic_options(part.provider_options)
    if not all(_has_text(options.get(key), "model") for key in ("from", "to")):
        return None
    context.betas["server-side-fallback-2026-06-01"] = None
    return {"type": "fallback", "from": options["from"], "to": options["to"]}


def _call_block(part: ToolCallContent, context: BlockContext) -> Block | None:
    options = anthropic_options(part.provider_options)
    if part.provider_executed:
        return _provider_call_block(part, options, context)
    toolset = _toolset_name(part.tool_name, part.provider_options, context)
    given = _tool_input(part.input)
    name, member = part.tool_name, {}
    if toolset is not None:
        # The application has one tool for a whole toolset; `action` in the input is the name of the member.
        action = given.get("action")
        name, member = (action if isinstance(action, str) else toolset), {"toolset_name": toolset}
    return {"type": "tool_use", "id": part.tool_call_id, "name": name, **member, "input": given, **_caller(options)}


def _provider_call_block(part: ToolCallContent, options: Mapping[str, Any], context: BlockContext) -> Block | None:
    if options.get("type") == MCP_TOOL_USE:
        context.mcp_tool_use_ids.add(part.tool_call_id)
        return mcp_use_block(part, options.get("server_name"))
    block = server_use_block(part, provider_tool_name(context.tool_names, part.tool_name))
    if block is None:
        context.warnings.append("a call of a tool that Anthropic does not run was left out")
        return None
    return {**block, **_caller(options)}


def _result_block_of_provider(part: ToolResultContent, context: BlockContext) -> Block | None:
    if part.tool_call_id in context.mcp_tool_use_ids:
        block = mcp_result_block(part)
    else:
        block = server_result_block(part, provider_tool_name(context.tool_names, part.tool_name))
    if block is None:
        context.warnings.append("a result that Anthropic did not give was left out")
        context.unanswered.add(part.tool_call_id)
        return None
    has_caller = block["type"] in ("web_search_tool_result", "web_fetch_tool_result")
    return {**block, **(_caller(anthropic_options(part.provider_options)) if has_caller else {})}


_ASSISTANT_PARTS: Final[Mapping[type[AssistantContent], Callable[[Any, BlockContext], Block | None]]] = {
    TextContent: _text_block,
    ReasoningContent: _reasoning_block,
    CustomContent: _custom_block,
    ToolCallContent: _call_block,
    ToolResultContent: _result_block_of_provider,
}


def _toolset_name(tool_name: str, options: Any, context: BlockContext) -> str | None:
    stored = anthropic_options(options).get("toolset_name")
    return context.toolsets.get(tool_name, stored if isinstance(stored, str) else None)


def _caller(options: Mapping[str, Any]) -> Block:
    caller: Any = options.get("caller")
    if not isinstance(caller, Mapping):
        return {}
    fields = cast("Mapping[str, Any]", caller)
    kind, tool_id = fields.get("type"), fields.get("toolId", fields.get("tool_id"))
    if kind in _CALLERS and isinstance(tool_id, str) and tool_id:
        return {"caller": {"type": kind, "tool_id": tool_id}}
    return {"caller": {"type": "direct"}} if kind == "direct" else {}


def _tool_input(value: Any) -> dict[str, Any]:
    """Return the input as an object, because the API requires one. JSON text is parsed; any other value is wrapped."""
    parsed = value
    if isinstance(value, str):
        try:
            parsed = parse_json(value)
        except ValueError:
            parsed = None
    return dict(cast("Mapping[str, Any]", parsed)) if isinstance(parsed, Mapping) else {"rawInvalidInput": value}
