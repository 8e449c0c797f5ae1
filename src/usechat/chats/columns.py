r"""Column types that give back exactly what they were given, on any database.

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
_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})")


class JsonAsText(str):
    """A value as the text that `encode_stored` made of it before."""

    __slots__ = ()


def encode_stored(value: Any) -> str:
    r"""Return a value as JSON text that every database can hold: NUL and lone surrogates are ``\u`` escapes.

    Raises:
        TypeError: The value holds something that has no form in JSON.
    """
    return str(value) if type(value) is JsonAsText else encode_json(value).decode()


def decode_shown(text: str) -> Any:
    """As `decode_json`, for what is shown to clients: what is nested deeper than they may send is left out, as null.

    There is none in what is written now; one chat that nobody can read would make a list of all of them unreadable.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
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
    r"""``text`` without NUL and lone surrogates; they and the backslash become ``\uXXXX``."""
    if text.isascii() and "\\" not in text and "\x00" not in text:
        return text
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def decode_text(text: str) -> str:
    """What `encode_text` was given."""
    return _ESCAPE.sub(lambda found: chr(int(found.group(1), 16)), text) if "\\" in text else text


class JsonText(TypeDecorator[Any]):
    """Any JSON value; a database null is JSON's ``null``."""

    impl = Text
    cache_ok = True
    encode = staticmethod(encode_stored)
    """What makes the text of a value that is not null."""

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """As text."""
        return None if value is None else encode_stored(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """As value."""
        return None if value is None else decode_json(value)


class PlainText(TypeDecorator[str]):
    """Any Python text."""

    impl = Text
    cache_ok = True
    encode = staticmethod(encode_text)
    """What makes the stored text of one that is not null."""

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Escaped."""
        return None if value is None else encode_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """As it was."""
        return None if value is None else decode_text(value)
