"""The value types that the clients' schemas distinguish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

__all__ = ["TYPES", "is_object"]


def is_object(value: Any) -> bool:
    """Return whether a value is a JSON object."""
    return isinstance(value, dict)


def is_metadata(value: Any) -> bool:
    return is_object(value) and all(is_object(each) for each in cast("dict[str, Any]", value).values())


TYPES: Mapping[str, Callable[[Any], bool]] = {
    "any": lambda value: True,
    "text": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": is_object,
    "metadata": is_metadata,
    "reason": lambda value: isinstance(value, str),
}
