"""Model, usage and timing in the message's metadata, by one flag."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.conformance.replies import said, text
from usechat import ChatRequest, stream_text
from usechat import parts as p
from usechat.generate.metadata import default_metadata
from usechat.messages.ui import parse_chat_request
from usechat.models import anthropic
from usechat.testing.replay import ReplayServer, Reply

STOP = p.FinishReason("stop", "end_turn")
USAGE = p.Usage(input_no_cache=3, output=5)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def told(parts: Iterable[p.Part]) -> list[Any]:
    """What is told of parts that come a second after one another."""
    ticks = iter(range(100))
    metadata = default_metadata("claude", clock=lambda: float(next(ticks)), wall_clock=lambda: 1_700_000_000.1234)
    next(ticks)  # between asking for the answer and its start
    return [told for part in parts if (told := metadata(part)) is not None]


def test_the_start_tells_model_and_time():
    assert told([p.Start()]) == [{"model": "claude", "createdAt": 1_700_000_000_123}]


def test_the_finish_tells_cost_and_timing():
    parts = [p.Start(), p.StartStep(), p.Custom("anthropic.message_start"), p.TextStart("0"), p.TextEnd("0")]
    finish = p.Finish(finish_reason=STOP, total_usage=USAGE)
    assert told([*parts, finish])[1:] == [
        {"usage": USAGE, "finishReason": "stop", "durationMs": 2000, "timeToFirstTokenMs": 1000}
    ]


def test_an_answer_without_content_has_no_first_token():
    finish = p.Finish(finish_reason=STOP, total_usage=USAGE)
    assert told([p.Start(), p.StartStep(), finish])[1] == {"usage": USAGE, "finishReason": "stop", "durationMs": 1000}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("sdk", "usage"),
    [
        (5, {"inputTokens": 25, "outputTokens": 17, "totalTokens": 42, "cachedInputTokens": 0}),
        (7, {"inputTokens": 25, "outputTokens": 17, "totalTokens": 42}),
    ],
)
async def test_one_flag_tells_it_all_in_the_clients_shape(sdk: int, usage: dict[str, int]):
    async with ReplayServer(said(text("One", "two"), delay=0.01)) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
        result = stream_text(model, prompt="Hi", message_metadata=True)
        before = time.time()
        message = await read(result, sdk)
    metadata = message["metadata"]
    assert metadata["model"] == "claude-sonnet-4-6"
    assert before - 1 <= metadata["createdAt"] / 1000 <= time.time() + 1
    assert metadata["finishReason"] == "stop"
    assert 0 < metadata["timeToFirstTokenMs"] <= metadata["durationMs"]
    assert {key: metadata["usage"].get(key) for key in usage} == usage


async def read(result: Any, sdk: int) -> Any:
    """The message that a client of this version holds in the end."""
    body = b'{"id": "1", "messages": [{"id": "2", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}'
    chat: ChatRequest = parse_chat_request(body)

    async def send(message: Any) -> None:
        """Somebody reads it."""

    async def receive() -> Any:
        return await asyncio.Event().wait()

    await result.response(chat, sdk=sdk)({"type": "http", "method": "POST", "headers": []}, receive, send)
    return await result.ui_message


@pytest.mark.anyio
async def test_without_the_flag_there_is_no_metadata():
    async with ReplayServer(Reply("text")) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
        message = await read(stream_text(model, prompt="Hi", message_metadata=False), 7)
    assert "metadata" not in message
