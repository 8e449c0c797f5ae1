"""Convert tools and the tool choice for the Messages API, with the beta features that each tool needs.

Each tool that Anthropic defines is one row of a table. Knows no messages, and does not run tools.

Source: ``@ai-sdk/anthropic/src/anthropic-prepare-tools.ts`` (4.0.105).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from usechat.models.base import FunctionTool, ProviderTool, ToolChoice, ToolDefinition
from usechat.models.claude.keys import CacheBreakpoints, anthropic_options, snake_keys

__all__ = [
    "PreparedTools",
    "ToolSettings",
    "prepare_tools",
    "provider_tool_name",
    "provider_tool_names",
    "toolset_names",
]


class _Row(msgspec.Struct, frozen=True):
    type: str
    name: str | None
    beta: str | None = None
    args: tuple[str, ...] = ()
    """The arguments that go into the definition, by the application's names."""


_SEARCH: Final = ("maxUses", "allowedDomains", "blockedDomains", "userLocation")
_FETCH: Final = ("maxUses", "allowedDomains", "blockedDomains", "citations", "maxContentTokens")
_SCREEN: Final = ("displayWidthPx", "displayHeightPx", "displayNumber")
_COMPUTER_2024: Final = "computer-use-2024-10-22"
_COMPUTER_2025: Final = "computer-use-2025-01-24"
_WEB_CODE: Final = "code-execution-web-tools-2026-02-09"
_EDITOR: Final = "str_replace_based_edit_tool"

_PROVIDER_TOOLS: Final[Mapping[str, _Row]] = {
    "anthropic.code_execution_20250522": _Row("code_execution_20250522", "code_execution", "code-execution-2025-05-22"),
    "anthropic.code_execution_20250825": _Row("code_execution_20250825", "code_execution", "code-execution-2025-08-25"),
    "anthropic.code_execution_20260120": _Row("code_execution_20260120", "code_execution"),
    "anthropic.computer_20241022": _Row("computer_20241022", "computer", _COMPUTER_2024, _SCREEN),
    "anthropic.computer_20250124": _Row("computer_20250124", "computer", _COMPUTER_2025, _SCREEN),
    "anthropic.computer_20251124": _Row(
        "computer_20251124", "computer", "computer-use-2025-11-24", (*_SCREEN, "enableZoom")
    ),
    "anthropic.computer_toolset_20260801": _Row("computer_toolset_20260801", None, None, ("configs",)),
    "anthropic.text_editor_20241022": _Row("text_editor_20241022", "str_replace_editor", _COMPUTER_2024),
    "anthropic.text_editor_20250124": _Row("text_editor_20250124", "str_replace_editor", _COMPUTER_2025),
    "anthropic.text_editor_20250429": _Row("text_editor_20250429", _EDITOR, _COMPUTER_2025),
    "anthropic.text_editor_20250728": _Row("text_editor_20250728", _EDITOR, None, ("maxCharacters",)),
    "anthropic.bash_20241022": _Row("bash_20241022", "bash", _COMPUTER_2024),
    "anthropic.bash_20250124": _Row("bash_20250124", "bash", _COMPUTER_2025),
    "anthropic.memory_20250818": _Row("memory_20250818", "memory", "context-management-2025-06-27"),
    "anthropic.web_search_20250305": _Row("web_search_20250305", "web_search", None, _SEARCH),
    "anthropic.web_search_20260209": _Row("web_search_20260209", "web_search", _WEB_CODE, _SEARCH),
    "anthropic.web_search_20260318": _Row("web_search_20260318", "web_search", None, (*_SEARCH, "responseInclusion")),
    "anthropic.web_fetch_20250910": _Row("web_fetch_20250910", "web_fetch", "web-fetch-2025-09-10", _FETCH),
    "anthropic.web_fetch_20260209": _Row("web_fetch_20260209", "web_fetch", _WEB_CODE, _FETCH),
    "anthropic.web_fetch_20260318": _Row(
        "web_fetch_20260318", "web_fetch", None, (*_FETCH, "useCache", "responseInclusion")
    ),
    "anthropic.tool_search_regex_20251119": _Row("tool_search_tool_regex_20251119", "tool_search_tool_regex"),
    "anthropic.tool_search_bm25_20251119": _Row("tool_search_tool_bm25_20251119", "tool_search_tool_bm25"),
    "anthropic.advisor_20260301": _Row(
        "advisor_20260301", "advisor", "advisor-tool-2026-03-01", ("model", "maxUses", "maxTokens", "caching")
    ),
}
_TOOLSETS: Final[Mapping[str, str]] = {"anthropic.computer_toolset_20260801": "computer"}


class ToolSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of the call and of the model that affect tools."""

    streams_input: bool = True
    """Whether the inputs of tools are streamed, unless a tool's options decide."""
    has_strict_tools: bool = False
    announces_structured_output: bool = False
    can_force_tools: bool = True
    disables_parallel_use: bool | None = None


