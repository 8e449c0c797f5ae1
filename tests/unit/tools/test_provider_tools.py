"""Each constructor of a tool that Anthropic defines, down to what the request has of it."""

from __future__ import annotations

import inspect
import re
from functools import partial
from typing import Any

import pytest

from usechat import tools
from usechat.errors import ConfigurationError
from usechat.messages.model import TextContent, UserMessage
from usechat.models.base import ModelCall
from usechat.models.claude.request.request import build_request
from usechat.tools.tool import Tool, ToolContext


async def run(arguments: Any, context: ToolContext) -> None:
    """Carries a tool out."""


def asked(*given: Tool, **options: Any) -> dict[str, Any]:
    call = ModelCall(messages=[UserMessage((TextContent("Hi"),))], tools=[tool.definition for tool in given], **options)
    return build_request(call, "claude-sonnet-4-6").body


LOCATION = {"type": "approximate", "city": "Whitby", "country": "GB"}
SCREEN: dict[str, Any] = {"display_width_px": 800, "display_height_px": 600}
DEFINITIONS: list[tuple[Tool, dict[str, Any]]] = [
    (tools.web_search(), {"type": "web_search_20250305", "name": "web_search"}),
    (
        tools.web_search(max_uses=2, blocked_domains=["a.example"], user_location=LOCATION, name="look_up"),
        {
            "type": "web_search_20250305",
            "name": "web_search",
            "max_uses": 2,
            "blocked_domains": ["a.example"],
            "user_location": LOCATION,
        },
    ),
    (
        tools.web_search(version="20260318", response_inclusion="excluded"),
        {"type": "web_search_20260318", "name": "web_search", "response_inclusion": "excluded"},
    ),
    (
        tools.web_fetch(citations=True, max_content_tokens=500, allowed_domains=["a.example"]),
        {
            "type": "web_fetch_20250910",
            "name": "web_fetch",
            "allowed_domains": ["a.example"],
            "citations": {"enabled": True},
            "max_content_tokens": 500,
        },
    ),
    (
        tools.web_fetch(version="20260318", use_cache=False),
        {"type": "web_fetch_20260318", "name": "web_fetch", "use_cache": False},
    ),
    (tools.code_execution(), {"type": "code_execution_20250825", "name": "code_execution"}),
    (tools.tool_search(), {"type": "tool_search_tool_bm25_20251119", "name": "tool_search_tool_bm25"}),
    (tools.tool_search("regex"), {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"}),
    (
        tools.advisor("claude-opus-4-6", max_tokens=2048),
        {"type": "advisor_20260301", "name": "advisor", "model": "claude-opus-4-6", "max_tokens": 2048},
    ),
    (tools.memory(run), {"type": "memory_20250818", "name": "memory"}),
    (tools.bash(run), {"type": "bash_20250124", "name": "bash"}),
    (
        tools.text_editor(run, max_characters=9),
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool", "max_characters": 9},
    ),
    (tools.text_editor(run, version="20250124"), {"type": "text_editor_20250124", "name": "str_replace_editor"}),
    (
        tools.computer(run, **SCREEN, display_number=1, enable_zoom=True, version="20251124"),
        {"type": "computer_20251124", "name": "computer", **SCREEN, "display_number": 1, "enable_zoom": True},
    ),
    (
        tools.computer_toolset(run, configs={"zoom": {"enabled": False, "defer_loading": True}}),
        {"type": "computer_toolset_20260801", "configs": {"zoom": {"enabled": False, "defer_loading": True}}},
    ),
    (
        tools.provider_tool("anthropic.web_search_20250305", "search", args={"max_uses": 1}),
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 1},
    ),
]


@pytest.mark.parametrize(("given", "definition"), DEFINITIONS, ids=[given.name for given, _ in DEFINITIONS])
def test_the_request_has_the_tool(given: Tool, definition: dict[str, Any]):
    assert asked(given)["tools"] == [definition]


VERSIONED = {
    "web_search": tools.web_search,
    "web_fetch": tools.web_fetch,
    "code_execution": tools.code_execution,
    "bash": tools.bash,
    "text_editor": tools.text_editor,
    "computer": tools.computer,
}


def versions_of(constructor: Any) -> list[str]:
    """The versions that its annotation names, which stays text."""
    return re.findall(r"\d{8}", inspect.signature(constructor).parameters["version"].annotation)


@pytest.mark.parametrize("name", VERSIONED)
def test_every_version_that_can_be_named_is_one_that_requests_have(name: str):
    constructor: Any = VERSIONED[name]
    options = SCREEN if name == "computer" else {}
    versions = versions_of(constructor)
    assert len(versions) >= 2
    for version in versions:
        assert asked(constructor(version=version, **options))["tools"][0]["type"] == f"{name}_{version}"


@pytest.mark.parametrize(
    ("constructor", "options", "why"),
    [
        (tools.web_search, {"response_inclusion": "full"}, "response_inclusion needs version 20260318"),
        (tools.web_search, {"allowed_domains": ["a"], "blocked_domains": ["b"]}, "not both"),
        (tools.web_fetch, {"use_cache": True, "version": "20260209"}, "use_cache needs version 20260318"),
        (tools.web_fetch, {"allowed_domains": ["a"], "blocked_domains": ["b"]}, "not both"),
        (tools.text_editor, {"max_characters": 5, "version": "20250429"}, "max_characters needs version 20250728"),
        (tools.computer, {**SCREEN, "enable_zoom": True}, "enable_zoom needs version 20251124"),
        (tools.advisor, {"model": "claude-opus-4-6", "max_tokens": 1000}, "at least 1024"),
    ],
)
def test_what_the_request_could_not_have_is_refused(constructor: Any, options: dict[str, Any], why: str):
    with pytest.raises(ConfigurationError, match=why):
        constructor(**options)


@pytest.mark.parametrize(
    "constructor", [tools.bash, tools.text_editor, tools.computer_toolset, partial(tools.computer, **SCREEN)]
)
def test_what_acts_on_this_machine_asks_unless_told_otherwise(constructor: Any):
    assert constructor(run).needs_approval is True
    assert constructor(run, needs_approval=False).needs_approval is False
    assert constructor().needs_approval is False


def test_a_function_may_ask_for_the_context():
    assert tools.bash(run).context_parameter == "context"
    assert tools.bash().context_parameter is None


@pytest.mark.parametrize(
    ("given", "defers"),
    [
        (tools.web_search(), True),
        (tools.web_fetch(), True),
        (tools.code_execution(), True),
        (tools.code_execution(version="20250522"), False),
        (tools.tool_search(), True),
        (tools.advisor("claude-opus-4-6"), True),
        (tools.memory(run), False),
        (tools.bash(run), False),
    ],
)
def test_only_for_results_that_may_come_later_the_loop_goes_on(given: Tool, defers: bool):
    assert given.provider is not None
    assert given.provider.defers_results is defers


def test_mcp_servers_go_into_the_request():
    options = tools.mcp_connector(
        {"name": "tides", "url": "https://tides.example/mcp"},
        {"name": "buoys", "url": "https://buoys.example/mcp", "authorization_token": "t", "allowed_tools": ["read"]},
    )
    assert asked(provider_options=options)["mcp_servers"] == [
        {"type": "url", "name": "tides", "url": "https://tides.example/mcp"},
        {
            "type": "url",
            "name": "buoys",
            "url": "https://buoys.example/mcp",
            "authorization_token": "t",
            "tool_configuration": {"allowed_tools": ["read"]},
        },
    ]


def test_every_constructor_is_public():
    assert {"web_search", "computer_toolset", "mcp_connector", "mcp_tools", "provider_tool"} <= set(tools.__all__)
    assert tools.__all__ == sorted(tools.__all__)
    assert all(callable(getattr(tools, name)) for name in tools.__all__)
