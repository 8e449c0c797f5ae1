"""Streams that others make, given to `ui_message_stream`: they are read, or refused by what they are."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from usechat import FinishEvent, UIMessageStreamWriter, ui_message_stream
from usechat.errors import ConfigurationError, InvalidPartError
from usechat.parts import FinishReason

pytestmark = pytest.mark.anyio


async def stream_of(*items: Any) -> AsyncIterator[Any]:
    for item in items:
        yield item


async def ended(source: Any) -> FinishEvent:
    events: list[FinishEvent] = []
    async for _ in ui_message_stream(source, on_finish=events.append):
        pass
    return events[0]


CHUNKS: list[Any] = [
    {"type": "start", "messageId": "m1", "messageMetadata": {"model": "x"}},
    {"type": "start-step"},
    {"type": "text-start", "id": "0"},
    {"type": "text-delta", "id": "0", "delta": "Hello"},
    {"type": "text-end", "id": "0"},
    {"type": "data-tide", "id": "d", "data": {"at": 3}},
    {"type": "tool-input-available", "toolCallId": "c", "toolName": "get_tide", "input": {"port": "Whitby"}},
    {"type": "tool-output-available", "toolCallId": "c", "output": 3},
    {"type": "finish-step"},
    {"type": "finish"},
]


async def test_chunks_of_the_ai_sdk_are_read_as_its_client_reads_them():
    event = await ended(stream_of(*CHUNKS))
    assert event.error is None
    assert event.finish_reason == FinishReason("stop")
    kinds = {part["type"]: part for part in event.ui_message["parts"]}
    assert kinds["text"]["text"] == "Hello"
    assert kinds["data-tide"]["data"] == {"at": 3}
    assert (kinds["tool-get_tide"]["input"], kinds["tool-get_tide"]["output"]) == ({"port": "Whitby"}, 3)
    assert event.ui_message["metadata"] == {"model": "x"}


async def test_reason_that_a_chunk_gives_is_kept():
    assert (await ended(stream_of({"type": "finish", "finishReason": "length"}))).finish_reason == FinishReason(
        "length"
    )


async def test_error_chunk_of_the_ai_sdk_is_the_answers_error():
    event = await ended(stream_of({"type": "error", "errorText": "no"}))
    assert "no" in str(event.error)


async def test_events_of_the_messages_api_are_read_as_dicts_too():
    event = await ended(
        stream_of(
            {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
            {"type": "message_stop"},
        )
    )
    assert (event.text, event.finish_reason) == ("Hi", FinishReason("stop", "end_turn"))


@dataclass
class PartStartEvent:
    """As pydantic-ai has it."""

    index: int
    event_kind: str = "part_start"


FOREIGN: list[tuple[Any, str]] = [
    # LangChain's chunks have a type that is their class; LangGraph's updates are dicts by node, its events have names.
    (SimpleNamespace(type="AIMessageChunk", content="Hi"), r"types's SimpleNamespace \(AIMessageChunk\)"),
    ({"agent": {"messages": []}}, "dicts with the keys agent"),
    ({"event": "on_chat_model_stream", "name": "x", "data": {}, "run_id": 1}, "dicts with the keys event, name, data"),
    (("messages", {}), "tuple"),
    # OpenAI's Responses API, as objects and as dicts; openai-agents.
    (SimpleNamespace(type="response.created"), r"SimpleNamespace \(response\.created\)"),
    ({"type": "response.output_text.delta", "delta": "Hi"}, r"dicts of the type response\.output_text\.delta"),
    (SimpleNamespace(type="raw_response_event", data=None), "raw_response_event"),
    # OpenAI's chat completions, pydantic-ai, strands.
    (SimpleNamespace(choices=[]), "SimpleNamespace"),
    (PartStartEvent(0), "PartStartEvent"),
    ({"init_event_loop": True}, "dicts with the keys init_event_loop"),
    ({}, "dicts with the keys of nothing"),
    (b"bytes", "bytes"),
    (1, "int"),
    ('data: {"type":"text-delta"}\n\n', "server-sent events"),
]


@pytest.mark.parametrize(("item", "words"), FOREIGN)
async def test_stream_of_another_framework_is_refused_at_its_first_item(
    item: Any, words: str, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING):
        event = await ended(stream_of(item, item))
    assert isinstance(event.error, ConfigurationError)
    with pytest.raises(ConfigurationError, match=words):
        raise event.error
    assert "cannot be sent" in caplog.text


@pytest.mark.parametrize("item", [{"agent": {}}, {"type": "text-delta"}, {"type": "nothing"}, "text"])
async def test_what_comes_among_chunks_and_is_none_is_refused(item: Any):
    event = await ended(stream_of(*CHUNKS[:4], item))
    assert isinstance(event.error, InvalidPartError)
    assert event.ui_message["parts"][-1]["text"] == "Hello"


# Functions that write


async def test_what_fails_in_the_middle_of_a_step_ends_legally(caplog: pytest.LogCaptureFixture):
    stream = await ui_message_stream(stream_of("Hello", SimpleNamespace())).stream({})
    sent = b"".join([piece async for piece in stream.body]).decode()
    ends = [line[6:] for line in sent.splitlines() if line.startswith("data: ")][-3:]
    assert ends == ['{"type":"finish-step"}', '{"type":"finish"}', "[DONE]"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_plain_function_writes_in_a_thread_of_its_own():
    threads: list[int] = []

    def write(writer: UIMessageStreamWriter) -> None:
        threads.append(threading.get_ident())
        writer.write_text("One ")
        writer.merge(stream_of("two"))
        time.sleep(0)

    event = await ended(write)
    assert [part["text"] for part in event.ui_message["parts"] if part["type"] == "text"] == ["One ", "two"]
    assert threads != [threading.get_ident()]


async def test_what_a_plain_function_raises_is_the_answers_error():
    def write(writer: UIMessageStreamWriter) -> None:
        writer.write_text("One")
        raise LookupError("no more")

    event = await ended(write)
    assert isinstance(event.error, LookupError)
    assert event.ui_message["parts"][-1]["text"] == "One"


async def test_function_may_yield_what_it_would_write():
    async def write(writer: UIMessageStreamWriter) -> AsyncIterator[str]:
        yield "Hello"

    assert (await ended(write)).ui_message["parts"][-1]["text"] == "Hello"


async def test_what_a_function_returns_in_place_of_writing_is_told():
    def write(writer: UIMessageStreamWriter) -> Iterator[str]:
        yield "Hello"

    with pytest.raises(ConfigurationError, match="returned generator: write with the writer"):
        raise (await ended(write)).error or AssertionError


@pytest.mark.parametrize("source", [["text"], iter(["text"]), "text", None, {"type": "start"}])
def test_source_that_is_no_stream_is_refused_at_once(source: Any):
    with pytest.raises(ConfigurationError, match="takes an async function or an async iterator, not"):
        ui_message_stream(source)


async def test_what_cannot_be_merged_is_refused_where_it_is_given():
    async def write(writer: UIMessageStreamWriter) -> None:
        writer.merge(["text"])

    with pytest.raises(ConfigurationError, match="merge takes an async iterator or an answer, not list"):
        raise (await ended(write)).error or AssertionError
