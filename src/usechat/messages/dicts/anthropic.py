"""Reads messages in the form of Anthropic's API (``anthropic.types.MessageParam``) as model messages.

Blocks of tools that Anthropic runs itself are refused, because their meaning depends on the answer that they came in.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from usechat.errors import RequestError
from usechat.messages.dicts.path import refuse_unknown_keys, required_list, required_object, required_text
from usechat.messages.files import read_file_part
from usechat.messages.model import (
    AssistantMessage,
    FileContent,
    ModelMessage,
    ReasoningContent,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)

__all__ = ["is_anthropic_content", "read_anthropic_message"]

Block: TypeAlias = Mapping[str, Any]

_OWN: Final = frozenset({"document", "tool_use", "tool_result", "thinking", "redacted_thinking", "server_tool_use"})
"""Types of blocks that the AI SDK does not have."""
_OWN_KEYS: Final = frozenset({"source", "cache_control", "citations"})
"""Keys that only Anthropic's blocks have, for types that the AI SDK has too."""


def is_anthropic_content(content: Any) -> bool:
    """Return whether a message's content has a block in Anthropic's form."""
    blocks: list[Any] = [*cast("list[Any]", content)] if isinstance(content, list | tuple) else []
    return any(_is_block(cast("Block", block)) for block in blocks if isinstance(block, Mapping))


def _is_block(block: Block) -> bool:
    type_ = block.get("type")
    is_own = type_ in _OWN or (isinstance(type_, str) and type_.endswith("_tool_result"))
    return is_own or bool(_OWN_KEYS & block.keys())


def read_anthropic_message(message: Block, path: str, tool_names: Mapping[str, str]) -> list[ModelMessage]:
    """Return the model messages of one message. Tool results and the user's content beside them become two messages.

    Args:
        message: The message; its ``content`` is a list of blocks.
        path: The path of the message, for errors.
        tool_names: The tool names of the calls in earlier messages, by tool call id.

    Raises:
        RequestError: The message has something that is unknown or of a wrong type. The text has its path.
    """
    refuse_unknown_keys(message, {"role", "content"}, path)
    blocks = [required_object(block, f"{path}.content[{at}]") for at, block in enumerate(message["content"])]
    if message.get("role") == "assistant":
        return [
            AssistantMessage(
                tuple(_read(block, _ASSISTANT, f"{path}.content[{at}]") for at, block in enumerate(blocks))
            )
        ]
    if message.get("role") != "user":
        raise RequestError("must be user or assistant", path=f"{path}.role")
    results: list[Any] = []
    said: list[Any] = []
    for at, block in enumerate(blocks):
        place = f"{path}.content[{at}]"
        if block.get("type") == "tool_result":
            results.append(_read_result(block, place, tool_names))
        else:
            said.append(_read(block, _USER, place))
    read: list[ModelMessage] = [ToolMessage(tuple(results))] if results else []
    return [*read, UserMessage(tuple(said))] if said else read


def _read(block: Block, readers: Mapping[str, Callable[[Block, str], Any]], path: str) -> Any:
    reader = readers.get(cast("str", block.get("type")))
    if reader is None:
        raise RequestError(f"must be one of {', '.join(sorted(readers))}", path=f"{path}.type")
    return reader(block, path)


def _options(block: Block, *names: str) -> Mapping[str, Mapping[str, Any]] | None:
    found = {name: block[name] for name in ("cache_control", *names) if block.get(name) is not None}
    return {"anthropic": found} if found else None


def _read_text(block: Block, path: str) -> TextContent:
    refuse_unknown_keys(block, {"type", "text", "cache_control", "citations"}, path)
    return TextContent(required_text(block, "text", path), _options(block, "citations"))


def _read_thinking(block: Block, path: str) -> ReasoningContent:
    refuse_unknown_keys(block, {"type", "thinking", "signature"}, path)
    return ReasoningContent(required_text(block, "thinking", path), _options(block, "signature"))


