"""Ready-made tools: Anthropic's, and those of MCP servers. Make your own tools with `usechat.tool`."""

from usechat.tools.mcp import mcp_tools
from usechat.tools.provider_tools import (
    advisor,
    bash,
    code_execution,
    computer,
    computer_toolset,
    mcp_connector,
    memory,
    provider_tool,
    text_editor,
    tool_search,
    web_fetch,
    web_search,
)

__all__ = [
    "advisor",
    "bash",
    "code_execution",
    "computer",
    "computer_toolset",
    "mcp_connector",
    "mcp_tools",
    "memory",
    "provider_tool",
    "text_editor",
    "tool_search",
    "web_fetch",
    "web_search",
]
