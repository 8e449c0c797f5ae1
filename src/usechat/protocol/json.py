"""JSON as JavaScript reads and writes it: one encoder and one decoder for everything on the wire.

msgspec does the work; it refuses lone surrogates, which JavaScript strings may hold and `JSON.stringify` escapes, so
those few values take the standard library's slower way.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

__all__ = ["decode_json", "encode_json"]

encode_fast = msgspec.json.Encoder(decimal_format="number").encode
decode_fast = msgspec.json.Decoder().decode


def encode_json(value: Any) -> bytes:
    """Compact UTF-8 JSON. Lone surrogates become ``\\udXXX`` escapes, NaN and infinities ``null``.

    Raises:
        TypeError: The value holds something JSON cannot.
    """
    try:
        return encode_fast(value)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def decode_json(data: bytes | str) -> Any:
    """The value of a JSON text; lone surrogate escapes are kept as lone surrogates.

    Raises:
        ValueError: The text is not JSON.
    """
    try:
        return decode_fast(data)
    except msgspec.DecodeError:
        return json.loads(data)
