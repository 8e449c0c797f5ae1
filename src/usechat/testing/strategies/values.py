"""Strategies for the values in parts: texts, JSON, metadata."""

from __future__ import annotations

from functools import cache
from typing import Any

from hypothesis import strategies as st

__all__ = [
    "BLOCKS",
    "BLOCK_IDS",
    "CITATIONS",
    "ENCODINGS",
    "FILE_URLS",
    "FLAGS",
    "INPUT_TEXTS",
    "KEPT_BEFORE_7",
    "MEDIA_TYPES",
    "NAMES",
    "RESULTS",
    "YES",
    "any_text",
    "json_objects",
    "json_values",
    "optional",
    "provider_metadata",
]

SPECIAL_TEXTS = ("", '"', "\\", "\n", "\r\n", "\x00", "\u2028", "\u0085", "é", "😀", "\ud83d", "\ude00", "data: x\n\n")
BLOCKS = frozenset({"0", "1", 'a "b"', "__proto__"})
BLOCK_IDS = st.sampled_from(sorted(BLOCKS))
NAMES = st.sampled_from(["get_weather", "search", "x"])
MEDIA_TYPES = st.sampled_from(["image/png", "text/plain"])
FILE_URLS = st.sampled_from(["data:image/png;base64,iVBORw0KGgo=", "https://example.org/a.png"])
FLAGS = st.sampled_from([None, True, False])
YES = st.sampled_from([None, True])
ENCODINGS = st.sampled_from([None, "json", "text"])
RESULTS = st.sampled_from(["preliminary", "output", "error", "denied"])
SOURCE: dict[str, Any] = {"type": "source", "sourceType": "url", "id": "s1", "url": "https://example.org/"}
CITATIONS = st.sampled_from([None, ({"source": SOURCE, "citedText": "so"},)])
KEPT: dict[str, dict[str, Any]] = {"anthropic": {"citations": ["web"]}}
KEPT_BEFORE_7 = st.sampled_from([None, {}, KEPT])


@cache
def any_text() -> st.SearchStrategy[str]:
    """Draw text, also with characters that break careless framing: line ends, quotes, NUL, lone surrogates."""
    return st.one_of(st.sampled_from(SPECIAL_TEXTS), st.text(max_size=8))


INPUT_TEXTS = st.one_of(any_text(), st.sampled_from(['{"a": ', "[1, ", "tru", '"b\\u00', "-1.", "}"]))


@cache
def json_values() -> st.SearchStrategy[Any]:
    """Draw any JSON value, large integers included."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(min_value=-(2**70), max_value=2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        any_text(),
    )
    return st.recursive(leaves, json_containers, max_leaves=4)


def json_containers(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.lists(children, max_size=3), st.dictionaries(any_text(), children, max_size=3))


@cache
def json_objects() -> st.SearchStrategy[dict[str, Any]]:
    """Draw a small JSON object."""
    return st.dictionaries(st.sampled_from(["a", "b", "é"]), json_values(), max_size=2)


@cache
def provider_metadata() -> st.SearchStrategy[dict[str, dict[str, Any]] | None]:
    """Draw a part's provider metadata, or ``None``."""
    return st.one_of(st.none(), st.fixed_dictionaries({"anthropic": json_objects()}))


@cache
def optional(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw ``None`` or one of the values."""
    return st.one_of(st.none(), values)
