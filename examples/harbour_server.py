"""A small MCP server, which `examples.every_tool` starts and talks to over stdio."""

from mcp.server import MCPServer

server = MCPServer("harbour")


@server.tool(title="Tide table")
def tide_table(port: str) -> dict[str, str]:
    """When high water is at a port."""
    return {"port": port, "high_water": "14:20"}


if __name__ == "__main__":
    server.run("stdio")
