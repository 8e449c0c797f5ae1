"""Read the provider options for Anthropic: normalize their keys, and count the cache breakpoints (four in a request).

An application may write options in camelCase, like the AI SDK, or in snake_case, like the Messages API. This module
returns snake_case only.

Source: ``@ai-sdk/anthropic/src/get-cache-control.ts`` (4.0.105); prompt caching in Anthropic's documentation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, cast

__all__ = ["CacheBreakpoints", "anthropic_options", "snake_keys"]

_MAX_BREAKPOINTS: Final = 4
_HUMP: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def snake_keys(value: Any) -> Any:
    """Return the value with all keys in snake_case, at any depth. Other values do not change."""
    if isinstance(value, Mapping):
        members = cast("Mapping[Any, Any]", value).items()
        return {_snake(key) if isinstance(key, str) else key: snake_keys(item) for key, item in members}
    return [snake_keys(item) for item in cast("list[Any]", value)] if isinstance(value, list | tuple) else value


def _snake(name: str) -> str:
    return _HUMP.sub(lambda found: f"_{found.group().lower()}", name)


def anthropic_options(options: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Any]:
    """Return the options under ``anthropic``, with their keys in snake_case. Their values do not change."""
    own: Any = options.get("anthropic") if options else None
    if own is None or not isinstance(own, Mapping):
        return {}
    return {_snake(str(key)): value for key, value in cast("Mapping[Any, Any]", own).items()}


class CacheBreakpoints:
    """The cache breakpoints of one request, granted in the order of the calls of `reserve`."""

    def __init__(self) -> None:
        self._asked = 0
        self.warnings: list[str] = []

    def reserve(
        self, options: Mapping[str, Mapping[str, Any]] | None, place: str, *, can_cache: bool = True
    ) -> dict[str, Any]:
        """Return a dict with the ``cache_control`` of the options, to merge into a block; empty without one.

        A breakpoint that the API would refuse is left out with a warning.

        Args:
            options: Provider options of a message, a part or a tool.
            place: The kind of the message, part or tool, for the warning.
            can_cache: Whether the API allows a breakpoint there.
        """
        control = _cache_control(anthropic_options(options).get("cache_control"))
        if control is None:
            return {}
        if not can_cache:
            self.warnings.append(f"cache_control cannot be set on a {place} and was left out")
            return {}
        self._asked += 1
        if self._asked > _MAX_BREAKPOINTS:
            self.warnings.append(f"a request has {_MAX_BREAKPOINTS} cache breakpoints at most; one more was left out")
            return {}
        return {"cache_control": control}


def _cache_control(value: Any) -> dict[str, Any] | None:
    # A client may have sent these options, so only values that the API accepts are kept.
    if not isinstance(value, Mapping):
        return None
    given = cast("Mapping[Any, Any]", value)
    ttl = given.get("ttl")
    if given.get("type") != "ephemeral" or ttl not in (None, "5m", "1h"):
        return None
    return {"type": "ephemeral"} if ttl is None else {"type": "ephemeral", "ttl": ttl}
