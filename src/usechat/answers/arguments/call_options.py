"""The settings of a model call that `stream_text`, `stream_object` and their like take and hand on as they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, TypedDict, cast

from usechat.checks import check_number, named, refuse_unknown
from usechat.errors import ConfigurationError
from usechat.models.base import Reasoning, Timeout, ToolChoice

__all__ = ["CallOptions", "check_active", "check_choice", "check_settings"]


class CallOptions(TypedDict, total=False):
    """All are the provider's to interpret; what is not given is left to it."""

    system: str | None
    """Instructions."""
    max_output_tokens: int | None
    """Tokens; the model's own limit without it."""
    temperature: float | None
    top_p: float | None
    top_k: int | None
    reasoning: Reasoning | None
    """How much the model is to think: ``none``, ``minimal``, ``low``, ``medium``, ``high`` or ``xhigh``. The provider's
    own option for it, in ``provider_options``, goes before this."""
    provider_options: Mapping[str, Mapping[str, Any]] | None
    """``{"anthropic": {…}}``, whatever else the provider's API takes."""
    headers: Mapping[str, str] | None
    """Sent to the provider."""
    max_retries: int | None
    """Of a request that failed before its first byte; the provider package's own number without it."""
    timeout: Timeout | None
    """How long the answer may take, and how long the provider may be silent."""


NUMBERS: Mapping[str, tuple[float, float | None]] = {
    "max_output_tokens": (1, None),
    "temperature": (0, None),
    "top_p": (0, 1),
    "top_k": (0, None),
    "max_retries": (0, None),
}
"""The least and the most that any provider takes."""


def check_settings(what: str, given: CallOptions, options: Sequence[str] = ()) -> None:
    """Refuse settings that are unknown or make no sense for any provider.

    Args:
        what: The function that they were given to.
        given: The settings.
        options: The function's other options, for the hint.

    Raises:
        ConfigurationError: One is unknown or wrong.
    """
    refuse_unknown(what, given, CallOptions, *options)
    settings = cast("Mapping[str, Any]", given)
    for name, (least, most) in NUMBERS.items():
        check_number(name, settings.get(name), least=least, most=most)
    if not isinstance(settings.get("system"), str | None):
        raise ConfigurationError(f"system must be a text, not {named(settings['system'])}")
    if (reasoning := settings.get("reasoning")) is not None and reasoning not in Reasoning.__args__:
        raise ConfigurationError(f"reasoning must be one of {', '.join(Reasoning.__args__)}")
    for name in ("provider_options", "headers"):
        if not isinstance(settings.get(name), Mapping | None):
            raise ConfigurationError(f"{name} must be a mapping, not {named(settings[name])}")
    by_provider: Mapping[str, Any] = settings.get("provider_options") or {}
    for provider, own in by_provider.items():
        if not isinstance(own, Mapping):
            raise ConfigurationError(
                f"provider_options must hold a mapping for each provider, as in {{'anthropic': {{…}}}}; "
                f"{provider!r} has {named(own)}"
            )


def check_active(active: Sequence[str] | None, tools: Collection[str]) -> None:
    """Refuse active tools that are none.

    Raises:
        ConfigurationError: One is no tool of ``tools``.
    """
    unknown = [name for name in active or () if name not in tools]
    if unknown:
        raise ConfigurationError(f"active_tools names {unknown[0]!r}, and there is no such tool")


def check_choice(choice: ToolChoice | None, tools: Collection[str]) -> None:
    """Refuse a tool choice that is none.

    Raises:
        ConfigurationError: It is none, or names no tool of ``tools``.
    """
    if choice in (None, "auto", "none", "required"):
        return
    if not isinstance(choice, str):  # pyright: ignore[reportUnnecessaryIsInstance] - not all programs are checked
        raise ConfigurationError(f"tool_choice must be a text such as tool:NAME, not {named(choice)}")
    name = choice.removeprefix("tool:")
    if name == choice or name not in tools:
        raise ConfigurationError("tool_choice must be auto, none, required, or tool:NAME with the name of a tool")
