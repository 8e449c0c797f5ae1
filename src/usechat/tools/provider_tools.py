"""Tools that Anthropic defines: one typed constructor for each.

Anthropic executes most of them (``web_search``, ``code_execution``, …): their calls and results come within the answer.
``bash``, ``text_editor``, ``computer``, ``computer_toolset`` and ``memory`` are defined by Anthropic and executed here
by the given function, or by the client when no function is given. ``version`` is the date in Anthropic's name of the
tool. MCP servers that Anthropic calls are not tools; they are an option: `mcp_connector`.

Knows no request: `usechat.models.claude.request.tools` writes the tools into it. Upstream:
``@ai-sdk/anthropic/src/anthropic-tools.ts`` and ``src/tool`` (4.0.105).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from usechat.errors import ConfigurationError
from usechat.models.base import ProviderTool
from usechat.tools.schema import JsonSchemaInput
from usechat.tools.tool import NeedsApproval, Tool, find_context_parameter

__all__ = [
    "ComputerMember",
    "McpServer",
    "advisor",
    "bash",
    "code_execution",
    "computer",
    "computer_toolset",
    "mcp_connector",
    "memory",
    "provider_tool",
    "text_editor",
    "tool_search",
    "web_fetch",
    "web_search",
]

ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


def provider_tool(
    id: str,
    name: str,
    *,
    args: Mapping[str, Any] | None = None,
    execute: Callable[..., Any] | None = None,
    needs_approval: NeedsApproval = False,
    defers_results: bool = False,
) -> Tool:
    """Return a provider-defined tool by its id.

    Args:
        id: The provider's id, for instance ``anthropic.web_search_20250305``.
        name: The application's name for the tool.
        args: The fields of the definition. Fields that are None are left out.
        execute: The function that executes the tool when the provider does not. It gets the input as one argument.
        needs_approval: Whether the user must allow each call.
        defers_results: Whether a result may come in a later step.
    """
    given = {key: value for key, value in (args or {}).items() if value is not None}
    return Tool(
        name=name,
        schema=JsonSchemaInput(ANY_OBJECT),
        execute=execute,
        needs_approval=needs_approval,
        context_parameter=None if execute is None else find_context_parameter(execute),
        provider=ProviderTool(id=id, name=name, args=given, defers_results=defers_results),
    )


# Those that Anthropic carries out


def web_search(
    *,
    max_uses: int | None = None,
    allowed_domains: Sequence[str] | None = None,
    blocked_domains: Sequence[str] | None = None,
    user_location: Mapping[str, str] | None = None,
    response_inclusion: Literal["full", "excluded"] | None = None,
    version: Literal["20250305", "20260209", "20260318"] = "20250305",
    name: str = "web_search",
) -> Tool:
    """Search the web.

    Args:
        max_uses: The maximum number of searches in one request.
        allowed_domains: The only domains to use; not together with ``blocked_domains``.
        blocked_domains: Domains not to use.
        user_location: ``{"type": "approximate", "city": …, "region": …, "country": …, "timezone": …}``.
        response_inclusion: Whether results that code has used up are shown; from version 20260318.
        version: The version of the tool: a date.
        name: The application's name for the tool.

    Raises:
        ConfigurationError: Both lists of domains were given, or an option that the version does not have.
    """
    refuse_both_lists(allowed_domains, blocked_domains)
    require_version("20260318", version, response_inclusion=response_inclusion)
    args = {
        "max_uses": max_uses,
        "allowed_domains": allowed_domains,
        "blocked_domains": blocked_domains,
        "user_location": user_location,
        "response_inclusion": response_inclusion,
    }
    return provider_tool(f"anthropic.web_search_{version}", name, args=args, defers_results=True)


def web_fetch(
    *,
    max_uses: int | None = None,
    allowed_domains: Sequence[str] | None = None,
    blocked_domains: Sequence[str] | None = None,
    citations: bool | None = None,
    max_content_tokens: int | None = None,
    use_cache: bool | None = None,
    response_inclusion: Literal["full", "excluded"] | None = None,
    version: Literal["20250910", "20260209", "20260318"] = "20250910",
    name: str = "web_fetch",
) -> Tool:
    """Read a page or a PDF by its URL.

    Args:
        max_uses: The maximum number of fetches in one request.
        allowed_domains: The only domains to use; not together with ``blocked_domains``.
        blocked_domains: Domains not to use.
        citations: Whether the answer may cite the fetched pages.
        max_content_tokens: The maximum number of tokens of a page that the model gets.
        use_cache: Whether a page may come from Anthropic's cache; from version 20260318.
        response_inclusion: Whether results that code has used up are shown; from version 20260318.
        version: The version of the tool: a date.
        name: The application's name for the tool.

    Raises:
        ConfigurationError: Both lists of domains were given, or an option that the version does not have.
    """
    refuse_both_lists(allowed_domains, blocked_domains)
    require_version("20260318", version, use_cache=use_cache, response_inclusion=response_inclusion)
    args = {
        "max_uses": max_uses,
        "allowed_domains": allowed_domains,
        "blocked_domains": blocked_domains,
        "citations": None if citations is None else {"enabled": citations},
        "max_content_tokens": max_content_tokens,
        "use_cache": use_cache,
        "response_inclusion": response_inclusion,
    }
    return provider_tool(f"anthropic.web_fetch_{version}", name, args=args, defers_results=True)


def code_execution(
    *, version: Literal["20250522", "20250825", "20260120"] = "20250825", name: str = "code_execution"
) -> Tool:
    """Run code in Anthropic's sandbox; from 20250825 with a shell and files, from 20260120 calling other tools."""
    defers = version != "20250522"
    return provider_tool(f"anthropic.code_execution_{version}", name, defers_results=defers)


