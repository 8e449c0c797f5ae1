"""The cost of a delta, a short answer and a long chat in function calls, which depend on no machine nor its other work.

An answer goes the whole way, from the provider's bytes to those handed to the HTTP server. What a longer answer costs
more than a shorter one, divided by the deltas that it has more, is what one delta costs; a message of a long chat costs
what it costs from the browser's bytes to those that the provider gets.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from benchmarks.bodies import earlier_messages
from usechat import stream_text
from usechat.answers.arguments.inputs import read_messages
from usechat.messages.evidence import detect
from usechat.messages.ui import parse_chat_request
from usechat.models.base import ModelCall
from usechat.models.claude.request.request import build_request
from usechat.models.claude.response.events import AnthropicStream
from usechat.parts import ModelPart

pytestmark = pytest.mark.no_cover

READ_BYTES = 16384
"""About what one read brings while the provider is faster than we are."""
BLOCKS: dict[str, tuple[dict[str, Any], str, str]] = {
    "text": ({"type": "text", "text": ""}, "text_delta", "text"),
    "thinking": ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking"),
    "tool input": (
        {"type": "tool_use", "id": "toolu_1", "name": "write_file", "input": {}},
        "input_json_delta",
        "partial_json",
    ),
}


def encode_answer(kind: str, deltas: int) -> bytes:
    block, delta_type, key = BLOCKS[kind]
    usage = {"input_tokens": 3, "output_tokens": deltas}
    message: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "usage": usage,
    }
    texts = ['{"content":"', *(f"word{index % 10} " for index in range(deltas - 2)), '"}']
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": delta_type, key: text}} for text in texts),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


@dataclass
class RecordedModel:
    """Reads its answer from memory, in pieces."""

    answer: bytes
    provider: str = "anthropic"
    model_id: str = "m"

    async def stream(self, call: ModelCall) -> AsyncGenerator[list[ModelPart]]:
        reader = AnthropicStream()
        for start in range(0, len(self.answer), READ_BYTES):
            yield reader.feed(self.answer[start : start + READ_BYTES])
        yield reader.finish()


@contextmanager
def counted_calls() -> Generator[list[None]]:
    """A list that gets an item for each function that is called, Python's own included."""
    calls: list[None] = []

    def count(frame: Any, event: str, argument: Any) -> None:
        if event in ("call", "c_call"):
            calls.append(None)

    before = sys.getprofile()
    # The garbage collector comes when it likes, and calls the finalizers of what other tests have left. It need not run
    # before: it would walk through all that a long session holds, a second for each count.
    gc.disable()
    sys.setprofile(count)
    try:
        yield calls
    finally:
        sys.setprofile(before)
        gc.enable()


async def count_calls(kind: str, sdk: str, deltas: int) -> int:
    """How many functions are called, Python's own included, while one answer is streamed."""
    model = RecordedModel(encode_answer(kind, deltas))
    response = stream_text(model, prompt="hi").response(sdk=sdk)
    sent: list[bytes] = []
    ended = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await ended.wait()
        return {"type": "http.disconnect"}

    async def send(event: Any) -> None:
        sent.append(event.get("body", b""))

    try:
        with counted_calls() as calls:
            await response({"type": "http", "method": "POST", "headers": []}, receive, send)
    finally:
        ended.set()
    assert b"".join(sent).count(b"word") >= deltas - 2
    return len(calls)


async def count_calls_per_delta(kind: str, sdk: str, fewer: int, more: int) -> float:
    return (await count_calls(kind, sdk, more) - await count_calls(kind, sdk, fewer)) / (more - fewer)


@pytest.mark.anyio
@pytest.mark.parametrize("sdk", ["4.3.19", "7.0.173"])
@pytest.mark.parametrize("kind", BLOCKS)
async def test_a_delta_of_a_burst_costs_few_calls(kind: str, sdk: str):
    await count_calls(kind, sdk, 10)

    assert await count_calls_per_delta(kind, sdk, 500, 1500) < 12


@pytest.mark.anyio
@pytest.mark.parametrize("sdk", ["4.3.19", "7.0.173"])
@pytest.mark.parametrize("kind", BLOCKS)
async def test_a_delta_costs_no_more_in_a_long_answer(kind: str, sdk: str):
    await count_calls(kind, sdk, 10)

    short = await count_calls_per_delta(kind, sdk, 500, 1500)
    long = await count_calls_per_delta(kind, sdk, 500, 20_500)

    assert long < short * 1.2


@pytest.mark.anyio
@pytest.mark.parametrize("sdk", ["4.3.19", "7.0.173"])
async def test_a_short_answer_costs_few_calls(sdk: str):
    await count_calls("text", sdk, 10)

    assert await count_calls("text", sdk, 2) < 2000


def encode_chat(length: int) -> bytes:
    """Every tenth message holds a tool call."""
    last = {"id": "last", "role": "user", "parts": [{"type": "text", "text": "And now?"}]}
    messages = [*earlier_messages(length - 1), last]
    return json.dumps({"id": "c", "trigger": "submit-message", "messages": messages}).encode()


def count_request_calls(length: int) -> int:
    """How many functions are called from the body of a chat of so many messages to the provider's request."""
    body = encode_chat(length)
    with counted_calls() as calls:
        chat = parse_chat_request(body)
        detect(chat)
        request = build_request(ModelCall(messages=read_messages(chat.messages)), "claude-sonnet-4-6")
    assert request.content is not None
    assert request.content.count(b"harbour") > length
    return len(calls)


def test_a_message_of_a_long_chat_costs_few_calls():
    count_request_calls(10)

    assert (count_request_calls(150) - count_request_calls(50)) / 100 < 80


def test_the_messages_of_a_long_chat_are_none_of_the_garbage_collectors_concern():
    chat = parse_chat_request(encode_chat(50))
    messages: list[Any] = [*read_messages(chat.messages)]

    assert not any(gc.is_tracked(part) for message in messages for part in (message, *message.content))
