"""Convert system messages: the instructions at the start, and those in the middle of a conversation.

Initial ones become the request's ``system``. Later ones stay in their place and may change tools and effort from there
on (``provider_options`` of the message); each such change needs a beta feature.

Source: ``@ai-sdk/anthropic/src/convert-to-anthropic-prompt.ts`` (4.0.105), the ``system`` block.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

import msgspec

from usechat.messages.model import SystemMessage
from usechat.models.base import FunctionTool, ProviderTool, ToolDefinition
from usechat.models.claude.keys import CacheBreakpoints, anthropic_options
from usechat.models.claude.request.context import Block, BlockContext
from usechat.models.claude.request.tools import ToolSettings, prepare_tools, provider_tool_name

__all__ = ["ConvertedSystem", "system_message"]

_OUTPUT_BETA: Final = "mid-conversation-output-config-2026-07-01"


class ConvertedSystem(msgspec.Struct, frozen=True, kw_only=True):
    """The blocks for ``system``, and the messages for the middle of the conversation."""

    initial: list[Block] = msgspec.field(default_factory=list[Block])
    inline: list[dict[str, Any]] = msgspec.field(default_factory=list[dict[str, Any]])


def system_message(message: SystemMessage, context: BlockContext, *, is_initial: bool) -> ConvertedSystem:
    """Convert one system message.

    Args:
        message: The message.
        context: The state that the request's converters share.
        is_initial: Whether the message is before all others, or is the first with instructions for ``system``.
    """
    options = anthropic_options(message.provider_options)
    text = _text_blocks(message, context)
    changes = [] if is_initial else _tool_changes(options.get("tool_changes"), context)
    effort, clear_at = options.get("effort"), options.get("clear_at")
    if is_initial:
        return _initial(text, effort, options, context)
    if not text and not changes and effort is None and clear_at is None:
        return ConvertedSystem()
    context.betas["mid-conversation-system-2026-04-07"] = None
    inline: dict[str, Any] = {"role": "system", "content": [*text, *changes]}
    if clear_at is not None:
        inline["clear_at"] = clear_at
        context.betas["mid-conversation-system-clear-at-2026-08-21"] = None
    if effort is not None:
        inline["output_config"] = {"effort": effort}
        context.betas[_OUTPUT_BETA] = None
    return ConvertedSystem(inline=[inline])


def _text_blocks(message: SystemMessage, context: BlockContext) -> list[Block]:
    if not message.text.strip():
        return []
    return [{"type": "text", "text": message.text, **context.cache.reserve(message.provider_options, "system message")}]


def _initial(text: list[Block], effort: Any, options: Mapping[str, Any], context: BlockContext) -> ConvertedSystem:
    if options.get("tool_changes") or options.get("clear_at") is not None or (effort is not None and text):
        context.warnings.append("changes of tools, clear_at and effort do not go with the first instructions")
    if text or effort is None:
        return ConvertedSystem(initial=text)
    context.betas[_OUTPUT_BETA] = None
    return ConvertedSystem(inline=[{"role": "system", "content": [], "output_config": {"effort": effort}}])


def _tool_changes(changes: Any, context: BlockContext) -> list[Block]:
    if not isinstance(changes, list):
        return []
    blocks = [_tool_change(cast("Mapping[str, Any]", change), context) for change in cast("list[Any]", changes)]
    known = [block for block in blocks if block is not None]
    if any(block["tool"]["type"] == "tool_definition" for block in known):
        context.betas["inline-tools-2026-09-15"] = None
    elif known:
        context.betas["mid-conversation-tool-changes-2026-07-01"] = None
    return known


def _tool_change(change: Mapping[str, Any], context: BlockContext) -> Block | None:
    if "tool" not in change:
        name = provider_tool_name(context.tool_names, change["toolName"])
        return {"type": change["type"], "tool": {"type": "tool_reference", "name": name}}
    tool = _definition(change["tool"])
    if isinstance(tool, ProviderTool) and tool.id.startswith("anthropic.computer_"):
        context.warnings.append("computer tools can only be declared in tools and added by name")
        return None
    # Every later request repeats this definition, so it must not depend on the streaming of this request.
    prepared = prepare_tools([tool], None, ToolSettings(streams_input=False), CacheBreakpoints())
    context.betas |= dict.fromkeys(prepared.betas)
    context.warnings += prepared.warnings
    if not prepared.tools:
        return None
    return {"type": "tool_addition", "tool": {"type": "tool_definition", "definition": prepared.tools[0]}}


def _definition(tool: Mapping[str, Any]) -> ToolDefinition:
    if tool["type"] == "provider":
        return ProviderTool(id=tool["id"], name=tool["name"], args=tool["args"])
    return FunctionTool(
        name=tool["name"],
        description=tool.get("description"),
        input_schema=tool["inputSchema"],
        provider_options=tool.get("providerOptions"),
    )