def tool_search(kind: Literal["bm25", "regex"] = "bm25", *, name: str | None = None) -> Tool:
    """Let the model look for tools among those whose ``provider_options`` say ``defer_loading``."""
    return provider_tool(
        f"anthropic.tool_search_{kind}_20251119", name or f"tool_search_tool_{kind}", defers_results=True
    )


def advisor(
    model: str,
    *,
    max_uses: int | None = None,
    max_tokens: int | None = None,
    caching: Mapping[str, str] | None = None,
    name: str = "advisor",
) -> Tool:
    """Return an advisor: a stronger model that the model can ask.

    Args:
        model: The advisor's name; at least as capable as the model itself.
        max_uses: The maximum number of calls in one request.
        max_tokens: The maximum number of tokens of one piece of advice; at least 1024.
        caching: ``{"type": "ephemeral", "ttl": "5m"}``.
        name: The application's name for the tool.

    Raises:
        ConfigurationError: ``max_tokens`` is too small.
    """
    if max_tokens is not None and max_tokens < 1024:
        raise ConfigurationError("advisor: max_tokens must be at least 1024")
    args = {"model": model, "max_uses": max_uses, "max_tokens": max_tokens, "caching": caching}
    return provider_tool("anthropic.advisor_20260301", name, args=args, defers_results=True)


class McpServer(TypedDict):
    """An MCP server that Anthropic connects to."""

    name: str
    url: str
    """The server's address, with ``https:``."""
    authorization_token: NotRequired[str]
    allowed_tools: NotRequired[Sequence[str]]
    """The names of the server's tools to offer; all by default."""
    enabled: NotRequired[bool]


def mcp_connector(*servers: McpServer) -> dict[str, dict[str, Any]]:
    """Return provider options that let Anthropic call MCP servers. The calls come within the answer.

    stream_text(model, provider_options=mcp_connector({"name": "tides", "url": "https://tides.example/mcp"}), …)
    """
    return {"anthropic": {"mcp_servers": [connected(server) for server in servers]}}


def connected(server: McpServer) -> dict[str, Any]:
    settings = {key: server.get(key) for key in ("enabled", "allowed_tools") if server.get(key) is not None}
    fields = {key: server.get(key) for key in ("name", "url", "authorization_token") if server.get(key) is not None}
    return {"type": "url", **fields, **({"tool_configuration": settings} if settings else {})}


# Those that are carried out here, or by the client


def memory(execute: Callable[..., Any] | None = None, *, name: str = "memory") -> Tool:
    """Return a folder of notes that the model keeps; ``execute`` gets ``{"command": "view" | "create" | …, …}``."""
    return provider_tool("anthropic.memory_20250818", name, execute=execute)


def bash(
    execute: Callable[..., Any] | None = None,
    *,
    needs_approval: NeedsApproval | None = None,
    version: Literal["20241022", "20250124"] = "20250124",
    name: str = "bash",
) -> Tool:
    """Return a shell; ``execute`` gets ``{"command": …}`` or ``{"restart": True}``.

    Args:
        execute: The function that executes the tool.
        needs_approval: Whether the user must allow each call. By default: yes when the tool runs here.
        version: The version of the tool: a date.
        name: The application's name for the tool.
    """
    asks = asks_when_run_here(execute, needs_approval)
    return provider_tool(f"anthropic.bash_{version}", name, execute=execute, needs_approval=asks)


