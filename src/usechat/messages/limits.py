"""Limits the size of a request body before it becomes Python objects.

A body of a few megabytes can hold millions of values. Each costs far more than its bytes: to read, check, convert,
store and collect. So values are counted in the bytes, which takes milliseconds. A large body is decoded piece by piece,
so that no single call holds the interpreter for long. Knows JSON's punctuation, and the keys of lists of messages and
parts; no other content of messages.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from usechat.errors import RequestError
from usechat.json import decode_json

__all__ = ["DEFAULT_LIMITS", "LARGE_BYTES", "BodyLimits", "decode_limited"]

LARGE_BYTES: Final = 128 * 1024
"""Bytes from which a body is large: reading it takes milliseconds."""


Decode: TypeAlias = Callable[[memoryview], Any]


class BodyLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of a request body. The defaults are far above the size of real chats."""

    messages: int = 20_000
    """Most messages in a chat. An hour of chat has about a hundred."""
    parts: int = 10_000
    """Most parts in one message. A step of an answer has two or three."""
    values: int = 500_000
    """Most values of all kinds, objects and lists included. A text message has seven, a tool call about fifteen."""


DEFAULT_LIMITS: Final = BodyLimits()

_SLICE: Final = 64 * 1024
"""Bytes that one step scans or decodes: less than a millisecond of work."""
_FEWEST_BYTES: Final = 2
"""Fewest bytes of a value in a list, its comma included."""
_FEWEST_BYTES_OF_PART: Final = len('{"type":"a"},')
"""Fewest bytes of a valid part. A message has more."""
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PART_LISTS: Final = ("parts", "content", "toolInvocations", "experimental_attachments")
"""Keys of lists in a message. The last three are from AI SDK 3 and 4."""
_DICT: Final[Any] = dict
_LIST_TYPE: Final[Any] = list
"""With these, ``type(x) is _DICT`` narrows no type, so the code below needs no ``cast``."""


def decode_limited(body: bytes, limits: BodyLimits = DEFAULT_LIMITS) -> Any:
    """Decode a body as `usechat.json.decode_json` does, within limits.

    Raises:
        RequestError: 413 when the body exceeds a limit.
        ValueError: The body is not JSON or not UTF-8.
        JsonDepthError: The body is nested too deep to read.
    """
    if len(body) > limits.values * _FEWEST_BYTES:
        _check_values(body, limits.values)
    value = decode_json(body) if len(body) < LARGE_BYTES else _decode_large(body)
    if len(body) > min(limits.messages, limits.parts) * _FEWEST_BYTES_OF_PART and type(value) is _DICT:
        _check_messages(value.get("messages"), limits)
        _check_parts(value.get("message"), "message", limits)
    return value


# Values


def _check_values(body: bytes, limit: int) -> None:
    # This upper bound is enough for a usual body. It also counts commas within texts.
    if _count_marks(body) < limit:
        return
    found, quotes, place, is_within_text = 1, 0, 0, False
    while place < len(body):
        piece = body[place : place + _SLICE]
        # Do not cut within an escape.
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece += body[place + _SLICE : place + _SLICE + 1]
        place += len(piece)
        between = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        found += _count_marks(b"".join(between[is_within_text::2]))
        quotes += len(between) - 1
        is_within_text ^= len(between) % 2 == 0
        # A value has at most two texts, its key and itself, with two quotes each.
        if max(found, quotes // 4) > limit:
            raise RequestError(f"The body holds more than {limit} values.", status=413)


def _count_marks(text: bytes) -> int:
    """Return an upper bound of the values that begin in a text: a value follows a comma or is first in its holder."""
    return text.count(b",") + text.count(b"[") + text.count(b"{")


# Pieces


def _decode_large(body: bytes) -> Any:
    return _decode_fields(body, {"messages": _decode_messages, "message": _decode_message})


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
        # Not an object, or JSON that only the slower decoder reads, such as lone surrogates.
        return _decode_whole(piece)
    return {key: apart.get(key, _decode_whole)(memoryview(raw)) for key, raw in fields.items()}


def _decode_items(piece: memoryview, decode: Decode) -> Any:
    """Decode the items of a list: each large item with ``decode``, small ones together in slices."""
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
        _check_parts(message, f"messages[{index}]", limits)


def _check_parts(message: Any, path: str, limits: BodyLimits) -> None:
    if type(message) is not _DICT:
        return
    for key in _PART_LISTS:
        value: Any = message.get(key)
        if type(value) is _LIST_TYPE and len(value) > limits.parts:
            raise RequestError(f"must not be more than {limits.parts}", path=f"{path}.{key}", status=413)
