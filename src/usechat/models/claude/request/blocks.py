"""Convert the content of model messages to content blocks of the Messages API.

Each kind of content has a small converter, which sees one piece of content only.
`usechat.models.claude.request.repairs` handles the rules between blocks (order, pairs of calls and results, turns).

Source: ``@ai-sdk/anthropic/src/convert-to-anthropic-prompt.ts`` (4.0.105).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec

from usechat.errors import RequestError
from usechat.json import parse_json, write_json
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
from usechat.messages.text_files import decode_text, is_text, unreadable_note
from usechat.models.claude.keys import CacheBreakpoints, anthropic_options
from usechat.models.claude.request.server_tools import (
    MCP_TOOL_USE,
    mcp_result_block,
    mcp_use_block,
    server_result_block,
    server_use_block,
)
from usechat.models.claude.request.tools import provider_tool_name

__all__ = ["Block", "BlockContext", "assistant_blocks", "tool_blocks", "user_blocks"]

Block: TypeAlias = dict[str, Any]

_FILES_BETA: Final = "files-api-2025-04-14"
_PDF_BETA: Final = "pdfs-2024-09-25"
_PDF: Final = "application/pdf"
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_CALLERS: Final = ("code_execution_20250825", "code_execution_20260120")
_FAILED: Final = "The tool failed."
_DENIED: Final = "Tool call execution denied."


class BlockContext(msgspec.Struct, kw_only=True):
    """The state that the converters of one request share."""

    cache: CacheBreakpoints
    tool_names: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """Maps the provider's names of its tools to the application's names."""
    toolsets: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """Maps the application's names of toolsets to the provider's names."""
    sends_reasoning: bool = True
    betas: dict[str, None] = msgspec.field(default_factory=dict[str, None])
    """The beta features that the request needs, in order of their first use."""
    warnings: list[str] = msgspec.field(default_factory=list[str])
    user_files: list[FileContent] = msgspec.field(default_factory=list[FileContent])
    """The files that the user has sent, in order."""
    is_newest: bool = True
    """Whether the message is the newest. An unreadable file is an error there, and becomes a note in older messages."""
    mcp_tool_use_ids: set[str] = msgspec.field(default_factory=set[str])


def user_blocks(message: UserMessage, context: BlockContext) -> list[Block]:
    """Return the blocks of a user message; blank text is left out.

    Raises:
        RequestError: The newest message has a file that Anthropic does not accept.
    """
    last = _last_spoken(message) if message.provider_options else None
    blocks: list[Block] = []
    for index, part in enumerate(message.content):
        if not isinstance(part, TextContent):
            said = _file_or_note(part, context, refuses=context.is_newest)
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


# Files


def _file_or_note(file: FileContent, context: BlockContext, *, refuses: bool) -> list[Block]:
    try:
        return _file_blocks(file, context)
    except RequestError:
        if refuses:
            raise
        # The sender got the error when the message was new. In history, a note lets the chat continue.
        return [{"type": "text", "text": unreadable_note(file.filename)}]


def _file_blocks(file: FileContent, context: BlockContext) -> list[Block]:
    if file.provider_reference is not None:
        return [_reference_block(file, context)]
    top_level = file.media_type.partition("/")[0]
    if is_text(file.media_type, file.filename):
        return _text_document(file, context)
    if file.data == "":
        raise RequestError("A file is empty.", path="messages", status=422)
    if top_level == "image":
        return [{"type": "image", "source": _image_source(file)}]
    if file.media_type == _PDF:
        context.betas[_PDF_BETA] = None
        source = {"type": "url", "url": file.url} if file.data is None else _base64_source(_PDF, file.data)
        return [_document(file, source)]
    raise RequestError(
        "A file has a type that the model cannot read; it takes images, PDF and text.", path="messages", status=415
    )


def _reference_block(file: FileContent, context: BlockContext) -> Block:
    file_id = (file.provider_reference or {}).get("anthropic")
    if not file_id:
        raise RequestError("A file is known to another provider only.", path="messages", status=422)
    context.betas[_FILES_BETA] = None
    if anthropic_options(file.provider_options).get("container_upload") is True:
        return {"type": "container_upload", "file_id": file_id}
    kind = "image" if file.media_type.partition("/")[0] == "image" else "document"
    return {"type": kind, "source": {"type": "file", "file_id": file_id}}


def _image_source(file: FileContent) -> Block:
    if file.data is None:
        return {"type": "url", "url": file.url}
    if file.media_type not in _IMAGES:
        raise RequestError("An image is not JPEG, PNG, GIF or WebP.", path="messages", status=415)
    return _base64_source(file.media_type, file.data)


def _base64_source(media_type: str, data: str) -> Block:
    return {"type": "base64", "media_type": media_type, "data": data}


def _text_document(file: FileContent, context: BlockContext) -> list[Block]:
    if file.data is None:
        raise RequestError("Only images and PDF can be given by URL.", path="messages", status=415)
    text = decode_text(base64.b64decode(file.data))
    if not text.strip():
        context.warnings.append("an empty text file was left out")
        return []
    return [_document(file, {"type": "text", "media_type": "text/plain", "data": text})]


def _document(file: FileContent, source: Block) -> Block:
    options = anthropic_options(file.provider_options)
    block: Block = {"type": "document", "source": source}
    title = options.get("title", file.filename)
    if isinstance(title, str) and title:
        block["title"] = title
    if isinstance(options.get("context"), str) and options["context"]:
        block["context"] = options["context"]
    if has_citations(file):
        block["citations"] = {"enabled": True}
    return block


def has_citations(file: FileContent) -> bool:
    """Return whether the options of a document enable citations."""
    citations = anthropic_options(file.provider_options).get("citations")
    return isinstance(citations, Mapping) and cast("Mapping[str, Any]", citations).get("enabled") is True


# Tool results


def _result_content(output: ToolResultOutput, context: BlockContext) -> Any:
    match output.type:
        case "text":
            return str(output.value)
        # The API refuses an error without text, in this turn and in all later ones.
        case "error-text":
            return words_or(output.value, _FAILED)
        case "execution-denied":
            return words_or(output.value, _DENIED)
        case "content":
            parts = cast("Sequence[Any]", output.value or ())
            blocks = (_result_block(part, context) for part in parts if not _is_blank(part))
            return [block for block in blocks if block is not None]
        case _:
            return write_json(output.value)


def words_or(value: Any, default: str) -> str:
    """Return the value as text, or the default if the text is blank."""
    text = "" if value is None else str(value)
    return text if text.strip() else default


def _result_block(part: Any, context: BlockContext) -> Block | None:
    if isinstance(part, TextContent):
        return {"type": "text", "text": part.text}
    if isinstance(part, CustomContent):
        options = anthropic_options(part.provider_options)
        if options.get("type") == "tool-reference":
            return {"type": "tool_reference", "tool_name": options.get("tool_name")}
    if isinstance(part, FileContent):
        blocks = _file_or_note(part, context, refuses=False)
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
        return mcp_result_block(part)
    block = server_result_block(part, provider_tool_name(context.tool_names, part.tool_name))
    if block is None:
        context.warnings.append("a result that Anthropic did not give was left out")
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
