r"""Column types that return values exactly as they were written, on any database.

PostgreSQL's text holds no NUL and no half of a UTF-16 pair, and its ``jsonb`` neither of them nor the order of keys;
a browser sends all three. So JSON is kept as its own text, in which both are escapes, and other text escapes them with
a backslash.
"""

from __future__ import annotations

import re
from typing import Any, Final

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

from usechat.json import MAX_DEPTH, decode_json, encode_json, is_nested_at_most

__all__ = [
    "JsonAsText",
    "JsonText",
    "PlainText",
    "decode_shown",
    "decode_text",
    "encode_stored",
    "encode_text",
]

_ESCAPED: Final = re.compile("[\\\\\x00\ud800-\udfff]")
_STRUCTURE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}]')
_NEVER_DEEP: Final = 2 * MAX_DEPTH
"""Characters of the longest text that cannot be nested too deep."""
_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})")


class JsonAsText(str):
    """The text that `encode_stored` made of a value."""

    __slots__ = ()


def encode_stored(value: Any) -> str:
    r"""Return a value as JSON text that every database can hold: NUL and lone surrogates are ``\u`` escapes.

    Raises:
        TypeError: The value holds something that has no form in JSON.
    """
    return str(value) if type(value) is JsonAsText else encode_json(value).decode()


def decode_shown(text: str) -> Any:
    """Return the value of a stored text. Values that are nested too deep for a client become null.

    Values that are written now are never too deep. One old chat with a deeper value must not make the list of chats
    unreadable.
    """
    if len(text) <= _NEVER_DEEP or text.count("[") + text.count("{") <= MAX_DEPTH:
        return decode_json(text)
    try:
        value = decode_json(text)
    except ValueError:
        return decode_json(_cut_deep(text))
    return value if is_nested_at_most(value, MAX_DEPTH) else decode_json(_cut_deep(text))


def _cut_deep(text: str) -> str:
    kept: list[str] = []
    depth = begins = 0
    for found in _STRUCTURE.finditer(text):
        match found.group():
            case "[" | "{":
                depth += 1
                if depth == MAX_DEPTH + 1:
                    kept += [text[begins : found.start()], "null"]
            case "]" | "}":
                if depth == MAX_DEPTH + 1:
                    begins = found.end()
                depth -= 1
            case _:
                pass
    return "".join([*kept, text[begins:]])


def encode_text(text: str) -> str:
    r"""Return ``text`` with NUL, lone surrogates and the backslash written as ``\uXXXX``."""
    if text.isascii() and "\\" not in text and "\x00" not in text:
        return text
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def decode_text(text: str) -> str:
    """Return the text that `encode_text` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), text) if "\\" in text else text


class JsonText(TypeDecorator[Any]):
    """A column of JSON values. A database null is JSON's ``null``."""

    impl = Text
    cache_ok = True
    encode = staticmethod(encode_stored)
    """Encodes a value that is not null."""

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """Encode a value for the database."""
        return None if value is None else encode_stored(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """Decode a value from the database."""
        return None if value is None else decode_json(value)


class PlainText(TypeDecorator[str]):
    """A column of Python text."""

    impl = Text
    cache_ok = True
    encode = staticmethod(encode_text)
    """Encodes a text that is not null."""

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escape a text for the database."""
        return None if value is None else encode_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Return a text from the database as it was written."""
        return None if value is None else decode_text(value)
