"""`smooth_stream`: text in even pieces, however unevenly the model sends it (``smooth-stream.ts``, 7.0.173)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from usechat.errors import ConfigurationError
from usechat.parts import Part, ReasoningDelta, TextDelta

__all__ = ["ChunkDetector", "Transform", "smooth_stream"]

ChunkDetector: TypeAlias = Callable[[str], str | None]
"""The first piece of what is waiting, or None when it has to wait for more; always a beginning of its argument."""
Transform: TypeAlias = Callable[[AsyncIterator[list[Part]]], AsyncIterator[list[Part]]]
"""Changes an answer's parts on their way."""

DEFAULT_DELAY = 0.010

# JavaScript's white space. Each repetition takes all it can and gives nothing back, or a text without spaces, as
# Chinese and Japanese are written, would take quadratic time.
SPACE = r"\t-\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
WORD = re.compile(rf"[{SPACE}]*+[^{SPACE}]++[{SPACE}]++")
LINE = re.compile(r"[^\n]*+\n++")


class Chunking(NamedTuple):
    """A way to cut text."""

    detect: ChunkDetector
    ends: re.Pattern[str] | None = None
    """What new text must have to complete a piece; None when only ``detect`` can tell."""


def smooth_stream(
    chunking: Literal["word", "line"] | re.Pattern[str] | ChunkDetector = "word",
    *,
    delay: float | None = DEFAULT_DELAY,
) -> Transform:
    """Return a transform that sends text and reasoning word by word or line by line.

    Args:
        chunking: ``word``, ``line``, a pattern whose match ends a piece, or a function that cuts one off.
        delay: Seconds after each piece; None for no pause.

    Raises:
        ConfigurationError: The chunking is none of these.
    """
    cut = make_chunking(chunking)

    async def transform(batches: AsyncIterator[list[Part]]) -> AsyncIterator[list[Part]]:
        smoother = Smoother(cut)
        async for batch in batches:
            for part in batch:
                for shown in smoother.feed(part):
                    yield [shown]
                    if delay is not None and shown is smoother.piece:
                        await asyncio.sleep(delay)
        for shown in smoother.flush():
            yield [shown]

    return transform


class Smoother:
    """Takes parts, gives parts: text and reasoning in pieces, everything else as it is."""

    def __init__(self, chunking: Chunking) -> None:
        self.chunking = chunking
        self.last: TextDelta | ReasoningDelta | None = None
        """The delta whose block and metadata the waiting text has."""
        self.waiting: list[str] = []
        self.piece: Part | None = None
        """The piece that was cut off last."""

    def feed(self, part: Part) -> Iterator[Part]:
        """Return what can be shown once ``part`` is there."""
        if not isinstance(part, TextDelta | ReasoningDelta) or not part.delta:
            # A delta without text is a signature: a piece of text could not carry it.
            yield from self.flush()
            yield part
            return
        if self.last is not None and not goes_on(self.last, part):
            yield from self.flush()
        self.last = part
        self.waiting.append(part.delta)
        if self.chunking.ends is None or self.chunking.ends.search(part.delta):
            yield from self._cut(part)

    def _cut(self, part: TextDelta | ReasoningDelta) -> Iterator[Part]:
        text = "".join(self.waiting)
        while (piece := self.chunking.detect(text)) is not None:
            text = text[len(piece) :]
            self.waiting = [text] if text else []
            self.piece = remade(part, piece)
            yield self.piece

    def flush(self) -> Iterator[Part]:
        """Return what waits, as it is."""
        text, last = "".join(self.waiting), self.last
        self.waiting, self.last = [], None
        if text and last is not None:
            yield remade(last, text)


def goes_on(last: TextDelta | ReasoningDelta, part: TextDelta | ReasoningDelta) -> bool:
    """Return whether one piece may have text of both: it has one block, and the metadata of one delta."""
    is_plain = last.provider_metadata is None and part.provider_metadata is None
    return is_plain and type(last) is type(part) and last.id == part.id


def remade(delta: TextDelta | ReasoningDelta, text: str) -> Part:
    return type(delta)(delta.id, text, delta.provider_metadata)


def make_chunking(chunking: str | re.Pattern[str] | ChunkDetector) -> Chunking:
    match chunking:
        case "word":
            return Chunking(by_match(WORD), re.compile(f"[{SPACE}]"))
        case "line":
            return Chunking(by_match(LINE), re.compile("\n"))
        case re.Pattern():
            return Chunking(by_search(chunking))
        case str():
            raise ConfigurationError("chunking must be 'word', 'line', a pattern or a function")
        case _:
            return Chunking(by_function(chunking))


def by_match(pattern: re.Pattern[str]) -> ChunkDetector:
    def detect(text: str) -> str | None:
        found = pattern.match(text)
        return None if found is None else found.group()

    return detect


def by_search(pattern: re.Pattern[str]) -> ChunkDetector:
    def detect(text: str) -> str | None:
        found = pattern.search(text)
        if found is None:
            return None
        if not found.group():
            raise ConfigurationError("the chunking pattern must not match an empty text")
        return text[: found.end()]

    return detect


def by_function(function: ChunkDetector) -> ChunkDetector:
    def detect(text: str) -> str | None:
        piece = function(text)
        if piece is None:
            return None
        if not piece or not text.startswith(piece):
            raise ConfigurationError("the chunking function must return a beginning of its text, and not an empty one")
        return piece

    return detect
