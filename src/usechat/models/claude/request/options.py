"""Convert the settings of a model call to fields of a Messages API request, with the beta features they need.

Every known provider option is one row of a table. An unknown option goes into the request under its snake_case name, so
an application can set fields that this package does not know yet. Settings that a model refuses are changed or left out
with a warning, never with an error.

Source: ``AnthropicLanguageModel.prepareRequest`` in ``@ai-sdk/anthropic/src/anthropic-language-model.ts`` (4.0.105).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec

from usechat.messages.model import (
    AssistantMessage,
    ModelMessage,
    ReasoningContent,
    ToolMessage,
    ToolResultContent,
    UserMessage,
)
from usechat.models.base import ModelCall
from usechat.models.claude.catalog import ModelCapabilities
from usechat.models.claude.keys import anthropic_options, snake_keys
from usechat.models.claude.request.schema import sanitize_schema, supports_native_output

__all__ = ["Settings", "is_thinking", "resolve_settings", "uses_native_output"]

JsonObject: TypeAlias = dict[str, Any]

_HIGH_EFFORTS: Final = ("xhigh", "max")
_DEFAULT_BUDGET: Final = 1024
_EFFORTS: Final = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max"}
"""The effort of models that think adaptively, by the portable words. Those before 4.7 have no ``xhigh``."""
_SHARES: Final = {"minimal": 0.02, "low": 0.1, "medium": 0.3, "high": 0.6, "xhigh": 0.9}
"""The share of the output tokens that the other models may think, as in the AI SDK."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of the request, and the provider options that affect other parts of it."""

    body: JsonObject
    betas: tuple[str, ...]
    warnings: tuple[str, ...]
    thinking_type: str | None
    sends_reasoning: bool
    streams_tool_input: bool
    disables_parallel_tool_use: bool | None
    structured_output_mode: str


def resolve_settings(call: ModelCall, model_id: str, capabilities: ModelCapabilities) -> Settings:
    """Return the fields of a request that come from settings and not from messages or tools."""
    options = anthropic_options(call.provider_options)
    warnings: list[str] = []
    thinking, effort = _resolve_thinking({**_asked_thinking(call, capabilities), **options}, capabilities, warnings)
    if capabilities.can_drop_thinking and _may_mismatch(call.messages):
        thinking = _with_dropping(thinking)
    mode = options.get("structured_output_mode", "auto")
    body: JsonObject = {
        "model": model_id,
        "max_tokens": _max_tokens(call, thinking, capabilities, warnings),
        **_sampling(call, model_id, thinking, capabilities, warnings),
        **({"stop_sequences": list(call.stop_sequences)} if call.stop_sequences else {}),
        **({"thinking": thinking} if thinking else {}),
        **_output_config(call, options, effort, capabilities),
    }
    for key, value in options.items():
        if key not in _HANDLED and value is not None:
            body |= _FIELDS.get(key, _pass_through)(key, value)
    return Settings(
        body=body,
        betas=_betas(options, body),
        warnings=tuple(warnings),
        thinking_type=None if thinking is None else thinking.get("type"),
        sends_reasoning=options.get("send_reasoning") is not False,
        streams_tool_input=options.get("tool_streaming") is not False,
        disables_parallel_tool_use=options.get("disable_parallel_tool_use"),
        structured_output_mode=mode,
    )


def is_thinking(thinking_type: str | None) -> bool:
    """Return whether the ``type`` of ``thinking`` in the request enables thinking."""
    return thinking_type in ("enabled", "adaptive", "between_tools")


def uses_native_output(call: ModelCall, mode: str, capabilities: ModelCapabilities) -> bool:
    """Return whether the response format is requested natively, and not with a tool called ``json``."""
    if call.response_format is None:
        return False
    fits = supports_native_output(call.response_format.json_schema)
    is_automatic = mode == "auto" and capabilities.has_structured_output and fits
    # The request must force the ``json`` tool. A model that cannot be forced gets the native form if possible.
    is_only_way = capabilities.has_structured_output and fits and not capabilities.can_force_tools
    return mode == "outputFormat" or is_automatic or is_only_way


# Thinking


def _asked_thinking(call: ModelCall, capabilities: ModelCapabilities) -> JsonObject:
    """Return the options for the call's portable `Reasoning`."""
    asked = call.reasoning
    if (
        asked is None
        or asked == "provider-default"
        or not {"thinking", "effort"}.isdisjoint(anthropic_options(call.provider_options))
    ):
        return {}
    if asked == "none":
        return {"thinking": {"type": "disabled"}}
    if capabilities.has_adaptive_thinking:
        return {"thinking": {"type": "adaptive"}, "effort": _EFFORTS[asked]}
    most = call.max_output_tokens or capabilities.max_output_tokens
    return {"thinking": {"type": "enabled", "budget_tokens": max(_DEFAULT_BUDGET, round(most * _SHARES[asked]))}}