def _read_redacted(block: Block, path: str) -> ReasoningContent:
    refuse_unknown_keys(block, {"type", "data"}, path)
    return ReasoningContent("", {"anthropic": {"redacted_data": required_text(block, "data", path)}})


def _read_call(block: Block, path: str) -> ToolCallContent:
    refuse_unknown_keys(block, {"type", "id", "name", "input", "cache_control", "caller"}, path)
    return ToolCallContent(
        tool_call_id=required_text(block, "id", path),
        tool_name=required_text(block, "name", path),
        input=required_object(block.get("input"), f"{path}.input"),
        provider_options=_options(block, "caller"),
    )


def _read_result(block: Block, path: str, tool_names: Mapping[str, str]) -> ToolResultContent:
    refuse_unknown_keys(block, {"type", "tool_use_id", "content", "is_error", "cache_control"}, path)
    call_id = required_text(block, "tool_use_id", path)
    if call_id not in tool_names:
        raise RequestError("is the id of no call before it", path=f"{path}.tool_use_id")
    return ToolResultContent(
        tool_call_id=call_id,
        tool_name=tool_names[call_id],
        output=_read_output(block, path),
        provider_options=_options(block),
    )


def _read_output(block: Block, path: str) -> ToolResultOutput:
    content = block.get("content")
    is_error = block.get("is_error") is True
    if content is None or isinstance(content, str):
        return ToolResultOutput("error-text" if is_error else "text", content or "")
    items = required_list(block, "content", path)
    parts = [_read(required_object(item, path), _USER, f"{path}.content[{at}]") for at, item in enumerate(items)]
    if not is_error:
        return ToolResultOutput("content", tuple(parts))
    if not all(isinstance(part, TextContent) for part in parts):
        raise RequestError("must be text where is_error is set", path=f"{path}.content")
    return ToolResultOutput("error-text", "\n".join(part.text for part in parts))


def _read_image(block: Block, path: str) -> FileContent:
    refuse_unknown_keys(block, {"type", "source", "cache_control"}, path)
    return _read_source(block, path, "image/*", _options(block))


def _read_document(block: Block, path: str) -> FileContent:
    refuse_unknown_keys(block, {"type", "source", "cache_control", "title", "context", "citations"}, path)
    return _read_source(block, path, "application/pdf", _options(block, "title", "context", "citations"))


def _read_source(block: Block, path: str, usual: str, options: Any) -> FileContent:
    source, place = required_object(block.get("source"), f"{path}.source"), f"{path}.source"
    part = {"mediaType": source.get("media_type") or usual, "providerMetadata": options}
    match source.get("type"):
        case "base64":
            refuse_unknown_keys(source, {"type", "media_type", "data"}, place)
            url = f"data:{part['mediaType']};base64,{required_text(source, 'data', place)}"
            return read_file_part({**part, "url": url}, place)
        case "url":
            refuse_unknown_keys(source, {"type", "url"}, place)
            return read_file_part({**part, "url": required_text(source, "url", place)}, place, allow_http=True)
        case "file":
            refuse_unknown_keys(source, {"type", "file_id"}, place)
            names = {"anthropic": required_text(source, "file_id", place)}
            return read_file_part({**part, "providerReference": names}, place)
        case "text":
            refuse_unknown_keys(source, {"type", "media_type", "data"}, place)
            data = base64.b64encode(required_text(source, "data", place).encode()).decode()
            return FileContent(media_type="text/plain", data=data, provider_options=options)
        case _:
            raise RequestError("must be base64, url, file or text", path=f"{place}.type")


_USER: Final[Mapping[str, Callable[[Block, str], Any]]] = {
    "text": _read_text,
    "image": _read_image,
    "document": _read_document,
}
_ASSISTANT: Final[Mapping[str, Callable[[Block, str], Any]]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
}
