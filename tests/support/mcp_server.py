"""An MCP server with a tool of every kind: ``python -m tests.support.mcp_server`` on stdio, `http_app` over HTTP."""

from __future__ import annotations

import os
from base64 import b64decode

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Audio, Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import BlobResourceContents, EmbeddedResource, ResourceLink, TextResourceContents, ToolAnnotations

__all__ = ["PICTURE", "http_app", "server"]

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

server = MCPServer("harbour")


@server.tool(title="Tide table", annotations=ToolAnnotations(read_only_hint=True))
def tide(port: str, days: int = 1) -> dict[str, str]:
    """When high water is."""
    return {"port": port, "high_water": "14:20", "days": str(days)}


@server.tool(structured_output=False)
def greet(name: str) -> str:
    """Say hello."""
    return f"Hello {name}"


@server.tool()
def picture() -> Image:
    """A chart."""
    return Image(data=b64decode(PICTURE), format="png")


@server.tool()
def sound() -> Audio:
    """A fog horn."""
    return Audio(data=b"moo" * 100, format="wav")


@server.tool(structured_output=False)
def documents() -> list[EmbeddedResource | ResourceLink]:
    """Resources of every kind."""
    return [
        EmbeddedResource(type="resource", resource=TextResourceContents(uri="file:///a.txt", text="Low water")),
        EmbeddedResource(
            type="resource",
            resource=BlobResourceContents(uri="file:///a.pdf", mime_type="application/pdf", blob="JVBERi0xLjQK"),
        ),
        EmbeddedResource(
            type="resource",
            resource=BlobResourceContents(uri="file:///a.zip", mime_type="application/zip", blob="UEsDBA=="),
        ),
        ResourceLink(type="resource_link", uri="https://tides.example/", name="Tides"),
    ]


@server.tool()
def fail(why: str) -> str:
    """Raises."""
    raise ToolError(why)


@server.tool()
def die() -> str:
    """Ends the server."""
    os._exit(1)


@server.tool()
async def wait(folder: str) -> str:
    """Leaves a file in the folder when it begins, and one when it is cancelled; does not end."""
    await anyio.Path(folder, "begun").touch()
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.Path(folder, "cancelled").touch()
    return "never"


@server.tool(name="harbour/notices.list")
def notices() -> str:
    """Has a name that MCP allows."""
    return "none"


http_app = server.streamable_http_app()

if __name__ == "__main__":
    server.run("stdio")
