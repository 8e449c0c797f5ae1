"""Parse docstrings of tools: the tool's description and its parameters' (Google's form and Sphinx's)."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Final

__all__ = ["read_docstring"]

_SECTION: Final = re.compile(r"(Args|Arguments|Parameters|Params):\s*$")
_GOOGLE: Final = re.compile(r"\s+\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_SPHINX: Final = re.compile(r":param\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)")


def read_docstring(text: str | None, parameters: Collection[str]) -> tuple[str | None, dict[str, str]]:
    """Return the docstring without its parameter descriptions, and these descriptions by parameter name.

    A docstring that describes none of these parameters is returned unchanged.
    """
    if not text:
        return None, {}
    described: dict[str, str] = {}
    left: list[str] = []
    for line, name, words in _read_lines(text.split("\n")):
        if name is None:
            left += [] if line is None else [line]
        elif words is not None:
            described[name] = f"{described[name]} {words}".strip() if name in described else words
    found = {name: words for name, words in described.items() if name in parameters and words}
    return (re.sub(r"\n{3,}", "\n\n", "\n".join(left)).strip() or None, found) if found else (text, {})


def _read_lines(lines: list[str]) -> Iterator[tuple[str | None, str | None, str | None]]:
    """Yield a line of a parameter as the parameter's name and its description, and every other line unchanged."""
    current: str | None = None
    # The indent of a parameter's first line; None outside a section.
    indent: int | None = None
    for line in lines:
        depth = len(line) - len(line.lstrip())
        is_blank = not line.strip()
        if depth == 0 and not is_blank:
            current = indent = None
        if _SECTION.match(line):
            indent, current = 0, None
            yield None, None, None
        elif (sphinx := _SPHINX.match(line)) is not None:
            current = sphinx[1]
            yield None, current, sphinx[2].strip()
        elif indent in (0, depth) and (google := _GOOGLE.match(line)) is not None:
            current, indent = google[1], depth
            yield None, current, google[2].strip()
        elif current is not None and depth > 0:
            yield None, current, line.strip()
        elif is_blank and indent is not None:
            yield "", None, None
        else:
            current = None
            yield line, None, None
