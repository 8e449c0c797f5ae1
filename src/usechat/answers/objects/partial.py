"""A JSON value while its text grows, read anew as often as its length allows."""

from __future__ import annotations

from typing import Any

import msgspec

from usechat.answers.objects.array_text import ArrayElements
from usechat.answers.objects.shape import Shape
from usechat.errors import NoObjectGeneratedError
from usechat.protocol.partial_json import parse_partial_json, parse_whole_json

__all__ = ["GrowingValue"]

SHORT = 4096
"""Characters up to which a text is read anew whenever there is more of it."""
GROWTH = 16
"""A longer one, when it has grown by this part of itself: so all readings together cost 17 times the last one."""


class GrowingValue:
    """Takes the text that ``useObject`` gets, gives the value so far.

    Args:
        shape: How the value is read.
        array_key: The key whose value is an array's text; None for the array alone, as ``useObject`` gets it.
    """

    def __init__(self, shape: Shape, *, array_key: str | None = None) -> None:
        self.shape = shape
        self.shown: Any = msgspec.UNSET
        """The value; `msgspec.UNSET` while there is none."""
        self.pieces: list[str] = []
        self.length = 0
        self.length_read = 0
        self.elements = ArrayElements(key=array_key)
        self.new_elements: list[Any] = []
        self.fits = True
        """Whether all of an array's elements so far fit: none is shown after one that does not."""

    def feed(self, text: str) -> None:
        """Add text."""
        self.length += len(text)
        if self.shape.output == "array":
            self._feed_array(text)
        else:
            self.pieces.append(text)

    def _feed_array(self, text: str) -> None:
        for element in self.elements.feed(text):
            try:
                if self.fits:
                    self.new_elements.append(self.shape.read_element(element)[1])
            except NoObjectGeneratedError:
                self.fits = False

    def has_changed(self, *, is_last: bool = False) -> bool:
        """Return whether `shown` is another than when this was asked last."""
        before = self.shown
        if self.length > self.length_read and (is_last or self._is_due()):
            self.length_read = self.length
            self.shown = self._read_array() if self.shape.output == "array" else self._read(is_last=is_last)
        return self.shown is not before and self.shown != before

    def _is_due(self) -> bool:
        return self.length <= SHORT or (self.length - self.length_read) * GROWTH >= self.length_read

    def _read(self, *, is_last: bool) -> Any:
        self.pieces = ["".join(self.pieces)]
        # A large text may be whole, and too much to mend.
        value = parse_whole_json(self.pieces[0]) if is_last else msgspec.UNSET
        if value is msgspec.UNSET:
            value = parse_partial_json(self.pieces[0])
        shown = msgspec.UNSET if value is msgspec.UNSET else self.shape.show(value)
        return self.shown if shown is msgspec.UNSET else shown

    def _read_array(self) -> Any:
        if not self.new_elements:
            return [] if self.elements.is_complete and self.shown is msgspec.UNSET else self.shown
        elements = [*(self.shown or ()), *self.new_elements]
        self.new_elements = []
        return elements
