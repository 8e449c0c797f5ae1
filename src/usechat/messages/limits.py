"""How much a body may hold, found out before it becomes Python objects.

A body of a few megabytes can hold millions of values, each of which costs far more than its bytes: to read, to check,
to convert, to store, and for the garbage collector to look through. So values are counted in the bytes, which takes
milliseconds, and a large body is decoded piece by piece: no single call holds the interpreter for long. Knows JSON's
punctuation, and of messages only where lists of them stand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from usechat.errors import RequestError
from usechat.json import decode_json

__all__ = ["DEFAULT_LIMITS", "LARGE_BYTES", "BodyLimits", "decode_limited"]

LARGE_BYTES: Final = 128 * 1024
"""From this size on a body is large: it takes milliseconds to read."""


Decode: TypeAlias = Callable[[memoryview], Any]


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
    """Return the value of a body, as `usechat.json.decode_json` reads it.

    Raises:
        RequestError: 413 when it holds more than it may.
        ValueError: No JSON, or not UTF-8.
        JsonDepthError: Nested deeper than can be read.
    """
    if len(body) > limits.values * _FEWEST_BYTES:
        _check_values(body, limits.values)
    value = decode_json(body) if len(body) < LARGE_BYTES else _decode_large(body)
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
    """Return how many values begin there, at most: each follows a comma, or is the first of what holds it."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


# Pieces


def _decode_large(body: bytes) -> Any:
    return _decode_fields(body, {"messages": _decode_messages})


def _decode_messages(messages: memoryview) -> Any:
    return _decode_items(messages, _decode_message)


def _decode_message(message: memoryview) -> Any:
    return _decode_fields(message, dict.fromkeys(_PART_LISTS, _decode_parts))


def _decode_parts(parts: memoryview) -> Any:
    return _decode_items(parts, _decode_whole)


def _decode_whole(piece: bytes | memoryview) -> Any:
    return decode_json(bytes(piece))


def _decode_fields(piece: bytes | memoryview, apart: Mapping[str, Decode]) -> Any:
    try:
        fields = _OBJECT.decode(piece)
    except (msgspec.MsgspecError, UnicodeError):
        # No object, or what only the slower decoder reads, such as halves of UTF-16 pairs.
        return _decode_whole(piece)
    return {key: apart.get(key, _decode_whole)(memoryview(raw)) for key, raw in fields.items()}


def _decode_items(piece: memoryview, decode: Decode) -> Any:
    """Decode the items of a list: large ones with ``decode``, of others as many at once as make a slice."""
    try:
        raws = _LIST.decode(piece)
    except (msgspec.MsgspecError, UnicodeError):
        return _decode_whole(piece)
    items: list[Any] = []
    waiting: list[memoryview] = []
    size = 0
    for raw in map(memoryview, raws):
        if size + len(raw) > _SLICE:
            items += _decode_together(waiting)
            waiting, size = [], 0
        if len(raw) > _SLICE:
            items.append(decode(raw))
        else:
            waiting.append(raw)
            size += len(raw)
    return items + _decode_together(waiting)


def _decode_together(items: Sequence[memoryview]) -> list[Any]:
    return decode_json(b"[%b]" % b",".join(items)) if items else []


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
