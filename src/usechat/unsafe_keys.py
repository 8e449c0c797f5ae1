"""Finds keys that clients refuse: ``__proto__``, and ``prototype`` within ``constructor``.

The AI SDK parses what it reads with ``secureJsonParse``, which refuses the whole text where an object at any depth has
such a key. A text that only mentions one is fine. This module finds such keys and removes them, and does nothing else.

Source: ``provider-utils/src/secure-json-parse.ts``, the same in AI SDK 5 to 7.
"""

from __future__ import annotations

import logging
from typing import Any, TypeAlias

from usechat.json import decode_json, encode_json

__all__ = [
    "UnsafeKeyError",
    "encode_safe_json",
    "find_unsafe_key",
    "make_safe",
    "may_hold_unsafe_key",
    "refuse_unsafe_keys",
    "without_unsafe_keys",
]

logger = logging.getLogger(__name__)

_PROTO = "__proto__"
_CONSTRUCTOR = "constructor"
_PROTOTYPE = "prototype"
# `\u00` begins the escaped spelling of each letter that the keys are made of.
_HINTS = (_PROTO, _CONSTRUCTOR, "\\u00")
_HINTS_IN_BYTES = tuple(hint.encode() for hint in _HINTS)
_DICT: Any = dict
_LIST: Any = list
"""``type(x) is _LIST`` narrows no type, so the code below needs no `cast`."""
_HOLDERS = frozenset({dict, list})
_HOLD_NOTHING = frozenset({str, bool, int, float, type(None)})
_ELLIPSIS = "..."
_MAX_NAME = 40
_MAX_STEPS = 20
_Path: TypeAlias = "tuple[_Path, str | int] | None"
"""The last step and those before it. Only the path in an error is joined to text."""


class UnsafeKeyError(ValueError):
    """A value has a key that no client reads.

    Attributes:
        path: Where, as in ``a.b[0].__proto__``.
    """

    def __init__(self, path: str) -> None:
        super().__init__(f"has the key {path}, which no client of the AI SDK reads")
        self.path = path


def may_hold_unsafe_key(text: bytes | str) -> bool:
    """Return whether a JSON text may hold an unsafe key: a few searches of the text."""
    if isinstance(text, str):
        return any(hint in text for hint in _HINTS)
    return any(hint in text for hint in _HINTS_IN_BYTES)


def refuse_unsafe_keys(text: bytes | str, value: Any) -> Any:
    """Return the value, or raise when it has a key that clients refuse.

    Args:
        text: The text.
        value: The value of the text.

    Raises:
        UnsafeKeyError: It has a key that no client reads.
    """
    if may_hold_unsafe_key(text) and (path := find_unsafe_key(value)) is not None:
        raise UnsafeKeyError(path)
    return value


def find_unsafe_key(value: Any) -> str | None:
    """Return the path of a key that no client reads, as in ``a.b[0].__proto__``; None where there is none.

    Args:
        value: JSON: objects are dicts, lists are lists.
    """
    # With a list of what is left to do: a parser reads deeper nesting than calls may have.
    left: list[tuple[Any, _Path]] = [(value, None)]
    while left:
        holder, path = left.pop()
        if type(holder) is _DICT:
            unsafe = [key for key in (_PROTO, _CONSTRUCTOR) if _is_unsafe(key, holder)]
            if unsafe:
                key = f"{_CONSTRUCTOR}.{_PROTOTYPE}" if unsafe[0] == _CONSTRUCTOR else _PROTO
                return _written((path, key))
            left += [(item, (path, key)) for key, item in holder.items() if type(item) in _HOLDERS]
        elif type(holder) is _LIST:
            left += [(item, (path, number)) for number, item in enumerate(holder) if type(item) in _HOLDERS]
    return None


def _is_unsafe(key: str, holder: Any) -> bool:
    if key == _CONSTRUCTOR:
        made_by = holder.get(key)
        return type(made_by) is _DICT and _PROTOTYPE in made_by
    return key == _PROTO and key in holder


def _written(path: _Path) -> str:
    steps: list[str] = []
    while path is not None:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step if _is_short_name(step) else _ELLIPSIS}")
    if len(steps) > _MAX_STEPS:
        steps[_MAX_STEPS // 2 : -_MAX_STEPS // 2] = [f".{_ELLIPSIS}"]
    return "".join(reversed(steps)).removeprefix(".")


def _is_short_name(key: str) -> bool:
    # Others may be as long as the text, or no Unicode.
    return len(key) <= _MAX_NAME and key.isascii() and key.replace(".", "_").isidentifier()


def without_unsafe_keys(value: Any) -> Any:
    """Return a copy of a JSON value that lacks ``__proto__``, and ``constructor`` where that holds ``prototype``."""
    copied: list[Any] = []
    left: list[tuple[Any, Any]] = [([value], copied)]
    while left:
        holder, copy = left.pop()
        if type(holder) is _DICT:
            copy.update((key, _begin_copy(item, left)) for key, item in holder.items() if not _is_unsafe(key, holder))
        else:
            copy.extend(_begin_copy(item, left) for item in holder)
    return copied[0]


def _begin_copy(value: Any, left: list[tuple[Any, Any]]) -> Any:
    if type(value) not in _HOLDERS:
        return value
    copy = type(value)()
    left.append((value, copy))
    return copy


def make_safe(value: Any) -> Any:
    """Return the value, or as JSON without the keys that no client reads, if it has any; the log tells of them.

    One that JSON cannot hold is returned as it is, for its encoder to refuse.
    """
    if type(value) in _HOLD_NOTHING:
        return value
    try:
        # Not by a walk over the value: it may be of any type that msgspec knows, and encoding is faster.
        text = encode_json(value)
    except TypeError:
        return value
    return _drop_unsafe_keys(value, text)


def encode_safe_json(value: Any) -> bytes:
    """Return the value as `encode_json` does, without the keys that no client reads.

    Raises:
        TypeError: The value holds something that JSON cannot hold, or is nested too deep.
    """
    text = encode_json(value)
    safe = _drop_unsafe_keys(value, text)
    return text if safe is value else encode_json(safe)


def _drop_unsafe_keys(value: Any, text: bytes) -> Any:
    if not may_hold_unsafe_key(text):
        return value
    read = decode_json(text)
    if (path := find_unsafe_key(read)) is None:
        return value
    logger.error("left out the key %s of what a client is sent: it would refuse the whole answer", path)
    return without_unsafe_keys(read)
