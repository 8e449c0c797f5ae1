"""What must be right about a UI part before anything reads it: only what later code relies on.

A refusal names the place within the part. It knows no message and no HTTP.

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
_OBJECT_KEYS: Final = frozenset(_OBJECTS)


def check_part(part: dict[str, Any]) -> dict[str, Any]:
    """The part itself.

    Raises:
        PydanticCustomError: A ``ui_part`` error with the key of what is wrong.
    """
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
    _check_nested(part, kind)
    return part


def _check_nested(part: Mapping[str, Any], kind: str) -> None:
    if kind == "file" and part.get("url") is None and part.get("providerReference") is None:
        raise _wrong("is missing", "url")
    if part.get("approval") is not None and not isinstance(part["approval"].get("id"), str):
        raise _wrong("must be text", "approval.id")
    if kind == "steering-message":
        _check_steering_parts(part.get("parts"))


def _check_steering_parts(parts: Any) -> None:
    if not isinstance(parts, list):
        raise _wrong("must be a list", "parts")
    for index, inner in enumerate(cast("list[Any]", parts)):
        if not isinstance(inner, dict):
            raise _wrong("must be an object", f"parts[{index}]")
        check_part(cast("dict[str, Any]", inner))


def _wrong(text: str, key: str) -> PydanticCustomError:
    return PydanticCustomError("ui_part", "{text}", {"text": text, "key": key})
