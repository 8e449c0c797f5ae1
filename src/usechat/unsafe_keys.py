"""Finds and removes keys that clients refuse: ``__proto__``, and ``prototype`` within ``constructor``.

The AI SDK parses JSON with ``secureJsonParse``, which refuses the whole text if an object at any depth has such a key.
A text that only mentions a key is accepted. Knows no message and no chunk.

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
# `\u00` begins the escaped form of each letter of the keys.
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
"""The last step and the path before it. Only the path of an error is joined to a text."""


class UnsafeKeyError(ValueError):
    """A value has a key that clients refuse.

    Attributes:
        path: The path of the key, for example ``a.b[0].__proto__``.
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
        text: The JSON text.
        value: The value of the text.

    Raises:
        UnsafeKeyError: The value has a key that clients refuse.
    """
    if may_hold_unsafe_key(text) and (path := find_unsafe_key(value)) is not None:
        raise UnsafeKeyError(path)
    return value


def find_unsafe_key(value: Any) -> str | None:
    """Return the path of a key that clients refuse, for example ``a.b[0].__proto__``; None when there is none.

    Args:
        value: JSON: objects are dicts, lists are lists.
    """
    # A list instead of recursion: a parser reads deeper nesting than Python's stack allows.
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
    # Other keys may be as long as the text, or have lone surrogates.
    return len(key) <= _MAX_NAME and key.isascii() and key.replace(".", "_").isidentifier()


def without_unsafe_keys(value: Any) -> Any:
    """Return a copy of a JSON value without ``__proto__``, and without ``constructor`` if that has ``prototype``."""
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
    """Return the value, or its JSON value without the keys that clients refuse if it has any. Log removed keys.

    A value that JSON cannot hold is returned unchanged; its encoder refuses it.
    """
    if type(value) in _HOLD_NOTHING:
        return value
    try:
        # Encode it instead of walking over it: it may have any type that msgspec knows, and encoding is faster.
        text = encode_json(value)
    except TypeError:
        return value
    return _drop_unsafe_keys(value, text)


def encode_safe_json(value: Any) -> bytes:
    """Encode the value as `encode_json` does, without the keys that clients refuse.

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
    logger.error("left out the key %s, because clients refuse an answer with it", path)
    return without_unsafe_keys(read)
