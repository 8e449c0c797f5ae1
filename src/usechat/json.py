"""Reads and writes JSON as JavaScript does: the only encoder and the only decoder of the package.

msgspec does the work. The standard library, which is slower, handles values that JavaScript accepts and msgspec
refuses: lone surrogates (halves of UTF-16 pairs), numbers beyond all floats, keys that are not text. Knows no message
and no chunk.

Source: ECMA-262, ``JSON.parse``, ``JSON.stringify`` (QuoteJSONString) and ``Number::toString``.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from typing import Any, NoReturn, cast

import msgspec

__all__ = [
    "LONE_SURROGATE",
    "MAX_DEPTH",
    "MAX_VALUE_DEPTH",
    "JsonDepthError",
    "decode_json",
    "encode_json",
    "encode_texts",
    "find_deep",
    "is_json_value",
    "is_nested_at_most",
    "parse_json",
    "replace_lone_surrogates",
    "to_json_value",
    "write_json",
]

MAX_DEPTH = 200
"""Deepest nesting of objects and lists. Deeper values exhaust the stack of later readers."""
MAX_VALUE_DEPTH = MAX_DEPTH - 8
"""Deepest nesting of a value within a message. It is lower, because the client posts the value again within a body."""

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
"""Half of a UTF-16 pair. A page sends one when it cuts a text within an emoji."""
_SCANNED_AT_ONCE = 64 * 1024
_NAMES_SHOWN = frozenset({"content", "data", "input", "messages", "metadata", "output", "parts", "toolInvocations"})
"""Keys that an error may name. Other keys are the client's, which errors do not repeat."""
_STEPS_SHOWN = 5
_EXPONENT_ZERO = re.compile(r"e([+-])0(?=\d)")
_END_OF_INTEGERS = 2**64
_MIN_INTEGER = -(2**63)
"""msgspec writes integers from `_MIN_INTEGER` to below `_END_OF_INTEGERS`: 64 bits, with or without a sign."""
_MAX_EXACT = 2**53
"""Each integer below it is exactly one float, and both have the same digits."""
_AS_THEY_ARE = frozenset({bool, str, type(None)})
_WRITTEN_ALIKE = frozenset({*_AS_THEY_ARE, int})
_HOLDERS = frozenset({dict, list})
_encode = msgspec.json.Encoder(decimal_format="number").encode
_decode = msgspec.json.Decoder().decode
_DICT: Any = dict
"""``type(x) is _DICT`` narrows no type, so the code below needs no `cast`."""


class JsonDepthError(ValueError):
    """A value is nested too deep."""


def encode_json(value: Any) -> bytes:
    r"""Return a value as compact JSON in UTF-8.

    NaN and infinities become ``null``, lone surrogates ``\udXXX`` escapes, dates and enumerations are written as
    msgspec writes them. Numbers are valid, but not always printed as in JavaScript; `write_json` does that.

    Raises:
        TypeError: The value holds something that JSON cannot hold, or is nested too deep.
    """
    try:
        return _encode(value)
    except (UnicodeEncodeError, TypeError):
        return _encode_slowly(value)
    except RecursionError:
        raise TypeError("a value is nested too deep for JSON") from None


def encode_texts(texts: Sequence[str], prefix: bytes, suffix: bytes) -> bytes:
    """Return each text as JSON between ``prefix`` and ``suffix``, all in one piece.

    Args:
        texts: At least one.
        prefix: The bytes before each.
        suffix: The bytes after each.
    """
    try:
        encoded = [*map(_encode, texts)]
    except (UnicodeEncodeError, TypeError):
        encoded = [*map(encode_json, texts)]
    return prefix + (suffix + prefix).join(encoded) + suffix


