"""Tools of MCP servers, through the ``mcp`` package (``usechat[mcp]``): it connects, this makes `Tool`s.

    from mcp import Client, StdioServerParameters

    async with Client("http://localhost:9000/mcp") as client:      # or StdioServerParameters(command="uvx", …)
        result = stream_text(model, messages=…, tools=await mcp_tools(client))

Clients get them as ``dynamic-tool`` parts, because nobody knows their types beforehand. Upstream: ``@ai-sdk/mcp``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from usechat.errors import ToolExecutionError
from usechat.generate.schema import JsonSchemaInput
from usechat.generate.tools import NeedsApproval, Tool
from usechat.messages.model import FileContent, TextContent, ToolResultOutput

if TYPE_CHECKING:
    from mcp import Client

__all__ = ["mcp_tools"]


async def mcp_tools(
    client: Client,
    *,
    prefix: str = "",
    needs_approval: NeedsApproval = False,
    timeout: float | None = 60.0,  # noqa: ASYNC109 - of each call, not of this one
) -> list[Tool]:
    """The tools of a connected MCP server.

    Args:
        client: The ``mcp`` package's; it must stay open as long as the tools are used.
        prefix: Put before each name, so that two servers' tools cannot meet.
        needs_approval: Whether the user must allow each call.
        timeout: Seconds that a call may take; None for no limit.
    """
    tools: list[Tool] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        tools += [
            Tool(
                name=prefix + listed.name,
                description=listed.description,
                title=listed.title,
                schema=JsonSchemaInput(listed.input_schema),
                execute=make_call(client, listed.name),
                needs_approval=needs_approval,
                timeout=timeout,
                dynamic=True,
                to_model_output=model_output,
            )
            for listed in page.tools
        ]
        cursor = page.next_cursor
        if cursor is None:
            return tools


def make_call(client: Client, name: str) -> Any:
    async def call(arguments: Mapping[str, Any]) -> dict[str, Any]:
        result = await client.call_tool(name, dict(arguments))
        shown = result.model_dump(mode="json", by_alias=True, exclude_none=True)
        if result.is_error:
            texts = [part["text"] for part in shown["content"] if part["type"] == "text"]
            raise ToolExecutionError("\n".join(texts) or "The tool failed.", tool_name=name)
        return shown

    return call


def model_output(result: Mapping[str, Any]) -> ToolResultOutput:
    """What the model gets of an MCP result: its content, or its structured content when that is all there is."""
    content = [part for item in result.get("content", ()) if (part := model_content(item)) is not None]
    if not content and "structuredContent" in result:
        return ToolResultOutput("json", result["structuredContent"])
    return ToolResultOutput("content", content)


def model_content(item: Mapping[str, Any]) -> TextContent | FileContent | None:
    match item:
        case {"type": "text", "text": str(text)}:
            return TextContent(text)
        case {"type": "image" | "audio", "data": str(data), "mimeType": str(media_type)}:
            return FileContent(media_type=media_type, data=data)
        case {"type": "resource", "resource": {"text": str(text)}}:
            return TextContent(text)
        case {"type": "resource", "resource": {"blob": str(blob), "mimeType": str(media_type)}}:
            return FileContent(media_type=media_type, data=blob)
        case {"type": "resource_link", "uri": str(uri)}:
            return TextContent(uri)
        case _:
            return None
