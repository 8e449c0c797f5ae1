"""Convert calls and results of tools that Anthropic runs back to blocks of the Messages API.

A chat stores them in the AI SDK's shape, with camelCase keys; the API requires its original keys. A call or result that
a client has changed beyond recognition becomes ``None``, and the repairs then remove its other half.

Source: ``@ai-sdk/anthropic/src/convert-to-anthropic-prompt.ts`` and the output schemas in ``src/tool`` (4.0.105).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

import msgspec

from usechat.json import write_json
from usechat.messages.model import ToolCallContent, ToolResultContent, ToolResultOutput

__all__ = ["MCP_TOOL_USE", "mcp_result_block", "mcp_use_block", "server_result_block", "server_use_block"]

Block: TypeAlias = dict[str, Any]
JsonObject: TypeAlias = Mapping[str, Any]

MCP_TOOL_USE: Final = "mcp-tool-use"
"""The ``providerMetadata.anthropic.type`` of a call to an MCP server."""

_CODE_SUBTOOLS: Final = ("bash_code_execution", "text_editor_code_execution")
_PLAIN_TOOLS: Final = frozenset(
    {"code_execution", "web_fetch", "web_search", "tool_search_tool_regex", "tool_search_tool_bm25", "advisor"}
)
_UNAVAILABLE: Final = "unavailable"


def mcp_use_block(call: ToolCallContent, server_name: Any) -> Block | None:
    """Return the block of a call to an MCP server; ``None`` without the server's name."""
    if not isinstance(server_name, str):
        return None
    return {
        "type": "mcp_tool_use",
        "id": call.tool_call_id,
        "name": call.tool_name,
        "input": _as_object(call.input),
        "server_name": server_name,
    }


def server_use_block(call: ToolCallContent, provider_name: str) -> Block | None:
    """Return the block of a call of a tool that Anthropic runs; ``None`` for an unknown tool."""
    if provider_name not in _PLAIN_TOOLS:
        return None
    given = _as_object(call.input)
    name = provider_name
    if provider_name == "advisor":
        given = {}  # the API accepts only an empty input for this tool
    elif provider_name == "code_execution" and given.get("type") in (*_CODE_SUBTOOLS, "programmatic-tool-call"):
        # The AI SDK stores the sub-tool's name as ``type`` in the input.
        name = given["type"] if given["type"] in _CODE_SUBTOOLS else provider_name
        given = {key: value for key, value in given.items() if key != "type"}
    return {"type": "server_tool_use", "id": call.tool_call_id, "name": name, "input": given}


def _as_object(value: Any) -> dict[str, Any]:
    return dict(cast("JsonObject", value)) if isinstance(value, Mapping) else {}


def mcp_result_block(result: ToolResultContent) -> Block | None:
    """Return the block of a result of an MCP server; ``None`` for an output of another kind."""
    output = result.output
    if output.type not in ("json", "error-json", "text"):
        return None
    return {
        "type": "mcp_tool_result",
        "tool_use_id": result.tool_call_id,
        "is_error": output.type == "error-json",
        "content": _mcp_content(output),
    }


def _mcp_content(output: ToolResultOutput) -> Any:
    value = output.value
    if isinstance(value, str):
        # The blocks of a failed call are stored as JSON text. They go back as they came.
        blocks = _parsed(value) if output.type == "error-json" else None
        return blocks if _are_texts(blocks) else value
    return value if _are_texts(value) else write_json(value)


def _are_texts(value: Any) -> bool:
    items = cast("list[Any]", value) if isinstance(value, list) else [None]
    return all(isinstance(item, Mapping) and _has(cast("JsonObject", item), text=str) for item in items)


def server_result_block(result: ToolResultContent, provider_name: str) -> Block | None:
    """Return the result block of a tool that Anthropic ran; ``None`` for an unknown tool or an unreadable output."""
    convert = _RESULTS.get(provider_name)
    return None if convert is None else convert(result)


# One converter per tool


def _web_search(result: ToolResultContent) -> Block | None:
    output = result.output
    if output.type == "error-json":
        return _error(result, "web_search_tool_result", "web_search_tool_result_error")
    hits = _list_of_objects(output)
    if hits is None or not all(_has(hit, url=str, encryptedContent=str) for hit in hits):
        return None
    content = [
        {
            "url": hit["url"],
            "title": hit.get("title"),
            "page_age": hit.get("pageAge"),
            "encrypted_content": hit["encryptedContent"],
            "type": "web_search_result",
        }
        for hit in hits
    ]
    return _block(result, "web_search_tool_result", content)


def _web_fetch(result: ToolResultContent) -> Block | None:
    if result.output.type == "error-json":
        return _error(result, "web_fetch_tool_result", "web_fetch_tool_result_error")
    page = _object(result.output)
    document = _as_object(page.get("content"))
    source = _as_object(document.get("source"))
    if not _has(page, url=str) or not _has(source, type=str, mediaType=str, data=str):
        return None
    citations = {} if document.get("citations") is None else {"citations": document["citations"]}
    content = {
        "type": "web_fetch_result",
        "url": page["url"],
        "retrieved_at": page.get("retrievedAt"),
        "content": {
            "type": "document",
            "title": document.get("title"),
            **citations,
            "source": {"type": source["type"], "media_type": source["mediaType"], "data": source["data"]},
        },
    }
    return _block(result, "web_fetch_tool_result", content)


