"""The capabilities of each Claude model that affect a request.

A table: the first pattern found in a model's name decides. A name with ``claude-`` that matches no other pattern counts
as a model newer than this table; any other name counts as unknown.

Source: ``@ai-sdk/anthropic/src/anthropic-model-catalog.ts`` (4.0.105); prefill: Anthropic's migration notes for
Claude 4.6 ("Prefill removed").
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

__all__ = ["ModelCapabilities", "model_capabilities"]


class ModelCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """The features that a model supports, and its limits."""

    max_output_tokens: int = 4096
    is_known: bool = True
    has_structured_output: bool = False
    """Whether the model supports native JSON output and strict tools."""
    has_adaptive_thinking: bool = False
    has_budget_thinking: bool = True
    has_between_tools_thinking: bool = False
    can_drop_thinking: bool = False
    """Whether the API can drop thinking that does not match the messages before it, instead of an error."""
    takes_sampling: bool = True
    """Whether the model accepts ``temperature``, ``top_p`` and ``top_k``."""
    can_disable_thinking: bool = True
    can_disable_thinking_above_high_effort: bool = True
    can_force_tools: bool = True
    """Whether ``tool_choice`` may be ``any`` or one tool."""
    takes_prefill: bool = True
    """Whether the last message may be an unfinished text of the assistant."""


_CURRENT: Final = ModelCapabilities(
    max_output_tokens=128_000, has_structured_output=True, has_adaptive_thinking=True, takes_prefill=False
)
_NEWER: Final = msgspec.structs.replace(_CURRENT, takes_sampling=False)
_ALWAYS_THINKING: Final = msgspec.structs.replace(_NEWER, can_disable_thinking=False, has_budget_thinking=False)
_BINDING: Final = msgspec.structs.replace(_ALWAYS_THINKING, can_force_tools=False, can_drop_thinking=True)
_EFFORT_BOUND: Final = msgspec.structs.replace(_NEWER, can_disable_thinking_above_high_effort=False)
_STRUCTURED: Final = ModelCapabilities(max_output_tokens=64_000, has_structured_output=True)

_RULES: Final = tuple(
    (re.compile(pattern), capabilities)
    for pattern, capabilities in (
        (
            "claude-sonnet-5-5",
            msgspec.structs.replace(
                _BINDING, can_disable_thinking_above_high_effort=False, has_between_tools_thinking=True
            ),
        ),
        (
            "claude-opus-5-5",
            msgspec.structs.replace(_BINDING, can_disable_thinking_above_high_effort=False),
        ),
        ("claude-haiku-5-5", msgspec.structs.replace(_EFFORT_BOUND, has_budget_thinking=False)),
        ("claude-opus-5", _EFFORT_BOUND),
        ("claude-fable-5-[12]", _BINDING),
        ("claude-fable-5", _ALWAYS_THINKING),
        ("claude-opus-4-[78]|claude-sonnet-5", _NEWER),
        ("claude-(?:sonnet|opus)-4-6", _CURRENT),
        ("claude-(?:sonnet|opus|haiku)-4-5", _STRUCTURED),
        ("claude-opus-4-1", msgspec.structs.replace(_STRUCTURED, max_output_tokens=32_000)),
        ("claude-sonnet-4[-@]", ModelCapabilities(max_output_tokens=64_000)),
        ("claude-opus-4[-@]", ModelCapabilities(max_output_tokens=32_000)),
        ("claude-3-haiku", ModelCapabilities()),
        (r"claude-(?:instant(?:-|$)|v?2(?=$|[-.:])|3(?=$|[-.]))", ModelCapabilities(is_known=False)),
        ("claude-", msgspec.structs.replace(_EFFORT_BOUND, is_known=False)),
    )
)
_UNKNOWN: Final = ModelCapabilities(is_known=False)


@lru_cache(maxsize=64)
def model_capabilities(model_id: str) -> ModelCapabilities:
    """Return the capabilities of the model with this name."""
    return next((capabilities for pattern, capabilities in _RULES if pattern.search(model_id)), _UNKNOWN)
