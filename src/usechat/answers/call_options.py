"""The settings of a model call that `stream_text`, `stream_object` and their like take and hand on as they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from usechat.checks import check_number, named, refuse_unknown
from usechat.errors import ConfigurationError
from usechat.models.base import Timeout

__all__ = ["CallOptions", "check_settings"]


class CallOptions(TypedDict, total=False):
    """All are the provider's to interpret; what is not given is left to it."""

    system: str | None
    """Instructions."""
    max_output_tokens: int | None
    """Tokens; the model's own limit without it."""
    temperature: float | None
    top_p: float | None
    top_k: int | None
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
