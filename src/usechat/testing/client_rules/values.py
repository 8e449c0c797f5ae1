"""The value types that the clients' schemas distinguish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

__all__ = ["TYPES", "approvals_of", "calls_of", "is_object"]


def is_object(value: Any) -> bool:
    """Return whether a value is a JSON object."""
    return isinstance(value, dict)


def is_metadata(value: Any) -> bool:
    return is_object(value) and all(is_object(each) for each in cast("dict[str, Any]", value).values())


def calls_of(message: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the ids of a message's tool calls, as AI SDK 5 and later and AI SDK 4 have them."""
    for part in _parts(message):
        call: Any = part.get("toolInvocation", part)
        if is_object(call) and isinstance(call.get("toolCallId"), str):
            yield call["toolCallId"]


def approvals_of(message: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield the ids of a message's approval requests."""
    for part in _parts(message):
        approval: Any = part.get("approval")
        if is_object(approval) and isinstance(approval.get("id"), str):
            yield approval["id"]


def _parts(message: Mapping[str, Any] | None) -> Sequence[Mapping[str, Any]]:
    return [] if message is None else [part for part in message.get("parts") or () if is_object(part)]


TYPES: Mapping[str, Callable[[Any], bool]] = {
    "any": lambda value: True,
    "text": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": is_object,
    "metadata": is_metadata,
    "reason": lambda value: isinstance(value, str),
}
