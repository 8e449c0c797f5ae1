"""`smooth_stream`: the same text in even pieces, nothing lost, moved or made slow."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from usechat.answers.smooth import smooth_stream
from usechat.errors import ConfigurationError
from usechat.parts import Part, ReasoningDelta, TextDelta, TextEnd, TextStart

SIGNED = {"anthropic": {"signature": "c2ln"}}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def stream(parts: Iterable[Part]) -> AsyncIterator[list[Part]]:
    for part in parts:
        yield [part]


async def smoothed(parts: Iterable[Part], chunking: Any = "word") -> list[Part]:
    batches = smooth_stream(chunking, delay=None)(stream(parts))
    return [part async for batch in batches for part in batch]


def words(*texts: str, id: str = "0") -> list[Part]:
    return [TextDelta(id, text) for text in texts]


def two_letters(text: str) -> str | None:
    return text[:2] if len(text) > 1 else None


def nothing(text: str) -> str:
    return ""


def something_else(text: str) -> str:
    return "other"


CUTS: list[tuple[Any, list[str], list[str]]] = [
    ("word", ["Hello, world! And", " more"], ["Hello, ", "world! ", "And ", "more"]),
    ("word", ["He", "llo", " ", "you "], ["Hello ", "you "]),
    ("word", ["  two  spaces \n"], ["  two  ", "spaces \n"]),
    ("word", ["no\u00a0break"], ["no\u00a0", "break"]),
    ("word", ["你好", "世界"], ["你好世界"]),
    ("line", ["one\ntwo\n\nthree", "\nfour"], ["one\n", "two\n\n", "three\n", "four"]),
    (re.compile("_"), ["a_b", "_c"], ["a_", "b_", "c"]),
    (two_letters, ["abc", "de"], ["ab", "cd", "e"]),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("chunking", "given", "expected"), CUTS)
async def test_text_comes_in_pieces(chunking: Any, given: list[str], expected: list[str]):
    assert await smoothed(words(*given), chunking) == words(*expected)


@pytest.mark.anyio
async def test_what_waits_is_sent_before_anything_else():
    parts = [*words("half a wo"), TextEnd("0"), TextStart("1"), *words("rest", id="1"), TextEnd("1")]
    assert await smoothed(parts) == [
        *words("half ", "a ", "wo"),
        TextEnd("0"),
        TextStart("1"),
        *words("rest", id="1"),
        TextEnd("1"),
    ]


@pytest.mark.anyio
async def test_blocks_and_kinds_are_not_mixed():
    parts = [ReasoningDelta("0", "thin"), TextDelta("0", "tex"), TextDelta("1", "other")]
    assert await smoothed(parts) == parts


@pytest.mark.anyio
async def test_a_signature_stays_a_delta_of_its_own_behind_the_text_it_signs():
    parts = [ReasoningDelta("0", "I thi"), ReasoningDelta("0", "", SIGNED), ReasoningDelta("0", "nk")]
    assert await smoothed(parts) == [
        ReasoningDelta("0", "I "),
        ReasoningDelta("0", "thi"),
        ReasoningDelta("0", "", SIGNED),
        ReasoningDelta("0", "nk"),
    ]


@pytest.mark.anyio
async def test_metadata_stays_with_the_text_it_came_with():
    parts = [TextDelta("0", "one tw"), TextDelta("0", "o three", SIGNED), TextDelta("0", " four")]
    assert await smoothed(parts) == [
        TextDelta("0", "one "),
        TextDelta("0", "tw"),
        TextDelta("0", "o ", SIGNED),
        TextDelta("0", "three", SIGNED),
        TextDelta("0", " four"),
    ]


@pytest.mark.anyio
async def test_pieces_come_with_the_delay_between_them():
    loop = asyncio.get_running_loop()
    start = loop.time()
    pieces = [batch async for batch in smooth_stream(delay=0.02)(stream(words("a b c ")))]
    assert pieces == [[piece] for piece in words("a ", "b ", "c ")]
    assert loop.time() - start >= 0.06


@pytest.mark.anyio
@pytest.mark.no_cover
@pytest.mark.parametrize("chunking", ["word", "line"])
async def test_text_without_an_end_in_sight_takes_linear_time(chunking: str):
    async def seconds(count: int) -> float:
        start = time.process_time()
        await smoothed(words(*["字"] * count), chunking)
        return time.process_time() - start

    async def is_linear() -> bool:
        return await seconds(100_000) < 60 * max(await seconds(5000), 0.002)

    await seconds(1000)
    # Once in three times is enough: what else the machine does adds to the time of each.
    assert await is_linear() or await is_linear() or await is_linear()


@pytest.mark.anyio
@pytest.mark.parametrize("chunking", [re.compile("x*"), nothing, something_else])
async def test_chunking_that_cuts_nothing_or_elsewhere_is_refused(chunking: Any):
    with pytest.raises(ConfigurationError, match=r"empty|beginning"):
        await smoothed(words("text"), chunking)


def test_an_unknown_chunking_is_refused():
    with pytest.raises(ConfigurationError, match="'word', 'line'"):
        smooth_stream("sentence")  # pyright: ignore[reportArgumentType]
