"""OpenAI's streams: through its real package from a server on loopback, and as its objects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.unit.adapters.answers import answered, parts_of, texts_of
from tests.unit.adapters.openai_events import call_turn, items, text_turn
from usechat.adapters import from_openai_chat, from_openai_responses
from usechat.errors import ProviderStreamError
from usechat.parts import FinishReason

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


Serve = Callable[[Sequence[Any]], AsyncOpenAI]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Makes a client of a server that answers each request with the same events."""
    sent: list[Any] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        [size] = [int(line[15:]) for line in head.decode().lower().split("\r\n") if line.startswith("content-length:")]
        await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
        for event in sent:
            writer.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        writer.write(b"data: [DONE]\n\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    client = AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)

    def made(events: Sequence[Any]) -> AsyncOpenAI:
        sent[:] = events
        return client

    yield made
    await client.close()
    server.close()


# -- chat completions


def chunk(delta: dict[str, Any] | None, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": "gpt-x"}
    return {**head, "choices": choices, **more}


USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 4,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 6},
    "completion_tokens_details": {"reasoning_tokens": 1},
}
CHAT = [
    chunk({"role": "assistant", "content": ""}),
    chunk({"reasoning_content": "Hm."}),
    chunk({"content": "I "}),
    chunk({"content": "look."}),
    chunk({"tool_calls": [{"index": 0, "id": "c1", "function": {"name": "get_tide", "arguments": ""}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"port": '}}]}),
    chunk({"tool_calls": [{"index": 0, "function": {"arguments": '"Whitby"}'}}]}),
    chunk({}, "tool_calls"),
    chunk(None, usage=USAGE),
]


async def completions(client: AsyncOpenAI) -> AsyncIterator[Any]:
    stream: Any = await client.chat.completions.create(model="gpt-x", messages=[], stream=True)
    async for part in from_openai_chat(stream):
        yield part


async def test_completion_is_shown_with_its_text_reasoning_call_and_usage(serve: Serve):
    event = await answered(lambda: completions(serve(CHAT)))
    assert event.error is None
    assert texts_of(event) == ["I look."]
    assert texts_of(event, "reasoning") == ["Hm."]
    [tide] = parts_of(event, "tool-get_tide")
    assert (tide["state"], tide["input"]) == ("input-available", {"port": "Whitby"})
    usage = event.usage
    assert (usage.input_no_cache, usage.input_cache_read, usage.output, usage.output_reasoning) == (4, 6, 4, 1)


@pytest.mark.parametrize(
    ("said", "reason"), [("length", "length"), ("content_filter", "content-filter"), ("x", "other")]
)
async def test_reason_of_the_end_is_kept(said: str, reason: Any):
    async def chunks() -> AsyncIterator[Any]:
        yield chunk({"content": "Hi"}, said)

    parts: list[Any] = [part async for part in from_openai_chat(chunks())]
    assert parts[-1].finish_reason == FinishReason(reason, said)


async def test_refusal_is_text(serve: Serve):
    event = await answered(lambda: completions(serve([chunk({"refusal": "No."}), chunk({}, "stop")])))
    assert texts_of(event) == ["No."]


async def test_error_in_a_completion_is_the_answers_error(serve: Serve):
    event = await answered(lambda: completions(serve([CHAT[2], {"error": {"message": "overloaded"}}])))
    assert "overloaded" in str(event.error)
    assert texts_of(event) == ["I "]


# -- responses


def dumped(events: Any) -> list[Any]:
    return [event.model_dump(mode="json") for event in events]


async def responses(client: AsyncOpenAI) -> AsyncIterator[Any]:
    stream: Any = await client.responses.create(model="gpt-x", input="The tide?", stream=True)
    async for part in from_openai_responses(stream):
        yield part


async def test_response_is_shown_with_its_text_reasoning_and_usage(serve: Serve):
    event = await answered(lambda: responses(serve(dumped(text_turn("Three ", "metres.", thoughts=["Hm."])))))
    assert event.error is None
    assert texts_of(event) == ["Three metres."]
    assert texts_of(event, "reasoning") == ["Hm."]
    usage = event.usage
    assert (usage.input_no_cache, usage.input_cache_read, usage.output, usage.output_reasoning) == (4, 6, 4, 1)


async def test_calls_of_a_response_are_told_apart_though_their_items_have_one_id(serve: Serve):
    turn = dumped(call_turn(("get_tide", '{"port": "Whitby"}', "c1"), ("get_tide", '{"port": "Hull"}', "c2")))
    event = await answered(lambda: responses(serve(turn)))
    inputs = {part["toolCallId"]: part["input"] for part in parts_of(event, "tool-get_tide")}
    assert inputs == {"c1": {"port": "Whitby"}, "c2": {"port": "Hull"}}
    [first] = [part async for part in responses(serve(turn)) if type(part).__name__ == "FinishStep"]
    assert first.finish_reason.unified == "tool-calls"


async def test_input_that_is_no_json_is_a_broken_call(serve: Serve):
    event = await answered(lambda: responses(serve(dumped(call_turn(("get_tide", '{"port": ', "c1"))))))
    assert parts_of(event, "tool-get_tide")[0]["state"] == "output-error"


def item_done(item: dict[str, Any]) -> Any:
    whole = {"type": "response.output_item.done", "output_index": 0, "sequence_number": 1, "item": item}
    known: Any = TypeAdapter(ResponseStreamEvent)
    return known.validate_python(whole)


async def objects(*events: Any) -> AsyncIterator[Any]:
    for event in items(*events):
        yield event


async def test_searches_and_other_tools_of_openai_are_calls_that_the_provider_ran():
    search = {
        "id": "ws_1",
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": "q"},
    }
    event = await answered(lambda: from_openai_responses(objects(item_done(search))))
    [part] = parts_of(event, "tool-web_search")
    assert part["providerExecuted"] is True
    assert part["input"]["action"]["query"] == "q"
    assert part["output"] == {"status": "completed"}


async def test_image_of_openai_is_a_file():
    image = {"id": "ig_1", "type": "image_generation_call", "status": "completed", "result": "cG5n"}
    event = await answered(lambda: from_openai_responses(objects(item_done(image))))
    assert parts_of(event, "file")[0]["url"] == "data:image/png;base64,cG5n"


MCP = {"id": "mcp_1", "type": "mcp_call", "name": "find", "arguments": "{}", "server_label": "s"}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ({"output": '{"a": 1}'}, "output-available"),
        ({"error": {"type": "mcp_tool_execution_error", "content": []}}, "output-error"),
    ],
)
async def test_call_of_an_mcp_server_has_its_outcome(outcome: dict[str, Any], state: str):
    event = await answered(lambda: from_openai_responses(objects(item_done({**MCP, **outcome}))))
    [part] = parts_of(event, "tool-find")
    assert part["state"] == state


async def test_mcp_approval_is_asked_for():
    item = {"id": "mcpr_1", "type": "mcp_approval_request", "name": "find", "arguments": "{}", "server_label": "s"}
    event = await answered(lambda: from_openai_responses(objects(item_done(item))))
    [part] = parts_of(event, "tool-find")
    assert (part["state"], part["approval"]) == ("approval-requested", {"id": "mcpr_1"})


async def test_annotation_with_an_address_is_a_source(serve: Serve):
    first, *rest = dumped(text_turn("Three."))
    note = {"type": "url_citation", "url": "https://tide.example", "title": "Tides", "start_index": 0, "end_index": 1}
    place = {"item_id": "msg_1", "output_index": 1, "content_index": 0, "annotation_index": 0, "sequence_number": 5}
    annotation = {"type": "response.output_text.annotation.added", "annotation": note, **place}
    event = await answered(lambda: responses(serve([first, *rest[:-2], annotation, *rest[-2:]])))
    [source] = parts_of(event, "source-url")
    assert (source["url"], source["title"]) == ("https://tide.example", "Tides")


async def test_incomplete_response_has_its_reason(serve: Serve):
    *events, last = dumped(text_turn("Three."))
    last["type"] = "response.incomplete"
    last["response"] |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    parts = [part async for part in responses(serve([*events, last]))]
    assert parts[-1].finish_reason == FinishReason("length", "max_output_tokens")


async def test_failed_response_is_an_error(serve: Serve):
    first, *_, last = dumped(text_turn("Three."))
    last["type"] = "response.failed"
    last["response"] |= {"status": "failed", "error": {"code": "server_error", "message": "down"}}
    with pytest.raises(ProviderStreamError, match="down"):
        [part async for part in responses(serve([first, last]))]
    event = await answered(lambda: responses(serve([first, last])))
    assert "down" in str(event.error)
