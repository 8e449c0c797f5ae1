"""Other people's streams as parts: of text, of parts, of Anthropic's events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest

from usechat.answers.writer.merge import OpenSteps, read_parts, rename_blocks
from usechat.errors import ConfigurationError
from usechat.parts import (
    Data,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    Start,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolInputAvailable,
    ToolInputStart,
    Usage,
)
from usechat.testing.streams import read_events

pytestmark = pytest.mark.anyio

STEP_END = FinishStep(finish_reason=FinishReason("stop"), usage=Usage())


async def stream_of(items: Iterable[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def read(*items: Any) -> list[Part]:
    return [part async for part in read_parts(stream_of(items))]


def kinds(parts: Iterable[Part]) -> list[str]:
    return [type(part).__name__ for part in parts]


async def events(*names: str) -> list[Part]:
    return await read(*(json.loads(event) for name in names for event in read_events(name)))


async def test_texts_become_one_step_with_one_block():
    parts = await read("Hel", "", "lo")
    assert kinds(parts) == ["StartStep", "TextStart", "TextDelta", "TextDelta", "TextEnd", "FinishStep"]
    assert "".join(part.delta for part in parts if isinstance(part, TextDelta)) == "Hello"
    assert len({part.id for part in parts if isinstance(part, TextStart | TextDelta | TextEnd)}) == 1


async def test_parts_stay_as_they_are():
    parts = [Start(), Data(name="x", data=1), Finish(finish_reason=FinishReason("stop"), total_usage=Usage())]
    assert await read(*parts) == parts


async def test_empty_stream_has_no_parts():
    assert await read() == []


@pytest.mark.parametrize("item", [1, b"bytes", [TextStart("0")], object()])
async def test_stream_of_anything_else_is_refused(item: Any):
    with pytest.raises(
        ConfigurationError, match=f"a stream of {type(item).__name__} cannot be sent: ui_message_stream takes"
    ):
        await read(item)


async def test_events_become_a_step():
    parts = await events("text")
    assert (kinds(parts)[0], kinds(parts)[-1]) == ("StartStep", "FinishStep")
    assert "".join(part.delta for part in parts if isinstance(part, TextDelta)) == "High water is at 14:20 in Whitby."
    (finish,) = (part for part in parts if isinstance(part, FinishStep))
    assert finish.finish_reason == FinishReason("stop", "end_turn")
    assert (finish.usage.output or 0) > 0


async def test_tool_call_of_events_is_shown_as_made():
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "c",
        "content": [],
        "usage": {},
    }
    block: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}
    parts = await read(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_stop", "index": 0},
    )
    (start,) = (part for part in parts if isinstance(part, ToolInputStart))
    assert start.dynamic is None
    (call,) = (part for part in parts if isinstance(part, ToolInputAvailable))
    assert (call.tool_call_id, call.tool_name, call.input) == ("toolu_1", "get_weather", {"a": 1})


async def test_events_that_break_off_still_end_their_step():
    message: dict[str, Any] = {
        "id": "m",
        "type": "message",
        "role": "assistant",
        "model": "c",
        "content": [],
        "usage": {},
    }
    parts = await read(
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hel"}},
    )
    assert kinds(parts)[-1] == "FinishStep"
    assert parts[-1].finish_reason.unified == "interrupted"  # type: ignore[union-attr]


class Connection:
    """An event stream with a connection, as the anthropic package's are."""

    def __init__(self, *items: Any) -> None:
        self.items = items
        self.closed: list[str] = []

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            for item in self.items:
                yield item
        finally:
            self.closed.append("iterator")

    async def close(self) -> None:
        self.closed.append("connection")


@pytest.mark.parametrize("is_whole", [True, False])
async def test_stream_and_its_connection_are_closed(is_whole: bool):
    connection = Connection("one", "two")
    parts = read_parts(connection)
    async for _ in parts:
        if not is_whole:
            break
    await parts.aclose()
    assert connection.closed == ["iterator", "connection"]


async def test_stream_that_closes_at_once_is_closed_too():
    class Plain(Connection):
        def close(self) -> None:  # type: ignore[override]
            self.closed.append("plainly")

    connection = Plain("one")
    assert len([part async for part in read_parts(connection)]) == 5
    assert connection.closed == ["iterator", "plainly"]


async def test_iterator_that_cannot_be_closed_is_read():
    class Texts:
        def __init__(self) -> None:
            self.left = ["one"]

        def __aiter__(self) -> Texts:
            return self

        async def __anext__(self) -> str:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop()

    assert len([part async for part in read_parts(Texts())]) == 5


@pytest.mark.parametrize(
    ("part", "renamed"),
    [
        (TextStart("0"), TextStart("1-0")),
        (TextDelta("0", "x"), TextDelta("1-0", "x")),
        (TextEnd("0"), TextEnd("1-0")),
        (ReasoningStart("0"), ReasoningStart("1-0")),
        (ReasoningDelta("0", "x"), ReasoningDelta("1-0", "x")),
        (ReasoningEnd("0"), ReasoningEnd("1-0")),
        (Data(name="x", data=1, id="0"), Data(name="x", data=1, id="0")),
        (StartStep(message_id="0"), StartStep(message_id="0")),
    ],
)
def test_blocks_of_two_streams_are_kept_apart(part: Part, renamed: Part):
    assert rename_blocks(part, "1-") == renamed


def test_overlapping_steps_are_one():
    steps = OpenSteps()
    order = [StartStep(), StartStep(), Data(name="x", data=1), STEP_END, STEP_END, StartStep(), STEP_END]
    assert [steps.admits(part) for part in order] == [True, False, True, False, True, True, True]


def test_end_of_a_step_that_nobody_began_is_sent():
    assert OpenSteps().admits(STEP_END)