def _resolve_thinking(
    options: Mapping[str, Any], capabilities: ModelCapabilities, warnings: list[str]
) -> tuple[JsonObject | None, Any]:
    given = options.get("thinking")
    effort = options.get("effort")
    if not isinstance(given, Mapping):
        return None, effort
    thinking = {key: value for key, value in cast("JsonObject", snake_keys(given)).items() if value is not None}
    thinking = _supported_thinking(thinking, capabilities, warnings)
    kind = thinking.get("type")
    is_bound = kind == "between_tools" or (
        kind == "disabled" and not capabilities.can_disable_thinking_above_high_effort
    )
    if is_bound and effort in _HIGH_EFFORTS:
        warnings.append(f"effort '{effort}' does not go with this thinking mode and was lowered to 'high'")
        effort = "high"
    return thinking or None, effort


def _may_mismatch(messages: Sequence[ModelMessage]) -> bool:
    """Return whether the history may have a tool error that differs from the one that the model saw when it thought.

    A browser sends back the masked text of an error, and the model saw the full text.
    """
    last_user = max((at for at, message in enumerate(messages) if isinstance(message, UserMessage)), default=0)
    has_failed = False
    for message in messages[:last_user]:
        if isinstance(message, ToolMessage):
            has_failed = has_failed or any(
                isinstance(part, ToolResultContent) and part.output.type == "error-text" for part in message.content
            )
        elif has_failed and isinstance(message, AssistantMessage) and _has_thought(message):
            return True
    return False


def _has_thought(message: AssistantMessage) -> bool:
    return any(isinstance(part, ReasoningContent) for part in message.content)


def _with_dropping(thinking: JsonObject | None) -> JsonObject | None:
    # block_binding cannot be combined with thinking between tools, and has no effect without thinking.
    if thinking is not None and ("block_binding" in thinking or thinking.get("type") in ("between_tools", "disabled")):
        return thinking
    return {**(thinking or {}), "block_binding": {"prefix_mismatch_behavior": "drop_block"}}


def _supported_thinking(thinking: JsonObject, capabilities: ModelCapabilities, warnings: list[str]) -> JsonObject:
    binding = {key: thinking[key] for key in ("block_binding",) if key in thinking}
    kind = thinking.get("type")
    if kind == "disabled" and not capabilities.can_disable_thinking:
        warnings.append("this model's thinking cannot be disabled")
        return {"type": "between_tools"} if capabilities.has_between_tools_thinking else {}
    if kind == "enabled" and not capabilities.has_budget_thinking:
        warnings.append("this model takes no thinking budget and thinks adaptively")
        return {"type": "adaptive"}
    if kind == "enabled":
        if thinking.get("budget_tokens") is None:
            warnings.append(f"thinking without a budget gets {_DEFAULT_BUDGET} tokens")
        return {"type": kind, "budget_tokens": thinking.get("budget_tokens", _DEFAULT_BUDGET), **binding}
    shown = {"display": thinking["display"]} if kind == "adaptive" and "display" in thinking else {}
    return {**({} if kind is None else {"type": kind}), **shown, **binding}


def _max_tokens(
    call: ModelCall, thinking: JsonObject | None, capabilities: ModelCapabilities, warnings: list[str]
) -> int:
    asked = capabilities.max_output_tokens if call.max_output_tokens is None else call.max_output_tokens
    total = asked + (thinking or {}).get("budget_tokens", 0)
    if call.max_output_tokens is None and not capabilities.is_known:
        warnings.append(f"the model is unknown; its answer is limited to {asked} tokens")
    if not capabilities.is_known or total <= capabilities.max_output_tokens:
        return total
    if call.max_output_tokens is not None:
        warnings.append(f"{total} output tokens are more than this model's {capabilities.max_output_tokens}")
    return capabilities.max_output_tokens


# Sampling


def _sampling(
    call: ModelCall, model_id: str, thinking: JsonObject | None, capabilities: ModelCapabilities, warnings: list[str]
) -> JsonObject:
    asked = {"temperature": call.temperature, "top_k": call.top_k, "top_p": call.top_p}
    given: JsonObject = {key: value for key, value in asked.items() if value is not None}
    if not given:
        return {}
    if not capabilities.takes_sampling or is_thinking((thinking or {}).get("type")):
        warnings.append(f"{', '.join(given)}: not taken by this model or while thinking")
        return {}
    if "temperature" in given:
        clamped = min(max(given["temperature"], 0), 1)
        if clamped != given["temperature"]:
            warnings.append(f"temperature was limited to {clamped}")
        given["temperature"] = clamped
        is_claude = capabilities.is_known or "claude-" in model_id
        if is_claude and given.pop("top_p", None) is not None:
            warnings.append("top_p was left out: it does not go with temperature")
    return given


# Output


