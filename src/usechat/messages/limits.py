"""How much a body may hold, found out before it becomes Python objects.

A body of a few megabytes can hold millions of values, each of which costs far more than its bytes: to read, to check,
to convert, to store, and for the garbage collector to look through. So values are counted in the bytes, which takes
milliseconds, and a large body is decoded piece by piece: no single call holds the interpreter for long. Knows JSON's
punctuation, and of messages only where lists of them stand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from usechat.errors import RequestError
from usechat.messages.json_text import decode_json

__all__ = ["DEFAULT_LIMITS", "LARGE_BYTES", "BodyLimits", "decode_limited"]

LARGE_BYTES: Final = 128 * 1024
"""From this size on a body is large: it takes milliseconds to read."""


class BodyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a request's body may hold at most. The defaults are far beyond what chats are found to hold."""

    messages: int = 20_000
    """Messages of a chat: an hour's talk has a hundred."""
    parts: int = 10_000
    """Parts of one message: a step of an answer has two or three."""
    values: int = 500_000
    """Values of all kinds, objects and lists included: a message of text has seven, a tool call about fifteen."""


DEFAULT_LIMITS: Final = BodyLimits()

_SLICE: Final = 64 * 1024
"""Bytes that are looked at, or decoded, at a time: well below a millisecond's work."""
_DEPTH: Final = 6
"""Down to which pieces are taken apart: within the body, its messages, one of them, its parts, a part, its output."""
_FEWEST_BYTES: Final = 2
"""Of a value in a list, with its comma."""
_FEWEST_BYTES_OF_PART: Final = len('{"type":"a"},')
"""Of a part that is not refused for other reasons; a message has more."""
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PART_LISTS: Final = ("parts", "content", "toolInvocations", "experimental_attachments")
"""The last three are AI SDK 4's."""
_DICT: Final[Any] = dict
_LIST_TYPE: Final[Any] = list
"""Comparisons with these narrow no type, so that what is known to be an object needs no call of ``cast``."""


def decode_limited(body: bytes, limits: BodyLimits = DEFAULT_LIMITS) -> Any:
    """Return the value of a body, as `usechat.messages.json_text.decode_json` reads it.

    Raises:
        RequestError: 413 when it holds more than it may.
        ValueError: No JSON, or not UTF-8.
        JsonDepthError: Nested deeper than can be read.
    """
    if len(body) > limits.values * _FEWEST_BYTES:
        _check_values(body, limits.values)
    value = decode_json(body) if len(body) < LARGE_BYTES else _decode_piece(body.strip(b" \t\r\n"), _DEPTH)
    if len(body) > min(limits.messages, limits.parts) * _FEWEST_BYTES_OF_PART and type(value) is _DICT:
        _check_messages(value.get("messages"), limits)
    return value


# Values


def _check_values(body: bytes, limit: int) -> None:
    # Of a usual body that is already enough: a few commas within texts more do no harm.
    if _count_marks(body) < limit:
        return
    found, quotes, place, is_within_text = 1, 0, 0, False
    while place < len(body):
        piece = body[place : place + _SLICE]
        # An escape is not cut in two.
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece += body[place + _SLICE : place + _SLICE + 1]
        place += len(piece)
        between = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        found += _count_marks(b"".join(between[is_within_text::2]))
        quotes += len(between) - 1
        is_within_text ^= len(between) % 2 == 0
        # Each value is at most two texts, its key and itself, with two quotes each.
        if max(found, quotes // 4) > limit:
            raise RequestError(f"The body holds more than {limit} values.", status=413)


def _count_marks(text: bytes) -> int:
    """How many values begin there, at most: each follows a comma, or is the first of what holds it."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


# Pieces


def _decode_piece(piece: bytes | memoryview, depth: int) -> Any:
    if len(piece) <= _SLICE or not depth:
        return decode_json(bytes(piece))
    decode_apart = _PIECES.get(bytes(piece[:1]))
    try:
        return decode_json(bytes(piece)) if decode_apart is None else decode_apart(piece, depth - 1)
    except (msgspec.MsgspecError, UnicodeError):
        # What only the slower decoder reads, such as halves of UTF-16 pairs, it reads as a whole.
        return decode_json(bytes(piece))


def _decode_object(piece: bytes | memoryview, depth: int) -> dict[str, Any]:
    return {key: _decode_piece(memoryview(raw), depth) for key, raw in _OBJECT.decode(piece).items()}


def _decode_list(piece: bytes | memoryview, depth: int) -> list[Any]:
    items: list[Any] = []
    waiting: list[msgspec.Raw] = []
    size = 0
    for raw in _LIST.decode(piece):
        if len(raw) > _SLICE:
            items += _decode_together(waiting)
            items.append(_decode_piece(memoryview(raw), depth))
            waiting, size = [], 0
            continue
        waiting.append(raw)
        size += len(raw)
        if size > _SLICE:
            items += _decode_together(waiting)
            waiting, size = [], 0
    return items + _decode_together(waiting)


def _decode_together(items: list[msgspec.Raw]) -> list[Any]:
    return decode_json(b"[%b]" % b",".join(map(memoryview, items))) if items else []


_PIECES: Final[dict[bytes, Callable[[bytes | memoryview, int], Any]]] = {b"{": _decode_object, b"[": _decode_list}


# Messages and parts


def _check_messages(messages: Any, limits: BodyLimits) -> None:
    if type(messages) is not _LIST_TYPE:
        return
    if len(messages) > limits.messages:
        raise RequestError(f"must not be more than {limits.messages}", path="messages", status=413)
    for index, message in enumerate(messages):
        if type(message) is not _DICT:
            continue
        for key in _PART_LISTS:
            value: Any = message.get(key)
            if type(value) is _LIST_TYPE and len(value) > limits.parts:
                raise RequestError(f"must not be more than {limits.parts}", path=f"messages[{index}].{key}", status=413)
