"""Opens content blocks of an Anthropic answer: the first parts of each type, and the block that takes its deltas.

`OPENERS` has one opener for each type. The caller skips other types. A block without a required field raises
`KeyError`. Facts from ``@ai-sdk/anthropic`` 4.0.105 (``doStream``, case ``content_block_start``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from usechat.json import write_json
from usechat.models.claude.response.citations import Citations
from usechat.models.claude.response.finish import pick
from usechat.models.claude.response.open_blocks import (
    PROGRAMMATIC,
    CitationsDelta,
    HeldText,
    InputJsonDelta,
    OpenBlock,
    OpenCodeExecution,
    OpenMcpInput,
    OpenReasoning,
    OpenText,
    OpenToolInput,
    OpenToolsetInput,
    SignatureDelta,
    TextContentDelta,
    ThinkingDelta,
)
from usechat.models.claude.response.results import RESULT_BLOCKS, McpCall, ServerTools, caller_of
from usechat.parts import (
    Custom,
    ModelPart,
    ProviderMetadata,
    ReasoningStart,
    TextDelta,
    TextStart,
    ToolCall,
    ToolInputDelta,
    ToolInputStart,
)

__all__ = ["OPENERS", "Message", "prefilled_tool_call"]

Json = dict[str, Any]

_CODE_EXECUTION_KINDS = {
    "bash_code_execution": "bash_code_execution",
    "code_execution": PROGRAMMATIC,
    "text_editor_code_execution": "text_editor_code_execution",
}
_TOOL_SEARCHES = {"tool_search_tool_bm25", "tool_search_tool_regex"}


class Message:
    """The state that the blocks of one message share.

    Args:
        citations: Collects citations and makes sources of them.
        tools: The calls to the provider's own tools.
        uses_json_tool: Whether the model was forced to answer through a tool named ``json``.
        dynamic_code_execution: Whether web tools may run code although the request names no such tool.
    """

    __slots__ = (
        "citations",
        "dynamic_code_execution",
        "held",
        "json_tool_called",
        "tools",
        "uses_json_tool",
    )

    def __init__(
        self, citations: Citations, tools: ServerTools, *, uses_json_tool: bool, dynamic_code_execution: bool
    ) -> None:
        self.citations = citations
        self.tools = tools
        self.uses_json_tool = uses_json_tool
        self.dynamic_code_execution = dynamic_code_execution
        self.json_tool_called = False
        self.held: list[HeldText] = []
        """Texts that are the answer only if no tool block follows and the json tool is never called."""


def prefilled_tool_call(block: Json, parts: list[ModelPart]) -> None:
    """Append a tool call that is whole in ``message_start``."""
    caller = caller_of(block)
    text = write_json(block.get("input") or {})
    parts.append(ToolInputStart(tool_call_id=block["id"], tool_name=block["name"]))
    parts.append(ToolInputDelta(block["id"], text))
    parts.append(
        ToolCall(
            tool_call_id=block["id"],
            tool_name=block["name"],
            input_text=text,
            provider_metadata={"anthropic": {"caller": caller}} if caller else None,
        )
    )


def _open_text(id: str, block: Json, message: Message, parts: list[ModelPart]) -> OpenBlock:
    opened: OpenBlock
    if message.uses_json_tool:
        opened = HeldText(id, message.citations)
        message.held.append(opened)
    else:
        parts.append(TextStart(id))
        opened = OpenText(id, message.citations)
    # Anthropic's own blocks begin empty. Other servers send the first words here.
    if text := block.get("text"):
        opened.feed(TextContentDelta(_text(text)), parts)
    for citation in block.get("citations") or ():
        opened.feed(CitationsDelta(citation), parts)
    return opened


def _open_thinking(id: str, block: Json, _: Message, parts: list[ModelPart]) -> OpenBlock:
    parts.append(ReasoningStart(id))
    opened = OpenReasoning(id)
    if thinking := block.get("thinking"):
        opened.feed(ThinkingDelta(_text(thinking)), parts)
    if signature := block.get("signature"):
        opened.feed(SignatureDelta(_text(signature)), parts)
    return opened


def _open_redacted_thinking(id: str, block: Json, _: Message, parts: list[ModelPart]) -> OpenBlock:
    parts.append(ReasoningStart(id, {"anthropic": {"redactedData": block["data"]}}))
    return OpenReasoning(id, is_redacted=True)


def _open_compaction(id: str, block: Json, message: Message, parts: list[ModelPart]) -> OpenBlock:
    signature = pick(block, {"signature": "signature"})
    parts.append(TextStart(id, {"anthropic": {"type": "compaction", **signature}}))
    # A requested compaction is signed and arrives whole. Anthropic sends others as deltas.
    if block.get("content"):
        parts.append(TextDelta(id, _text(block["content"])))
    return OpenText(id, message.citations)


def _open_tool_use(id: str, block: Json, message: Message, parts: list[ModelPart]) -> OpenBlock:
    if message.uses_json_tool and block["name"] == "json":
        message.json_tool_called = True
        parts.append(TextStart(id))
        opened = OpenText(id, message.citations, is_json=True)
        opened.feed(InputJsonDelta(_start_text(block)), parts)
        return opened
    toolset = block.get("toolset_name")
    name = message.tools.custom_name(toolset) if toolset else block["name"]
    start = ToolInputStart(tool_call_id=block["id"], tool_name=name)
    parts.append(start)
    metadata = _caller_metadata(block)
    if toolset:
        metadata = {"toolsetName": toolset, **metadata}
        return OpenToolsetInput(start, block["name"], start_text=_start_text(block), metadata=metadata)
    return OpenToolInput(start, start_text=_start_text(block), metadata=metadata)


def _open_server_tool_use(_: str, block: Json, message: Message, parts: list[ModelPart]) -> OpenBlock:
    name = block["name"]
    kind = _CODE_EXECUTION_KINDS.get(name)
    if name in _TOOL_SEARCHES:
        message.tools.searches[block["id"]] = name
    start = ToolInputStart(
        tool_call_id=block["id"],
        tool_name=message.tools.custom_name("code_execution" if kind else name),
        provider_executed=True,
        dynamic=True if kind and message.dynamic_code_execution else None,
    )
    parts.append(start)
    metadata = _caller_metadata(block)
    if kind:
        return OpenCodeExecution(start, kind, start_text=_start_text(block), metadata=metadata)
    return OpenToolInput(start, start_text=_start_text(block), metadata=metadata)


def _open_mcp_tool_use(_: str, block: Json, message: Message, __: list[ModelPart]) -> OpenBlock:
    metadata: ProviderMetadata = {"anthropic": {"type": "mcp-tool-use", "serverName": block.get("server_name")}}
    message.tools.mcp_calls[block["id"]] = McpCall(block["name"], metadata)
    start = ToolInputStart(tool_call_id=block["id"], tool_name=block["name"], provider_executed=True, dynamic=True)
    return OpenMcpInput(start, start_text=write_json(block.get("input", {})), metadata=metadata["anthropic"])


def _open_fallback(_: str, block: Json, __: Message, parts: list[ModelPart]) -> None:
    metadata = {"type": "fallback", **pick(block, {"from": "from", "to": "to"})}
    parts.append(Custom("anthropic.fallback", {"anthropic": metadata}))


def _open_result(_: str, block: Json, message: Message, parts: list[ModelPart]) -> None:
    parts.extend(RESULT_BLOCKS[block["type"]](block, message.tools))


def _caller_metadata(block: Json) -> Json:
    caller = caller_of(block)
    return {"caller": caller} if caller else {}


def _start_text(block: Mapping[str, Any]) -> str:
    value = block.get("input")
    # Servers that translate from OpenAI's API send the JSON text.
    return value if isinstance(value, str) else write_json(value) if value else ""


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a block begins with something else than text")
    return value


Opener: TypeAlias = Callable[[str, Json, Message, list[ModelPart]], OpenBlock | None]

OPENERS: dict[str, Opener] = {
    "compaction": _open_compaction,
    "fallback": _open_fallback,
    "mcp_tool_use": _open_mcp_tool_use,
    "redacted_thinking": _open_redacted_thinking,
    "server_tool_use": _open_server_tool_use,
    "text": _open_text,
    "thinking": _open_thinking,
    "tool_use": _open_tool_use,
    **dict.fromkeys(RESULT_BLOCKS, _open_result),
}
"""Openers by block type. Each appends the first parts and returns the block that takes deltas, or None."""