def _encode_slowly(value: Any) -> bytes:
    try:
        text = json.dumps(_to_builtins(value), ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        raise TypeError("a value is nested too deep for JSON") from None
    return _escape_surrogates(text).encode()


def _to_builtins(value: Any) -> Any:
    match value:
        case None | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            items = cast("Mapping[Any, Any]", value).items()
            return {key: _to_builtins(item) for key, item in items}
        case list() | tuple() | AbstractSet():
            return [_to_builtins(item) for item in cast("list[Any]", value)]
        case _:
            # msgspec knows more types, and raises TypeError for others.
            return json.loads(_encode(value))


def _escape_surrogates(text: str) -> str:
    return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def decode_json(text: bytes | str) -> Any:
    """Return the value of a JSON text, with numbers of any size and any depth that Python can read.

    Raises:
        ValueError: The text is not JSON (``NaN`` and ``Infinity`` are not), or its bytes are not UTF-8.
        JsonDepthError: The value is nested deeper than Python can read.
    """
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        # The standard library reads some texts that msgspec refuses: numbers beyond all floats, lone surrogates,
        # other encodings than UTF-8. For texts that both read, the values are equal.
        return _decode_slowly(text)


def _decode_slowly(text: bytes | str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise JsonDepthError("nested too deep") from error


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def parse_json(text: bytes | str) -> Any:
    """Return the value of a JSON text as JavaScript can hold it: `decode_json`, then `to_json_value`.

    Raises:
        ValueError: The text is not JSON, or its bytes are not UTF-8.
        JsonDepthError: The value is nested deeper than `MAX_DEPTH`.
    """
    return to_json_value(decode_json(text))


def to_json_value(value: Any, max_depth: int = MAX_DEPTH) -> Any:
    """Return a value whose numbers JavaScript can hold.

    ``1e999`` is infinite, which ``JSON.stringify`` writes as ``null``; integers beyond 64 bits become floats. A value
    without such numbers is returned itself, any other as a copy.

    Raises:
        JsonDepthError: The value is nested too deep.
    """
    return value if is_json_value(value, max_depth) else _to_json_value(value, max_depth)


def is_json_value(value: Any, max_depth: int = MAX_DEPTH) -> bool:
    """Return whether `to_json_value` would return the value itself."""
    # One expression for each level: a function call for each value would cost five times as much.
    level: list[Any] = [[value]]
    for _ in range(max_depth + 1):
        level = [
            item
            for holder in level
            for item in (holder.values() if type(holder) is _DICT else holder)
            if type(item) not in _AS_THEY_ARE
            and not (type(item) is int and _MIN_INTEGER <= item < _END_OF_INTEGERS)
            # Infinity minus itself is NaN, so this is false for infinities and NaN.
            and not (type(item) is float and item - item == 0)
        ]
        if not level:
            return True
        if not _HOLDERS.issuperset(map(type, level)):
            return False
    return False


def is_nested_at_most(value: Any, max_depth: int) -> bool:
    """Return whether a JSON value is nested at most ``max_depth`` deep."""
    level: list[Any] = [value] if type(value) in _HOLDERS else []
    for _ in range(max_depth):
        level = [
            item
            for holder in level
            for item in (holder.values() if type(holder) is _DICT else holder)
            if type(item) in _HOLDERS
        ]
        if not level:
            return True
    return not level


def find_deep(value: Any, max_depth: int = MAX_DEPTH) -> str:
    """Return the path at which a JSON value is nested too deep, up to the first key of the client or five steps."""
    left: list[tuple[Any, int, tuple[int | str, ...]]] = [(value, 0, ())]
    while left:
        holder, depth, path = left.pop()
        if depth == max_depth:
            return _write_path(path)
        if type(holder) in _HOLDERS:
            items = holder.items() if type(holder) is _DICT else enumerate(holder)
            left += [(item, depth + 1, (*path[:_STEPS_SHOWN], step)) for step, item in items if type(item) in _HOLDERS]
    return ""


def _write_path(steps: Sequence[int | str]) -> str:
    shown = itertools.takewhile(lambda step: isinstance(step, int) or step in _NAMES_SHOWN, steps[:_STEPS_SHOWN])
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in shown).removeprefix(".")


def _to_json_value(value: Any, depth_left: int) -> Any:
    if depth_left < 0:
        raise JsonDepthError("nested too deep")
    match value:
        case dict():
            return {key: _to_json_value(item, depth_left - 1) for key, item in cast("dict[Any, Any]", value).items()}
        case list() | tuple():
            return [_to_json_value(item, depth_left - 1) for item in cast("Sequence[Any]", value)]
        case bool():
            return value
        case int():
            return value if _MIN_INTEGER <= value < _END_OF_INTEGERS else _to_float(value)
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value


def _to_float(value: int) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def write_json(value: Any) -> str:
    """Return ``JSON.stringify(value)``: no spaces, the keys in their order, numbers as JavaScript prints them.

    For texts that must equal JavaScript's to the byte: texts for models and signed texts. A value that JSON cannot hold
    is written as its ``str``.
    """
    try:
        return msgspec.json.encode(_for_encoder(value)).decode()
    except (_OtherNotationError, OverflowError, UnicodeEncodeError):
        # JavaScript also has integers beyond 64 bits and lone surrogates.
        return _write_json(value)


class _OtherNotationError(Exception):
    """A number that msgspec and JavaScript may print differently."""


def _for_encoder(value: Any) -> Any:
    """Return a value that msgspec writes as JavaScript writes ``value``."""
    if type(value) is _DICT:
        return _object_for_encoder(value)
    if type(value) in _WRITTEN_ALIKE:
        return value
    match value:
        case float():
            return _number_for_encoder(value)
        case Mapping():
            return _for_encoder(dict(cast("Mapping[Any, Any]", value)))
        case list() | tuple():
            items = cast("Sequence[Any]", value)
            return [item if type(item) in _WRITTEN_ALIKE else _for_encoder(item) for item in items]
        case int():
            return int(value)
        case _:
            return str(value)


def _object_for_encoder(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        key if type(key) is str else str(key): item
        if type(item) in _WRITTEN_ALIKE
        # The rule of `_number_for_encoder`, without a call for each of many numbers.
        or (type(item) is float and item % 1 and (1e-4 <= item < _MAX_EXACT or -_MAX_EXACT < item <= -1e-4))
        else _for_encoder(item)
        for key, item in value.items()
    }


def _number_for_encoder(value: float) -> float | None:
    if not math.isfinite(value):
        return None
    if not value % 1 and -_MAX_EXACT < value < _MAX_EXACT:
        return int(value)
    # In this range both print the shortest exact digits and no exponent.
    if 1e-4 <= value < _MAX_EXACT or -_MAX_EXACT < value <= -1e-4:
        return value
    raise _OtherNotationError


def _write_json(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return _write_number(value)
        case Mapping():
            members = cast("Mapping[Any, Any]", value).items()
            return "{" + ",".join(f"{_quote(str(key))}:{_write_json(item)}" for key, item in members) + "}"
        case list() | tuple():
            return "[" + ",".join(_write_json(item) for item in cast("Sequence[Any]", value)) + "]"
        case _:
            return _quote(str(value))


def _quote(text: str) -> str:
    return _escape_surrogates(json.dumps(text, ensure_ascii=False))


def _write_number(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    # JavaScript writes exponents below 1e-6 and from 1e21, without a leading zero.
    if 1e-6 <= abs(value) < 1e21:
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    return _EXPONENT_ZERO.sub(r"e\1", repr(value))


def _replace_surrogates(text: str) -> str:
    # Piece by piece: one search of a long text would block the event loop.
    pieces = (text[start : start + _SCANNED_AT_ONCE] for start in range(0, len(text), _SCANNED_AT_ONCE))
    return "".join([LONE_SURROGATE.sub("\ufffd", piece) for piece in pieces])


def replace_lone_surrogates(value: Any) -> Any:
    """Return a copy with U+FFFD for each lone surrogate, which UTF-8 cannot encode."""
    match value:
        case str():
            return value if value.isascii() else _replace_surrogates(value)
        case Mapping():
            return {
                replace_lone_surrogates(key): replace_lone_surrogates(item)
                for key, item in cast("Mapping[Any, Any]", value).items()
            }
        case list() | tuple():
            return [replace_lone_surrogates(item) for item in cast("Sequence[Any]", value)]
        case _:
            return value
