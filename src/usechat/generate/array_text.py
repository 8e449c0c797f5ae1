"""The elements of an array that arrives as text: each as soon as it is complete, in time linear in the text.

Models cannot answer with an array alone, so they are asked for ``{"elements": […]}``.
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
        array_depth: How deep the array is: 1 for an array alone, 2 for one within an object.
    """

    def __init__(self, array_depth: int = 2) -> None:
        self.array_depth = array_depth
        self.text = ""
        self.position: int = 0
        self.depth = 0
        self.in_string = False
        self.start: int = -1
        self.is_complete = False
        """Whether the array has ended."""

    def feed(self, text: str) -> list[str]:
        """The elements that ``text`` completes."""
        self.text += text
        elements: list[str] = []
        while not self.is_complete:
            found = (IN_STRING if self.in_string else OUTSIDE).search(self.text, self.position)
            if found is None:
                self.position = len(self.text)
                break
            if found.group() == "\\" and found.end() == len(self.text):
                self.position = found.start()
                break
            self.position = found.end()
            self._step(found.group(), found.start(), elements)
        self._forget()
        return elements

    def _step(self, mark: str, at: int, elements: list[str]) -> None:
        match mark:
            case "\\":
                self.position += 1
            case '"':
                self.in_string = not self.in_string
            case "[" | "{":
                self.depth += 1
                if self.depth == self.array_depth and mark == "[":
                    self.start = self.position
            case "]" if self.depth == self.array_depth:
                self._end(at, elements)
                self.is_complete = True
            case "]" | "}":
                self.depth -= 1
            case _ if self.depth == self.array_depth:
                self._end(at, elements)
                self.start = self.position
            case _:
                pass

    def _end(self, at: int, elements: list[str]) -> None:
        element = self.text[self.start : at].strip() if self.start >= 0 else ""
        if element:
            elements.append(element)

    def _forget(self) -> None:
        """Let go of what was read, so that a long array costs no more per piece than a short one."""
        done = self.position if self.start < 0 else min(self.start, self.position)
        if done > 0:
            self.text = self.text[done:]
            self.position -= done
            self.start -= done if self.start >= 0 else 0
