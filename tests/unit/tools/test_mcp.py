"""What becomes of the tools and results of MCP servers, whatever these say."""

from __future__ import annotations

from typing import Any

import pytest
from mcp import Client
from mcp.server import Server, ServerRequestContext
from mcp.types import Implementation, ListToolsResult, PaginatedRequestParams
from mcp.types import Tool as ListedTool

from usechat.messages.model import FileContent, TextContent, ToolResultOutput
from usechat.tools.mcp import mcp_tools, model_output

NAMES = ["a.b", "a/b", "a_b", "long" * 50, "long" * 51]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def list_one(context: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
    """A page of one tool each."""
    at = int(params.cursor or 0) if params is not None else 0
    more = str(at + 1) if at + 1 < len(NAMES) else None
    return ListToolsResult(tools=[ListedTool(name=NAMES[at], input_schema={"type": "object"})], next_cursor=more)


@pytest.mark.anyio
async def test_every_page_is_listed_and_names_stay_apart():
    server = Server[Any]("pages", on_list_tools=list_one)
    async with Client(server, client_info=Implementation(name="harbour-master", version="1")) as client:
        tools = await mcp_tools(client)
    assert [tool.name for tool in tools] == ["a_b", "a_b_2", "a_b_3", ("long" * 50)[:128], ("long" * 50)[:124] + "_2"]
    assert tools[0].metadata == {"clientName": "harbour-master", "toolName": "a.b"}
    assert tools[0].schema.json_schema == {"type": "object", "properties": {}, "additionalProperties": False}


RESULTS: list[tuple[Any, ToolResultOutput]] = [
    ({"content": [{"type": "text", "text": "a"}]}, ToolResultOutput("content", [TextContent("a")])),
    ({"content": [], "structuredContent": {"a": 1}}, ToolResultOutput("json", {"a": 1})),
    ({"content": []}, ToolResultOutput("content", [])),
    ({"content": [], "isError": True}, ToolResultOutput("error-text", "The tool failed.")),
    ({"content": [{"type": "text", "text": " "}], "isError": True}, ToolResultOutput("error-text", "The tool failed.")),
    (
        {"content": [{"type": "text", "text": "No."}], "isError": True},
        ToolResultOutput("content", [TextContent("No.")]),
    ),
    ({"content": [{"type": "audio"}], "isError": True}, ToolResultOutput("content", [TextContent('{"type":"audio"}')])),
    ("text", ToolResultOutput("text", "text")),
    (None, ToolResultOutput("json", None)),
    ({"content": "text"}, ToolResultOutput("json", {"content": "text"})),
    (
        {"content": [5, {"type": "text"}]},
        ToolResultOutput("content", [TextContent("5"), TextContent('{"type":"text"}')]),
    ),
    (
        {"content": [{"type": "resource", "resource": {"blob": "QUJD", "mimeType": "image/png"}}]},
        ToolResultOutput("content", [FileContent(media_type="image/png", data="QUJD")]),
    ),
]


@pytest.mark.parametrize(("result", "output"), RESULTS)
def test_the_model_gets_of_a_result_what_it_can_read(result: Any, output: ToolResultOutput):
    assert model_output(result) == output