def text_editor(
    execute: Callable[..., Any] | None = None,
    *,
    needs_approval: NeedsApproval | None = None,
    max_characters: int | None = None,
    version: Literal["20241022", "20250124", "20250429", "20250728"] = "20250728",
    name: str | None = None,
) -> Tool:
    """Return a file editor; ``execute`` gets ``{"command": …, "path": …, …}``.

    Args:
        execute: The function that executes the tool.
        needs_approval: Whether the user must allow each call. By default: yes when the tool runs here.
        max_characters: The maximum number of characters of a viewed file; from version 20250728.
        version: The version of the tool: a date.
        name: The application's name for the tool; Anthropic's name by default.

    Raises:
        ConfigurationError: The version does not have ``max_characters``.
    """
    require_version("20250728", version, max_characters=max_characters)
    own_name = "str_replace_editor" if version in ("20241022", "20250124") else "str_replace_based_edit_tool"
    return provider_tool(
        f"anthropic.text_editor_{version}",
        name or own_name,
        args={"max_characters": max_characters},
        execute=execute,
        needs_approval=asks_when_run_here(execute, needs_approval),
    )


def computer(
    execute: Callable[..., Any] | None = None,
    *,
    display_width_px: int,
    display_height_px: int,
    display_number: int | None = None,
    enable_zoom: bool | None = None,
    needs_approval: NeedsApproval | None = None,
    version: Literal["20241022", "20250124", "20251124"] = "20250124",
    name: str = "computer",
) -> Tool:
    """Return a screen, a mouse and a keyboard; ``execute`` gets ``{"action": …, …}``.

    Args:
        execute: The function that executes the tool.
        display_width_px: The width of the screen in pixels.
        display_height_px: The height of the screen in pixels.
        display_number: The display number of an X server.
        enable_zoom: Whether the model may zoom in; from version 20251124.
        needs_approval: Whether the user must allow each action. By default: yes when the tool runs here.
        version: The version of the tool: a date.
        name: The application's name for the tool.

    Raises:
        ConfigurationError: The version does not have ``enable_zoom``.
    """
    require_version("20251124", version, enable_zoom=enable_zoom)
    return provider_tool(
        f"anthropic.computer_{version}",
        name,
        args={
            "display_width_px": display_width_px,
            "display_height_px": display_height_px,
            "display_number": display_number,
            "enable_zoom": enable_zoom,
        },
        execute=execute,
        needs_approval=asks_when_run_here(execute, needs_approval),
    )


ComputerMember: TypeAlias = Literal[
    "screenshot",
    "zoom",
    "left_click",
    "right_click",
    "middle_click",
    "double_click",
    "triple_click",
    "left_click_drag",
    "mouse_move",
    "left_mouse_down",
    "left_mouse_up",
    "cursor_position",
    "scroll",
    "type",
    "key",
    "hold_key",
    "wait",
]


def computer_toolset(
    execute: Callable[..., Any] | None = None,
    *,
    configs: Mapping[ComputerMember, Mapping[Literal["enabled", "defer_loading"], bool]] | None = None,
    needs_approval: NeedsApproval | None = None,
    name: str = "computer",
) -> Tool:
    """Return the computer as a set of small tools (20260801); each call of one comes as ``{"action": …, …}``.

    Args:
        execute: The function that executes the tool.
        configs: Settings of single members. By default a member is enabled and loaded at once.
        needs_approval: Whether the user must allow each action. By default: yes when the tool runs here.
        name: The application's name for the tool.
    """
    return provider_tool(
        "anthropic.computer_toolset_20260801",
        name,
        args={"configs": configs},
        execute=execute,
        needs_approval=asks_when_run_here(execute, needs_approval),
    )


# What the constructors have in common


def asks_when_run_here(execute: Callable[..., Any] | None, needs_approval: NeedsApproval | None) -> NeedsApproval:
    """Return the approval rule: by default, a tool that runs on this machine asks the user."""
    return execute is not None if needs_approval is None else needs_approval


def require_version(since: str, version: str, **given: Any) -> None:
    # The request would be sent without these options, and nobody would notice.
    unknown = [argument for argument, value in given.items() if value is not None]
    if unknown and version < since:
        raise ConfigurationError(f"{unknown[0]} needs version {since} of the tool, not {version}")


def refuse_both_lists(allowed: Sequence[str] | None, blocked: Sequence[str] | None) -> None:
    if allowed and blocked:
        raise ConfigurationError("give allowed_domains or blocked_domains, not both")
