"""Results of the tools that Anthropic runs, in the form that the AI SDK shows to the client.

Each ``*_tool_result`` block arrives whole with its ``content_block_start``. Keys become camelCase as in the AI
SDK, except within code execution. Facts from ``@ai-sdk/anthropic`` 4.0.105 (``doStream``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from usechat.json import write_json
from usechat.models.claude.response.citations import CitationDocument, Citations
from usechat.models.claude.response.finish import as_object, pick
from usechat.parts import ModelPart, ProviderMetadata, ToolOutputAvailable, ToolOutputError

__all__ = ["RESULT_BLOCKS", "ServerTools"]

Json = dict[str, Any]


class McpCall(msgspec.Struct, frozen=True):
    """A call of an MCP server's tool, kept for its result."""

    tool_name: str
    metadata: ProviderMetadata


class ServerTools:
    """The earlier calls that a message's results refer to.

    Args:
        tool_names: The application's names of the provider's tools.
        citations: Records fetched documents and search hits.
    """

    __slots__ = (
        "_tool_names",
        "citations",
        "mcp_calls",
        "searches",
    )

    def __init__(self, tool_names: Mapping[str, str], citations: Citations) -> None:
        self.citations = citations
        self.mcp_calls: dict[str, McpCall] = {}
        self.searches: dict[str, str] = {}
        """The name of the tool search, by call id."""
        self._tool_names = tool_names

    def custom_name(self, provider_name: str) -> str:
        """Return the application's name for one of the provider's tools."""
        return self._tool_names.get(provider_name, provider_name)

    def search_name(self, tool_call_id: str) -> str:
        """Return the application's name of the tool search that a result belongs to. The call may be older."""
        name = self.searches.get(tool_call_id)
        if name is None:
            is_bm25 = "tool_search_tool_bm25" in self._tool_names
            name = "tool_search_tool_bm25" if is_bm25 else "tool_search_tool_regex"
        return self.custom_name(name)


def caller_of(block: Json) -> Json | None:
    """Return the tool's caller in the AI SDK's form: the model, or code that it runs."""
    caller = as_object(block.get("caller"))
    return {"type": caller.get("type"), **pick(caller, {"toolId": "tool_id"})} if caller else None


def _caller_metadata(block: Json) -> ProviderMetadata | None:
    caller = caller_of(block)
    return None if caller is None else {"anthropic": {"caller": caller}}


def _available(block: Json, tool_name: str, output: Any) -> ToolOutputAvailable:
    return ToolOutputAvailable(
        tool_call_id=block["tool_use_id"],
        tool_name=tool_name,
        output=output,
        provider_executed=True,
        provider_metadata=_caller_metadata(block),
    )


def _failed(block: Json, tool_name: str, error_type: str) -> ToolOutputError:
    code = as_object(block.get("content")).get("error_code")
    return ToolOutputError(
        tool_call_id=block["tool_use_id"],
        tool_name=tool_name,
        error_text=write_json({"type": error_type, "errorCode": code}),
        provider_executed=True,
        provider_metadata=_caller_metadata(block),
    )


def _web_fetch(block: Json, tools: ServerTools) -> list[ModelPart]:
    name, content = tools.custom_name("web_fetch"), as_object(block.get("content"))
    if content.get("type") != "web_fetch_result":
        return [_failed(block, name, "web_fetch_tool_result_error")]
    document = as_object(content.get("content"))
    source = as_object(document.get("source"))
    media_type = source.get("media_type") or "text/plain"
    title = content["url"] if document.get("title") is None else document["title"]
    tools.citations.documents.append(CitationDocument(title, media_type))
    shown: Json = {"type": document.get("type"), "title": document.get("title")}
    if "citations" in document:
        shown["citations"] = document["citations"]
    shown["source"] = {"type": source.get("type"), "mediaType": media_type, "data": source.get("data")}
    output = {
        "type": "web_fetch_result",
        "url": content["url"],
        "retrievedAt": content.get("retrieved_at"),
        "content": shown,
    }
    return [_available(block, name, output)]


