"""The elements of an array that arrives as text: each as soon as it is complete, in time linear in the text.

Models cannot answer with an array alone, so they are asked for ``{"elements": […]}``. Knows no schema and no model.
Upstream: ``ai/src/util/array-output-stream.ts`` (7.0.173).
"""

from __future__ import annotations

import re

__all__ = ["ArrayElements"]

# What can change where one is: a string's end or an escape within strings, structure outside of them.
IN_STRING = re.compile(r'[\\"]')
OUTSIDE = re.compile(r'["\[\]{},]')


class ArrayElements:
    """Takes the text piece by piece, gives the JSON text of each element once.

    Args:
        key: The object's key whose value is the array; None for an array alone.
    """

    def __init__(self, key: str | None = "elements") -> None:
        self.key = key
        self.array_depth = 1 if key is None else 2
        self.depth = 0
        self.in_string = False
        self.is_escaped = False
        """Whether the last piece ended with a backslash."""
        self.is_inside = False
        """Whether the array has begun."""
        self.is_complete = False
        """Whether the array has ended."""
        self.last_key = ""
        """The last string of the object around the array."""
        self.kept: list[str] = []
        """What came before of the element, or of the string, that is being read."""
        self.begin: int | None = None
        """Where in the piece it begins; None when nothing is being read."""

    def feed(self, text: str) -> list[str]:
        """Return the elements that ``text`` completes."""
        elements: list[str] = []
        position = 1 if self.is_escaped and text else 0
        self.is_escaped = self.is_escaped and not text
        while not self.is_complete:
            found = (IN_STRING if self.in_string else OUTSIDE).search(text, position)
            if found is None:
                break
            position = found.end()
            match found.group():
                case "\\":
                    self.is_escaped = position == len(text)
                    position += 1
                case '"':
                    self._string(text, found.start())
                case mark:
                    self._structure(mark, text, found.start(), elements)
        if self.begin is not None:
            self.kept.append(text[self.begin :])
            self.begin = 0
        return elements

    def _string(self, text: str, at: int) -> None:
        self.in_string = not self.in_string
        if self.is_inside or self.depth != self.array_depth - 1:
            return
        if self.in_string:
            self.begin = at + 1
        else:
            self.last_key = self._take(text, at)

    def _structure(self, mark: str, text: str, at: int, elements: list[str]) -> None:
        if mark in "[{":
            self.depth += 1
            if mark == "[" and self.depth == self.array_depth and self.key in (None, self.last_key):
                self.is_inside, self.begin = True, at + 1
        elif not self.is_inside or self.depth > self.array_depth:
            self.depth -= mark != ","
        else:
            if element := self._take(text, at).strip():
                elements.append(element)
            self.is_complete = mark != ","
            self.begin = None if self.is_complete else at + 1

    def _take(self, text: str, end: int) -> str:
        taken = "".join((*self.kept, text[self.begin : end]))
        self.kept, self.begin = [], None
        return taken
