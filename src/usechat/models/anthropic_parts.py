"""An answer that has been opened, as an iterator of its parts in the batches that the connection brings.

What is rare is awaited; deltas can go a straight way past whoever waits here, see `usechat.sink`. Knows neither how an
answer is opened nor what its bytes mean.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, NamedTuple, Self

from usechat.errors import ProviderError
from usechat.models.anthropic_events import AnthropicStream
from usechat.models.anthropic_source import Source
from usechat.parts import DeltaRun, ModelPart, one_by_one
from usechat.sink import Taker

__all__ = ["AnthropicParts", "Opened"]


class Opened(NamedTuple):
    """An answer that has begun."""

    source: Source
    stream: AnthropicStream
    first: list[ModelPart | DeltaRun]
    """Its first batch; empty where it is at its end already."""


class AnthropicParts:
    """The parts of one call, from its first batch to the `ModelFinish`; `usechat.sink.Divertible`.

    Args:
        begin: Opens the answer, when the first batch is asked for; raises what fails before that.
    """

    __slots__ = (
        "_batches",
        "_way",
    )

    def __init__(self, begin: Callable[[], Awaitable[Opened]]) -> None:
        self._way = _Way()
        # A generator of its own, which does not refer back here: one that is dropped gives its connection back.
        self._batches = _read(begin, self._way)

    def __aiter__(self) -> Self:
        """The batches."""
        return self

    def __anext__(self) -> Awaitable[list[ModelPart]]:
        """The next batch."""
        return self._batches.__anext__()

    def divert(self, taker: Taker[list[ModelPart | DeltaRun]]) -> None:
        """From the second batch on, offer each to ``taker`` first, while somebody waits for it.

        Batches may then hold runs of deltas.
        """
        self._way.taker = taker

    async def aclose(self) -> None:
        """Stop reading; a connection that is not at its end is closed at once."""
        await self._batches.aclose()


class _Way:
    """Where an answer's parts go while somebody waits for them."""

    taker: Taker[list[ModelPart | DeltaRun]] | None = None


async def _read(begin: Callable[[], Awaitable[Opened]], way: _Way) -> AsyncGenerator[list[Any]]:
    source, stream, first = await begin()
    del begin
    try:
        is_diverted = way.taker is not None
        if first:
            yield first if is_diverted else one_by_one(first)
        if way.taker is not None:
            source.divert(way.taker)
        while (parts := await source.read()) is not None:
            if parts:
                yield parts if is_diverted else one_by_one(parts)
    except ProviderError as error:
        yield stream.fail(error)
    finally:
        await source.aclose()
    yield stream.finish()