def _web_search(block: Json, tools: ServerTools) -> list[ModelPart]:
    name, content = tools.custom_name("web_search"), block.get("content")
    if not isinstance(content, list):
        return [_failed(block, name, "web_search_tool_result_error")]
    hits = cast("list[Json]", content)
    output = [
        {
            "url": hit["url"],
            **pick(hit, {"title": "title"}),
            "pageAge": hit.get("page_age"),
            "encryptedContent": hit.get("encrypted_content"),
            "type": hit.get("type"),
        }
        for hit in hits
    ]
    return [_available(block, name, output), *(tools.citations.result_source(hit) for hit in hits)]


def _code_execution(block: Json, tools: ServerTools) -> list[ModelPart]:
    name, content = tools.custom_name("code_execution"), as_object(block.get("content"))
    if content.get("type") == "code_execution_tool_result_error":
        return [_failed(block, name, "code_execution_tool_result_error")]
    stdout = "encrypted_stdout" if content.get("type") == "encrypted_code_execution_result" else "stdout"
    output = {key: content.get(key) for key in ("type", stdout, "stderr", "return_code")}
    return [_available(block, name, output | {"content": content.get("content") or []})]


def _code_execution_command(block: Json, tools: ServerTools) -> list[ModelPart]:
    # Errors are outputs too: the AI SDK passes the content unchanged.
    return [_available(block, tools.custom_name("code_execution"), block.get("content"))]


def _tool_search(block: Json, tools: ServerTools) -> list[ModelPart]:
    name, content = tools.search_name(block["tool_use_id"]), as_object(block.get("content"))
    if content.get("type") != "tool_search_tool_search_result":
        return [_failed(block, name, "tool_search_tool_result_error")]
    references: list[Json] = content.get("tool_references") or []
    output = [{"type": each.get("type"), "toolName": each.get("tool_name")} for each in references]
    return [_available(block, name, output)]


_ADVICE = {
    "advisor_result": {"text": "text", "stopReason": "stop_reason"},
    "advisor_redacted_result": {"encryptedContent": "encrypted_content", "stopReason": "stop_reason"},
}


def _advisor(block: Json, tools: ServerTools) -> list[ModelPart]:
    name, content = tools.custom_name("advisor"), as_object(block.get("content"))
    fields = _ADVICE.get(content.get("type", ""))
    if fields is None:
        return [_failed(block, name, "advisor_tool_result_error")]
    return [_available(block, name, {"type": content["type"], **pick(content, fields)})]


def _mcp(block: Json, tools: ServerTools) -> list[ModelPart]:
    call = tools.mcp_calls.get(block["tool_use_id"]) or McpCall("mcp", {"anthropic": {"type": "mcp-tool-use"}})
    if block.get("is_error"):
        return [
            ToolOutputError(
                tool_call_id=block["tool_use_id"],
                tool_name=call.tool_name,
                error_text=_error_text(block.get("content")),
                provider_executed=True,
                dynamic=True,
                provider_metadata=call.metadata,
            )
        ]
    return [
        ToolOutputAvailable(
            tool_call_id=block["tool_use_id"],
            tool_name=call.tool_name,
            output=block.get("content"),
            provider_executed=True,
            dynamic=True,
            provider_metadata=call.metadata,
        )
    ]


def _error_text(content: Any) -> str:
    return content if isinstance(content, str) else write_json(content)


RESULT_BLOCKS: dict[str, Callable[[Json, ServerTools], list[ModelPart]]] = {
    "advisor_tool_result": _advisor,
    "bash_code_execution_tool_result": _code_execution_command,
    "code_execution_tool_result": _code_execution,
    "mcp_tool_result": _mcp,
    "text_editor_code_execution_tool_result": _code_execution_command,
    "tool_search_tool_result": _tool_search,
    "web_fetch_tool_result": _web_fetch,
    "web_search_tool_result": _web_search,
}
"""Readers of result blocks by type. A block without a required field raises `KeyError`."""
