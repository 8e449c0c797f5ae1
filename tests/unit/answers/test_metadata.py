"""Model, usage and timing in the message's metadata, by one flag."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

import pytest

from tests.conformance.replies import said, text
from usechat import ChatRequest, stream_text
from usechat.answers.metadata import DefaultMetadata
from usechat.messages.ui import parse_chat_request
from usechat.models import anthropic
from usechat.parts import Custom, Finish, FinishReason, Part, Start, StartStep, TextEnd, TextStart, Usage
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.options import EncoderOptions
from usechat.testing.models import ScriptedModel, saying
from usechat.testing.replay import ReplayServer, Reply

STOP = FinishReason("stop", "end_turn")
USAGE = Usage(input_no_cache=3, output=5)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def told(parts: Iterable[Part]) -> list[Any]:
    """What is told of parts that come a second after one another."""
    ticks = iter(range(100))
    metadata = DefaultMetadata("claude", clock=lambda: float(next(ticks)), wall_clock=lambda: 1_700_000_000.1234)
    next(ticks)  # between asking for the answer and its start
    return [told for part in parts if (told := metadata(part)) is not None]


def test_the_start_tells_model_and_time():
    assert told([Start()]) == [{"model": "claude", "createdAt": 1_700_000_000_123}]


def test_the_finish_tells_cost_and_timing():
    parts = [Start(), StartStep(), Custom("anthropic.message_start"), TextStart("0"), TextEnd("0")]
    finish = Finish(finish_reason=STOP, total_usage=USAGE)
    assert told([*parts, finish])[1:] == [
        {"usage": USAGE, "finishReason": "stop", "durationMs": 2000, "timeToFirstTokenMs": 1000}
    ]


def test_an_answer_without_content_has_no_first_token():
    finish = Finish(finish_reason=STOP, total_usage=USAGE)
    assert told([Start(), StartStep(), finish])[1] == {"usage": USAGE, "finishReason": "stop", "durationMs": 1000}


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


ASKED = {
    "type": "tool-send", "toolCallId": "call-1", "state": "approval-responded", "input": {},
    "approval": {"id": "a", "approved": True},
}  # fmt: skip


def continuing(metadata: Any) -> Any:
    """The options of an answer that goes on with a message that says this of itself."""
    message = {"id": "m", "role": "assistant", "metadata": metadata, "parts": [{"type": "step-start"}, ASKED]}
    return {"message": message}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("dialect", "earlier", "usage"),
    [
        (NEWEST[7], {"inputTokens": 50, "inputTokenDetails": {"noCacheTokens": 50}, "outputTokens": 8}, (60, 13)),
        (NEWEST[6], {"inputTokens": 50, "inputTokenDetails": {}, "outputTokens": 8}, (60, 13)),
        (NEWEST[5], {"inputTokens": 50, "outputTokens": 8, "totalTokens": 58}, (60, 13)),
        (NEWEST[7], {"promptTokens": 50, "completionTokens": 8}, (60, 13)),
        (NEWEST[7], {"inputTokens": "50", "inputTokenDetails": 3, "outputTokens": -1}, (10, 5)),
        (NEWEST[7], "none", (10, 5)),
    ],
)
async def test_a_message_made_in_several_requests_tells_the_cost_of_all(dialect: Any, earlier: Any, usage: Any):
    result = stream_text(ScriptedModel(saying("Sent.")), prompt="Hi", message_metadata=True)
    told = {"usage": earlier, "createdAt": 7, "durationMs": 10_000, "timeToFirstTokenMs": 3}
    result.bind(Dialect(dialect, exact=True), EncoderOptions(), **continuing(told))
    metadata = (await result.ui_message)["metadata"]
    assert (metadata["usage"]["inputTokens"], metadata["usage"]["outputTokens"]) == usage
    assert (metadata["createdAt"], metadata["timeToFirstTokenMs"]) == (7, 3)
    assert metadata["durationMs"] >= 10_000


@pytest.mark.anyio
async def test_a_continued_message_without_metadata_of_ours_begins_to_count():
    result = stream_text(ScriptedModel(saying("Sent.")), prompt="Hi", message_metadata=True)
    result.bind(Dialect(NEWEST[7], exact=True), EncoderOptions(), **continuing(None))
    metadata = (await result.ui_message)["metadata"]
    assert metadata["usage"]["totalTokens"] == 15
    assert {"createdAt", "durationMs", "timeToFirstTokenMs"} <= metadata.keys()
