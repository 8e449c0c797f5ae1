"""An answer's response for frameworks that are not built on Starlette."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import pytest

from tests.support.waiting import PATIENCE
from usechat import stream_text
from usechat.answers.answer import Answer
from usechat.errors import AnswerFailedError, ProviderError
from usechat.http.response import StreamingAnswer
from usechat.http.resume import KnownRun
from usechat.http.stream import AnswerStream
from usechat.messages.ui import parse_chat_request
from usechat.protocol.sse import KEEP_ALIVE
from usechat.runs.log import RunInfo
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.testing.models import Hold, ScriptedModel, Step, saying

pytestmark = pytest.mark.anyio

CHAT = parse_chat_request(b'{"id": "c", "messages": [{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}')


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def answer_of(*steps: Step) -> tuple[ScriptedModel, Answer]:
    model = ScriptedModel(*steps)
    return model, stream_text(model, messages=CHAT.messages, max_retries=0)


async def read(stream: AnswerStream) -> bytes:
    return b"".join([piece async for piece in stream.body])


async def test_answer_has_its_status_headers_and_frames():
    _, answer = answer_of(saying("Hel", "lo"))
    stream = await answer.stream({"X-Usechat-SDK": "7.0.173"}, CHAT)
    assert stream.status == 200
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "connection" not in stream.headers
    body = await read(stream)
    assert b'"delta":"Hel"' in body
    assert body.endswith(b"data: [DONE]\n\n")


async def test_request_that_is_refused_has_its_status_and_reason():
    _, answer = answer_of(saying("Hi"))
    stream = await answer.stream({"x-usechat-sdk": "1000"}, CHAT)
    assert stream.status == 400
    assert "x-usechat-sdk" in json.loads(await read(stream))["detail"]


async def test_second_answer_to_a_running_chat_is_refused():
    runs = RunService(MemoryLog())
    hold = Hold()
    _, first = answer_of([*saying("Hi")[:2], hold])
    _, second = answer_of(saying("Ho"))
    opened = await first.stream({}, CHAT, runs=runs)
    await hold.reached.wait()
    assert (await second.stream({}, CHAT, runs=runs)).status == 409
    await opened.body.aclose()
    await first.aclose()


async def test_failure_that_a_text_stream_cannot_tell_is_told_by_the_status():
    _, answer = answer_of([ProviderError("down", provider="p")])
    stream = await answer.stream({}, CHAT, wire_format="text-stream")
    assert stream.status == 500
    assert "detail" in json.loads(await read(stream))


async def test_failure_within_a_text_stream_is_raised_so_that_the_connection_breaks():
    _, answer = answer_of([*saying("Hi")[:2], ProviderError("cut", provider="p")])
    stream = await answer.stream({}, CHAT, wire_format="text-stream")
    assert (stream.status, await anext(stream.body)) == (200, b"Hi")
    with pytest.raises(AnswerFailedError):
        await anext(stream.body)


async def test_silence_is_filled_with_heartbeats():
    hold = Hold()
    _, answer = answer_of([*saying("Hi")[:2], hold])
    stream = await answer.stream({"x-usechat-sdk": "7"}, CHAT, heartbeat=0.01)
    async with asyncio.timeout(PATIENCE):
        while await anext(stream.body) != KEEP_ALIVE:
            pass
    await stream.body.aclose()


@pytest.mark.parametrize("has_read", [False, True])
async def test_closing_the_body_ends_the_models_call(has_read: bool):
    hold = Hold()
    model, answer = answer_of([*saying("Hi")[:2], hold])
    stream = await answer.stream({}, CHAT)
    if has_read:
        await anext(stream.body)
    await stream.body.aclose()
    assert model.open_count == 0
    with pytest.raises(StopAsyncIteration):
        await anext(stream.body)


async def test_cancelled_read_ends_the_models_call():
    hold = Hold()
    model, answer = answer_of([*saying("Hi")[:2], hold])
    stream = await answer.stream({}, CHAT)
    reading = asyncio.create_task(read(stream))
    await hold.reached.wait()
    reading.cancel()
    await asyncio.wait({reading})
    await asyncio.wait_for(model.closed.wait(), PATIENCE)


async def test_body_that_is_let_go_of_ends_the_models_call():
    hold = Hold()
    model, answer = answer_of([*saying("Hi")[:2], hold])
    stream: Any = await answer.stream({}, CHAT)
    await anext(stream.body)
    del stream
    gc.collect()
    await asyncio.wait_for(model.closed.wait(), PATIENCE)


async def test_error_of_the_application_before_the_status_is_raised():
    model, answer = answer_of(saying("Hi"))
    await answer.aclose()
    with pytest.raises(Exception, match="read once"):
        await answer.stream({}, CHAT)
    assert model.calls == []


async def test_reader_of_a_run_that_goes_before_its_first_piece_is_to_ask_again():
    text = RunInfo(id="gone", chat_id="chat-1", created_at=0, headers={"content-type": "text/plain"})
    stream = await StreamingAnswer(KnownRun(RunService(MemoryLog()), text)).stream()
    assert stream.status == 503
    assert stream.headers["retry-after"] == "1"
    assert json.loads(await read(stream)) == {"detail": "there is no such run"}
