"""`smooth_stream`: text in even pieces, however unevenly the model sends it (``smooth-stream.ts``, 7.0.173)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from typing import Literal, TypeAlias

from usechat import parts as p
from usechat.errors import ConfigurationError

__all__ = ["ChunkDetector", "Transform", "smooth_stream"]

ChunkDetector: TypeAlias = Callable[[str], str | None]
"""The first piece of what is waiting, or None when it has to wait for more; always a beginning of its argument."""
Transform: TypeAlias = Callable[[AsyncIterator[list[p.Part]]], AsyncIterator[list[p.Part]]]
"""Changes an answer's parts on their way."""

PATTERNS = {"word": re.compile(r"\S+\s+"), "line": re.compile(r"\n+")}
DEFAULT_DELAY = 0.010


def smooth_stream(
    chunking: Literal["word", "line"] | re.Pattern[str] | ChunkDetector = "word",
    *,
    delay: float | None = DEFAULT_DELAY,
) -> Transform:
    """A transform that sends text and reasoning word by word or line by line.

    Args:
        chunking: ``word``, ``line``, a pattern whose match ends a piece, or a function that cuts one off.
        delay: Seconds between two pieces; None for no pause.

    Raises:
        ConfigurationError: The chunking is none of these.
    """
    detect = make_detector(chunking)

    async def transform(batches: AsyncIterator[list[p.Part]]) -> AsyncIterator[list[p.Part]]:
        waiting: p.TextDelta | p.ReasoningDelta | None = None
        async for batch in batches:
            for part in batch:
                if not isinstance(part, p.TextDelta | p.ReasoningDelta):
                    if waiting is not None:
                        yield [waiting]
                    waiting = None
                    yield [part]
                    continue
                if waiting is not None and (type(waiting), waiting.id) != (type(part), part.id):
                    yield [waiting]
                    waiting = None
                text = part.delta if waiting is None else waiting.delta + part.delta
                metadata = part.provider_metadata or (waiting.provider_metadata if waiting is not None else None)
                while (piece := detect(text)) is not None:
                    yield [type(part)(part.id, piece)]
                    text = text[len(piece) :]
                    if delay is not None:
                        await asyncio.sleep(delay)
                waiting = type(part)(part.id, text, metadata) if text or metadata is not None else None
        if waiting is not None:
            yield [waiting]

    return transform


def make_detector(chunking: str | re.Pattern[str] | ChunkDetector) -> ChunkDetector:
    pattern = PATTERNS.get(chunking) if isinstance(chunking, str) else chunking
    if isinstance(pattern, re.Pattern):
        return by_pattern(pattern)
    if pattern is None:
        raise ConfigurationError("chunking must be 'word', 'line', a pattern or a function")
    return by_function(pattern)


def by_pattern(pattern: re.Pattern[str]) -> ChunkDetector:
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