class PreparedTools(msgspec.Struct, frozen=True, kw_only=True):
    """The ``tools`` and ``tool_choice`` of a request; ``None`` when the request has none."""

    tools: list[dict[str, Any]] | None = None
    tool_choice: dict[str, Any] | None = None
    betas: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def provider_tool_names(tools: Sequence[ToolDefinition]) -> dict[str, str]:
    """Return a map from the provider's names of its tools to the application's names."""
    names = ((_provider_name(tool), tool.name) for tool in tools if isinstance(tool, ProviderTool))
    return {provider_name: name for provider_name, name in names if provider_name is not None}


def _provider_name(tool: ProviderTool) -> str | None:
    row = _PROVIDER_TOOLS.get(tool.id)
    return None if row is None else row.name or _TOOLSETS[tool.id]


def provider_tool_name(tool_names: Mapping[str, str], custom_name: str) -> str:
    """Return the provider's name for an application's name of a tool."""
    return next((theirs for theirs, ours in tool_names.items() if ours == custom_name), custom_name)


def toolset_names(tools: Sequence[ToolDefinition]) -> dict[str, str]:
    """Return a map from the application's names of toolsets to the provider's names, for calls of their members."""
    return {tool.name: _TOOLSETS[tool.id] for tool in tools if isinstance(tool, ProviderTool) and tool.id in _TOOLSETS}


def prepare_tools(
    tools: Sequence[ToolDefinition], choice: ToolChoice | None, settings: ToolSettings, cache: CacheBreakpoints
) -> PreparedTools:
    """Return the tools and the tool choice of the request. Without tools there is no choice."""
    if not tools:
        return PreparedTools()
    definitions: list[dict[str, Any]] = []
    betas: list[str] = []
    warnings: list[str] = []
    for tool in tools:
        if isinstance(tool, FunctionTool):
            options = anthropic_options(tool.provider_options)
            definitions.append(_function_definition(tool, options, settings, cache))
            betas += _function_betas(options, settings)
        elif tool.id in _PROVIDER_TOOLS:
            row = _PROVIDER_TOOLS[tool.id]
            definitions.append(_provider_definition(row, tool.args))
            betas.extend([row.beta] if row.beta else [])
        else:
            warnings.append(f"provider-defined tool {tool.id} is not known and was left out")
    kept, tool_choice, warning = _choose(definitions, choice or "auto", settings)
    return PreparedTools(
        tools=kept,
        tool_choice=tool_choice,
        betas=tuple(dict.fromkeys(betas)),
        warnings=(*warnings, *([warning] if warning else [])),
    )


def _function_definition(
    tool: FunctionTool, options: Mapping[str, Any], settings: ToolSettings, cache: CacheBreakpoints
) -> dict[str, Any]:
    definition: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        definition["description"] = tool.description
    definition["input_schema"] = tool.input_schema
    if options:
        definition |= cache.reserve(tool.provider_options, "tool definition")
    if options.get("eager_input_streaming", settings.streams_input):
        definition["eager_input_streaming"] = True
    if not options:
        return definition
    if settings.has_strict_tools and options.get("strict") is not None:
        definition["strict"] = options["strict"]
    for key in ("defer_loading", "allowed_callers", "input_examples"):
        if options.get(key) is not None:
            definition[key] = options[key]
    return definition


def _function_betas(options: Mapping[str, Any], settings: ToolSettings) -> list[str]:
    structured = settings.announces_structured_output and settings.has_strict_tools
    advanced = options.get("input_examples") is not None or options.get("allowed_callers") is not None
    return ["structured-outputs-2025-11-13"] * structured + ["advanced-tool-use-2025-11-20"] * advanced


def _provider_definition(row: _Row, args: Mapping[str, Any]) -> dict[str, Any]:
    given = {key: value for key, value in snake_keys(args).items() if value is not None}
    named = {} if row.name is None else {"name": row.name}
    known = (_snake(argument) for argument in row.args)
    return {"type": row.type, **named, **{key: given[key] for key in known if key in given}}


def _snake(name: str) -> str:
    return next(iter(snake_keys({name: None})))


def _choose(
    tools: list[dict[str, Any]], choice: ToolChoice, settings: ToolSettings
) -> tuple[list[dict[str, Any]], dict[str, Any], str | None]:
    parallel: dict[str, Any] = (
        {} if settings.disables_parallel_use is None else {"disable_parallel_tool_use": settings.disables_parallel_use}
    )
    named = choice.removeprefix("tool:") if choice.startswith("tool:") else None
    if choice == "none":
        return tools, {"type": "none"}, None
    if choice == "auto":
        return tools, {"type": "auto", **parallel}, None
    if not settings.can_force_tools:
        kept = tools if named is None else [tool for tool in tools if tool.get("name") == named]
        return kept, {"type": "auto", **parallel}, "this model or thinking mode cannot be made to use a tool"
    forced: dict[str, Any] = {"type": "any"} if named is None else {"type": "tool", "name": named}
    return tools, {**forced, **parallel}, None