def _tool_search(result: ToolResultContent) -> Block | None:
    output, error_type = result.output, "tool_search_tool_result_error"
    if output.type == "error-json" or _object(output).get("type") == error_type:
        return _error(result, "tool_search_tool_result", error_type)
    found = _list_of_objects(output)
    if found is None or not all(_has(item, toolName=str) for item in found):
        return None
    references = [{"type": "tool_reference", "tool_name": item["toolName"]} for item in found]
    content = {"type": "tool_search_tool_search_result", "tool_references": references}
    return _block(result, "tool_search_tool_result", content)


_ADVISOR_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "advisor_result": ("text", "text"),
    "advisor_redacted_result": ("encryptedContent", "encrypted_content"),
    "advisor_tool_result_error": ("errorCode", "error_code"),
}


def _advisor(result: ToolResultContent) -> Block | None:
    output = _error_value(result.output) if result.output.type == "error-json" else _object(result.output)
    kind = output.get("type")
    if kind not in _ADVISOR_KEYS:
        return None
    ours, theirs = _ADVISOR_KEYS[kind]
    if not isinstance(output.get(ours), str):
        return None
    content = {"type": kind, theirs: output[ours]}
    if isinstance(output.get("stopReason"), str) and kind != "advisor_tool_result_error":
        content["stop_reason"] = output["stopReason"]
    return _block(result, "advisor_tool_result", content)


class _CodeResult(msgspec.Struct, frozen=True):
    block_type: str
    keys: tuple[str, ...]


_OUTPUT_KEYS: Final = ("stdout", "stderr", "return_code", "content")
_BASH: Final = "bash_code_execution_tool_result"
_EDITOR: Final = "text_editor_code_execution_tool_result"
_LINE_KEYS: Final = ("lines", "new_lines", "new_start", "old_lines", "old_start")
_CODE_RESULTS: Final[Mapping[str, _CodeResult]] = {
    "code_execution_result": _CodeResult("code_execution_tool_result", _OUTPUT_KEYS),
    "encrypted_code_execution_result": _CodeResult(
        "code_execution_tool_result", ("encrypted_stdout", "stderr", "return_code", "content")
    ),
    "bash_code_execution_result": _CodeResult(_BASH, _OUTPUT_KEYS),
    "bash_code_execution_tool_result_error": _CodeResult(_BASH, ("error_code",)),
    "text_editor_code_execution_tool_result_error": _CodeResult(_EDITOR, ("error_code",)),
    "text_editor_code_execution_view_result": _CodeResult(
        _EDITOR, ("content", "file_type", "num_lines", "start_line", "total_lines")
    ),
    "text_editor_code_execution_create_result": _CodeResult(_EDITOR, ("is_file_update",)),
    "text_editor_code_execution_str_replace_result": _CodeResult(_EDITOR, _LINE_KEYS),
}
_NULLABLE_CODE_KEYS: Final = frozenset({*_LINE_KEYS, "num_lines", "start_line", "total_lines"})


def _code_execution(result: ToolResultContent) -> Block | None:
    if result.output.type in ("error-text", "error-json"):
        error_type = "code_execution_tool_result_error"
        if _error_value(result.output).get("type") == error_type:
            return _error(result, "code_execution_tool_result", error_type)
        return _error(result, _BASH, "bash_code_execution_tool_result_error")
    output = _object(result.output)
    shape = _CODE_RESULTS.get(str(output.get("type")))
    if shape is None:
        return None
    content = {"type": output["type"], **{key: output.get(key) for key in shape.keys}}
    if "return_code" in shape.keys and content["content"] is None:
        content["content"] = []
    if any(content[key] is None for key in shape.keys if key not in _NULLABLE_CODE_KEYS):
        return None
    return _block(result, shape.block_type, content)


_RESULTS: Final[Mapping[str, Callable[[ToolResultContent], Block | None]]] = {
    "web_search": _web_search,
    "web_fetch": _web_fetch,
    "tool_search_tool_regex": _tool_search,
    "tool_search_tool_bm25": _tool_search,
    "advisor": _advisor,
    "code_execution": _code_execution,
}


# Shapes


def _block(result: ToolResultContent, block_type: str, content: Any) -> Block:
    return {"type": block_type, "tool_use_id": result.tool_call_id, "content": content}


def _error(result: ToolResultContent, block_type: str, error_type: str) -> Block:
    code = _error_value(result.output).get("errorCode")
    error_code = code if isinstance(code, str) else _UNAVAILABLE
    return _block(result, block_type, {"type": error_type, "error_code": error_code})


def _error_value(output: ToolResultOutput) -> JsonObject:
    """Return the error of a failed call. A client may store it as an object or as JSON text."""
    value = _parsed(output.value) if isinstance(output.value, str) else output.value
    return cast("JsonObject", value) if isinstance(value, Mapping) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _object(output: ToolResultOutput) -> JsonObject:
    value: Any = output.value
    return cast("JsonObject", value) if output.type == "json" and isinstance(value, Mapping) else {}


def _list_of_objects(output: ToolResultOutput) -> list[JsonObject] | None:
    value: Any = output.value
    if output.type != "json" or not isinstance(value, list):
        return None
    items = cast("list[Any]", value)
    return cast("list[JsonObject]", items) if all(isinstance(item, Mapping) for item in items) else None


def _has(value: JsonObject, **types: type) -> bool:
    return all(isinstance(value.get(key), kind) for key, kind in types.items())
