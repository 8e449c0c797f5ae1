"""Checks a UI part for what later code relies on, and for nothing else.

An error has the path within the part. Knows no message and no HTTP.

Source: ``ai/src/ui/ui-messages.ts`` of 5.0.277, 6.0.324 and 7.0.173.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from pydantic_core import PydanticCustomError

__all__ = ["check_part"]

_REQUIRED_TEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "text": ("text",),
    "reasoning": ("text",),
    "dynamic-tool": ("toolCallId", "toolName"),
    "tool": ("toolCallId",),
}
_OPTIONAL_TEXT: Final[Mapping[str, tuple[str, ...]]] = {
    "file": ("url", "mediaType", "filename"),
    "reasoning-file": ("url", "mediaType"),
    "custom": ("kind",),
    "dynamic-tool": ("state", "errorText"),
    "tool": ("state", "errorText"),
}
_OBJECTS: Final = (
    "providerMetadata",
    "callProviderMetadata",
    "resultProviderMetadata",
    "providerReference",
    "approval",
)
_MAX_PARTS_WITHIN_PARTS: Final = 50
"""Deepest nesting of parts in parts. Clients nest none; each level costs several calls of Python's limited stack."""
_OBJECT_KEYS: Final = frozenset(_OBJECTS)


def check_part(part: dict[str, Any]) -> dict[str, Any]:
    """Check a part and return it.

    Raises:
        PydanticCustomError: A ``ui_part`` error with the key of the wrong value.
    """
    _check_part(part, 0)
    return part


def _check_part(part: Mapping[str, Any], depth: int) -> None:
    kind = part.get("type")
    if not isinstance(kind, str):
        raise _wrong("must be text", "type")
    family = "tool" if kind.startswith("tool-") else kind
    for key in _REQUIRED_TEXT.get(family, ()):
        if not isinstance(part.get(key), str):
            raise _wrong("must be text", key)
    for key in _OPTIONAL_TEXT.get(family, ()):
        if not isinstance(part.get(key), str | None):
            raise _wrong("must be text", key)
    for key in () if _OBJECT_KEYS.isdisjoint(part) else _OBJECTS:
        if not isinstance(part.get(key), dict | None):
            raise _wrong("must be an object", key)
    _check_nested(part, kind, depth)


def _check_nested(part: Mapping[str, Any], kind: str, depth: int) -> None:
    if kind == "file" and part.get("url") is None and part.get("providerReference") is None:
        raise _wrong("is missing", "url")
    if part.get("approval") is not None and not isinstance(part["approval"].get("id"), str):
        raise _wrong("must be text", "approval.id")
    if kind == "steering-message":
        _check_steering_parts(part.get("parts"), depth)


def _check_steering_parts(parts: Any, depth: int) -> None:
    if depth > _MAX_PARTS_WITHIN_PARTS:
        raise _wrong("is nested too deep", "parts")
    if not isinstance(parts, list):
        raise _wrong("must be a list", "parts")
    for index, inner in enumerate(cast("list[Any]", parts)):
        if not isinstance(inner, dict):
            raise _wrong("must be an object", f"parts[{index}]")
        _check_part(cast("Mapping[str, Any]", inner), depth + 1)


def _wrong(text: str, key: str) -> PydanticCustomError:
    return PydanticCustomError("ui_part", "{text}", {"text": text, "key": key})