def _output_config(
    call: ModelCall, options: Mapping[str, Any], effort: Any, capabilities: ModelCapabilities
) -> JsonObject:
    config: JsonObject = dict(snake_keys(options.get("output_config") or {}))
    if effort:
        config["effort"] = effort
    if options.get("task_budget"):
        config["task_budget"] = snake_keys(options["task_budget"])
    if uses_native_output(call, options.get("structured_output_mode", "auto"), capabilities):
        schema = cast("Any", call.response_format).json_schema
        config["format"] = {"type": "json_schema", "schema": sanitize_schema(schema)}
    return {"output_config": config} if config else {}


# Other options

_HANDLED: Final = frozenset(
    {
        "thinking",
        "effort",
        "task_budget",
        "output_config",
        "structured_output_mode",
        "send_reasoning",
        "tool_streaming",
        "disable_parallel_tool_use",
        "anthropic_beta",
        "include_pings",
    }
)


def _pass_through(key: str, value: Any) -> JsonObject:
    return {key: snake_keys(value)}


def _unchanged(key: str, value: Any) -> JsonObject:
    return {key: value} if value else {}


def _metadata(key: str, value: Any) -> JsonObject:
    fields = {name: item for name, item in snake_keys(value).items() if item is not None}
    return {key: fields} if fields else {}


def _mcp_servers(key: str, value: Any) -> JsonObject:
    servers = [_without_none(server) for server in snake_keys(value)]
    return {key: servers} if servers else {}


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        members = cast("JsonObject", value).items()
        return {key: _without_none(item) for key, item in members if item is not None}
    return value


def _container(key: str, value: Any) -> JsonObject:
    if isinstance(value, str):
        return {key: value}
    fields = _without_none(snake_keys(value))
    skills = fields.get("skills")
    if not skills:
        return {key: fields["id"]} if fields.get("id") else {}
    return {key: {**fields, "skills": [_skill(skill) for skill in skills]}}


def _skill(skill: JsonObject) -> JsonObject:
    reference = skill.get("provider_reference")
    own = {} if reference is None else {"skill_id": reference.get("anthropic")}
    return {key: value for key, value in {**skill, **own}.items() if key != "provider_reference"}


def _safeguards(key: str, value: Any) -> JsonObject:
    # The classifier's context is the application's data, so its keys do not change.
    renamed = [
        {("classifier_context" if name == "classifierContext" else name): item for name, item in guard.items()}
        for guard in value
    ]
    return {key: renamed} if renamed else {}


_FIELDS: Final[Mapping[str, Callable[[str, Any], JsonObject]]] = {
    "speed": _unchanged,
    "service_tier": _unchanged,
    "inference_geo": _unchanged,
    "fallbacks": _unchanged,
    "cache_control": _unchanged,
    "metadata": _metadata,
    "mcp_servers": _mcp_servers,
    "container": _container,
    "safeguards": _safeguards,
}


# Beta features


def _betas(options: Mapping[str, Any], body: JsonObject) -> tuple[str, ...]:
    features = [beta for is_needed, beta in _FEATURES if is_needed(body)]
    return tuple(dict.fromkeys([*features, *(options.get("anthropic_beta") or ())]))


def _has_skills(body: JsonObject) -> bool:
    return isinstance(body.get("container"), dict)


def _compacts(body: JsonObject) -> bool:
    management: JsonObject = body.get("context_management") or {}
    edits: list[JsonObject] = management.get("edits") or []
    return any(edit.get("type") == "compact_20260112" for edit in edits)


_FEATURES: Final[tuple[tuple[Callable[[JsonObject], bool], str], ...]] = (
    (lambda body: "thread" in body, "message-threads-2026-08-12"),
    (lambda body: "mcp_servers" in body, "mcp-client-2025-04-04"),
    (lambda body: "safeguards" in body, "dangerous-tool-use-2026-09-03"),
    (lambda body: "compaction" in body, "compact-2026-09-04"),
    (lambda body: "context_management" in body, "context-management-2025-06-27"),
    (_compacts, "compact-2026-01-12"),
    (_has_skills, "code-execution-2025-08-25"),
    (_has_skills, "skills-2025-10-02"),
    (_has_skills, "files-api-2025-04-14"),
    (lambda body: "task_budget" in body.get("output_config", {}), "task-budgets-2026-03-13"),
    (lambda body: body.get("speed") == "fast", "fast-mode-2026-02-01"),
    (lambda body: body.get("thinking", {}).get("display") == "updates", "thinking-display-updates-2026-08-18"),
    (lambda body: "block_binding" in body.get("thinking", {}), "thinking-binding-controls-2026-08-01"),
    (lambda body: body.get("fallbacks") == "default", "server-side-fallback-2026-07-01"),
    (lambda body: isinstance(body.get("fallbacks"), list), "server-side-fallback-2026-06-01"),
)
