"""JSON as JavaScript reads and writes it: one encoder and one decoder for everything on the wire.

msgspec does the work. What it refuses and JavaScript does not, takes the standard library's slower way: lone
surrogates, which `JSON.stringify` escapes, and keys that are no strings.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, NoReturn, cast

import msgspec

from usechat.unsafe_keys import find_unsafe_key, may_hold_unsafe_key, without_unsafe_keys

__all__ = ["decode_json", "encode_json", "encode_safe_json", "make_safe"]

logger = logging.getLogger(__name__)

encode_fast = msgspec.json.Encoder(decimal_format="number").encode
decode_fast = msgspec.json.Decoder().decode


def encode_json(value: Any) -> bytes:
    r"""Compact UTF-8 JSON. Lone surrogates become ``\udXXX`` escapes, NaN and infinities ``null``.

    Raises:
        TypeError: The value holds something JSON cannot, or is nested too deeply.
    """
    try:
        return encode_fast(value)
    except (UnicodeEncodeError, TypeError):
        return encode_slowly(value)
    except RecursionError:
        raise TypeError("a value is nested too deeply for JSON") from None


def make_safe(value: Any) -> Any:
    """Return the value, or as JSON without the keys that no client reads, if it has any; the log tells of them.

    One that JSON cannot hold is returned as it is, for its encoder to refuse.
    """
    if type(value) in HOLD_NOTHING:
        return value
    try:
        # Not by a walk over the value: it may be of any type that msgspec knows, and encoding is faster.
        text = encode_json(value)
    except TypeError:
        return value
    return drop_unsafe_keys(value, text)


def encode_safe_json(value: Any) -> bytes:
    """As `encode_json`, without the keys that no client reads.

    Raises:
        TypeError: The value holds something JSON cannot, or is nested too deeply.
    """
    text = encode_json(value)
    safe = drop_unsafe_keys(value, text)
    return text if safe is value else encode_json(safe)


def drop_unsafe_keys(value: Any, text: bytes) -> Any:
    if not may_hold_unsafe_key(text):
        return value
    read = decode_json(text)
    if (path := find_unsafe_key(read)) is None:
        return value
    logger.error("left out the key %s of what a client is sent: it would refuse the whole answer", path)
    return without_unsafe_keys(read)


HOLD_NOTHING = frozenset({str, bool, int, float, type(None)})


def encode_slowly(value: Any) -> bytes:
    try:
        return json.dumps(plain(value), separators=(",", ":")).encode()
    except RecursionError:
        raise TypeError("a value is nested too deeply for JSON") from None


def plain(value: Any) -> Any:
    """``value`` in the types that the standard library encodes as JavaScript would."""
    match value:
        case None | str() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            items = cast("Mapping[Any, Any]", value).items()
            return {key: plain(item) for key, item in items}
        case list() | tuple() | AbstractSet():
            return [plain(item) for item in cast("list[Any]", value)]
        case _:
            # Raises TypeError for what msgspec does not know either.
            return json.loads(encode_fast(value))


def decode_json(data: bytes | str) -> Any:
    """The value of a JSON text; lone surrogate escapes are kept as such, bytes that are not UTF-8 become U+FFFD.

    Raises:
        ValueError: The text is not JSON, or is nested too deeply.
    """
    try:
        return decode_fast(data)
    except (msgspec.DecodeError, UnicodeError):
        return decode_slowly(data)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def decode_slowly(data: bytes | str) -> Any:
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def refuse_constant(name: str) -> NoReturn:
    # Python's parser takes NaN and Infinity; JSON has no such words.
    raise ValueError(f"JSON has no {name}")
