"""Tools of MCP servers. The ``mcp`` package (``usechat[mcp]``) connects; this module makes `Tool`s.

    from mcp import Client, StdioServerParameters

    async with Client("http://localhost:9000/mcp") as client:      # or StdioServerParameters(command="uvx", …)
        result = stream_text(model, messages=…, tools=await mcp_tools(client))

Clients get the calls as ``dynamic-tool`` parts, because their types are not known beforehand. An error that a server
reports is a normal result with ``isError``. Knows no transport. Upstream: ``@ai-sdk/mcp/src/tool/mcp-client.ts``
(2.0.99).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from usechat.json import encode_json
from usechat.messages.call_words import FAILED
from usechat.messages.model import FileContent, TextContent, ToolResultOutput
from usechat.models.object_schema import NoObjectError, object_schema
from usechat.tools.schema import JsonSchemaInput
from usechat.tools.tool import NeedsApproval, Tool

if TYPE_CHECKING:
    from mcp import Client
    from mcp.types import Tool as ListedTool

__all__ = ["mcp_tools"]

logger = logging.getLogger(__name__)

NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")
MAX_NAME_LENGTH = 128


async def mcp_tools(
    client: Client,
    *,
    prefix: str = "",
    only: Iterable[str] | None = None,
    needs_approval: NeedsApproval = False,
    timeout: float | None = 60.0,  # noqa: ASYNC109 - it is each call's, not this function's
) -> list[Tool]:
    """Return the tools of a connected MCP server.

    Args:
        client: A client of the ``mcp`` package. Keep it open as long as the tools are used.
        prefix: Text before each name, so that the names of two servers cannot collide.
        only: The server's names of the tools to return; all by default.
        needs_approval: Whether the user must allow each call.
        timeout: Seconds that a call may take; None for no limit.
    """
    wanted = None if only is None else set(only)
    listed = [tool for tool in await list_tools(client) if wanted is None or tool.name in wanted]
    taken: set[str] = set()
    return [
        Tool(
            name=choose_name(prefix + tool.name, taken),
            description=tool.description,
            title=title_of(tool),
            schema=input_of(tool),
            execute=make_call(client, tool.name),
            needs_approval=needs_approval,
            timeout=timeout,
            dynamic=True,
            metadata=metadata_of(client, tool),
            to_model_output=model_output,
        )
        for tool in listed
    ]


async def list_tools(client: Client) -> list[ListedTool]:
    page = await client.list_tools()
    tools = list(page.tools)
    while page.next_cursor is not None:
        page = await client.list_tools(cursor=page.next_cursor)
        tools += page.tools
    return tools


def choose_name(name: str, taken: set[str]) -> str:
    """Return a name that Anthropic accepts. MCP allows dots and slashes; Anthropic refuses them."""
    chosen = plain = NOT_IN_NAMES.sub("_", name)[:MAX_NAME_LENGTH]
    number = 2
    while chosen in taken:
        chosen, number = f"{plain[: MAX_NAME_LENGTH - 4]}_{number}", number + 1
    taken.add(chosen)
    return chosen


def title_of(tool: ListedTool) -> str | None:
    return tool.title or (tool.annotations.title if tool.annotations is not None else None)


def input_of(tool: ListedTool) -> JsonSchemaInput:
    try:
        return JsonSchemaInput(closed(object_schema(tool.input_schema)))
    except NoObjectError:
        # The server's schema may be anything, but the input is always an object, and the server checks it.
        logger.warning("the schema of the MCP server's tool %s describes no object: it takes any", tool.name)
        return JsonSchemaInput({"type": "object"})


def closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**schema, "properties": schema.get("properties") or {}, "additionalProperties": False}


def metadata_of(client: Client, tool: ListedTool) -> dict[str, Any]:
    """Return the server and the annotations of a tool, in the form that clients of the AI SDK get."""
    metadata: dict[str, Any] = {"toolName": tool.name}
    if client.client_info is not None:
        metadata["clientName"] = client.client_info.name
    if (title := title_of(tool)) is not None:
        metadata["title"] = title
    if tool.annotations is not None:
        metadata["annotations"] = tool.annotations.model_dump(by_alias=True, exclude_none=True)
    return metadata


def make_call(client: Client, name: str) -> Callable[[Mapping[str, Any]], Coroutine[Any, Any, dict[str, Any]]]:
    async def call(arguments: Mapping[str, Any]) -> dict[str, Any]:
        result = await client.call_tool(name, dict(arguments))
        return result.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"result_type"})

    return call


def model_output(result: Any) -> ToolResultOutput:
    """Return an MCP result for the model: its content, or the unchanged result when that has no content."""
    content = result.get("content") if isinstance(result, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(content, list):
        return ToolResultOutput("text" if isinstance(result, str) else "json", result)
    if not content and "structuredContent" in result:
        return ToolResultOutput("json", result["structuredContent"])
    if "isError" in result and result["isError"] and not any(map(says_something, content)):  # pyright: ignore[reportUnknownArgumentType]
        return ToolResultOutput("error-text", FAILED)
    return ToolResultOutput("content", [model_content(item) for item in content])  # pyright: ignore[reportUnknownVariableType]


def says_something(item: Any) -> bool:
    match item:
        case {"type": "text", "text": str(text)}:
            return bool(text.strip())
        case _:
            return True


def model_content(item: Any) -> TextContent | FileContent:
    match item:
        case {"type": "text", "text": str(text)}:
            return TextContent(text)
        case {"type": "image", "data": str(data), "mimeType": str(media_type)}:
            return FileContent(media_type=media_type, data=data)
        case {"type": "resource", "resource": {"blob": str(blob), "mimeType": str(media_type)}} if is_readable(
            media_type
        ):
            return FileContent(media_type=media_type, data=blob)
        # No model reads other bytes, and their base64 text would cost very many tokens.
        case {"type": "audio", "data": str(data)}:
            return as_text({**item, "data": left_out(data)})
        case {"type": "resource", "resource": {"blob": str(blob)}}:
            return as_text({**item, "resource": {**item["resource"], "blob": left_out(blob)}})
        case _:
            return as_text(item)


def is_readable(media_type: str) -> bool:
    return media_type == "application/pdf" or media_type.startswith("image/")


def left_out(base64: str) -> str:
    return f"({len(base64)} characters of base64)"


def as_text(value: Any) -> TextContent:
    return TextContent(encode_json(value).decode())
