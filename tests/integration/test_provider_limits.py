"""Whatever a provider does or leaves undone, an answer ends, legally and with a bounded amount of memory."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from typing import Any

import anthropic as package
import pytest

from tests.integration.anthropic_calls import CALL
from tests.support.waiting import eventually
from tests.unit.http1.servers import Handler, serving, silent
from usechat import Timeout, generate_object, generate_text, stream_text, tool
from usechat.errors import AnswerTimeoutError, ProviderError, ProviderStatusError, ProviderStreamError
from usechat.models import AnthropicModel, anthropic
from usechat.protocol.sse import SSEDecoder
from usechat.testing.client_rules import find_refusals
from usechat.testing.replay import ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("no_settings_of_this_machine")]

MIB = 2**20
COMMENT = b": " + b"x" * 1000 + b"\n\n"
NEWEST = (7, 0, 173)
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
START = {"type": "message_start", "message": {"id": "msg_1", "model": "m", "usage": {"input_tokens": 1}}}
BLOCK = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
PING = {"type": "ping"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def delta(text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def sending(head: bytes, first: bytes, again: bytes = b"", *, pause: float = 0) -> Handler:
    """Answer with these bytes, and go on with the others until the client leaves."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"\r\n" + first)
        while again:
            writer.write(again)
            await writer.drain()
            # Others have their turn, also where nobody holds the sender up.
            await asyncio.sleep(pause)
        await reader.read()

    return handle


@asynccontextmanager
async def model_at(handler: Handler, *, owns_client: bool = False, **options: Any) -> AsyncGenerator[AnthropicModel]:
    async with serving(handler) as origin:
        url = f"http://{origin.host}:{origin.port}"
        if owns_client:
            async with package.AsyncAnthropic(base_url=url, api_key="k") as client:
                yield anthropic("claude-sonnet-4-6", client=client, **options)
        else:
            model = anthropic("claude-sonnet-4-6", base_url=url, api_key="k", **options)
            yield model
            await model.aclose()


async def respond(
    model: AnthropicModel, *, sdk: str = "7", **options: Any
) -> tuple[list[dict[str, Any]], list[BaseException]]:
    """The chunks that a client gets, to the end of the stream, and what ``on_error`` got."""
    errors: list[BaseException] = []
    sent = bytearray()

    def on_error(error: BaseException) -> None:
        errors.append(error)

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(event: Any) -> None:
        sent.extend(event.get("body", b""))

    response = stream_text(model, prompt="hi", on_error=on_error, **options).response(sdk=sdk)
    async with asyncio.timeout(60):
        await response({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert find_refusals(bytes(sent), NEWEST) == []
    decoder = SSEDecoder()
    *chunks, last = [*decoder.feed(bytes(sent)), *decoder.finish()]
    assert last == b"[DONE]"
    return [json.loads(chunk) for chunk in chunks], errors


def check_end(chunks: list[dict[str, Any]]) -> None:
    """The client is told once that the answer failed."""
    kinds = [chunk["type"] for chunk in chunks]
    assert kinds.count("error") == 1


@contextmanager
def little_memory(bound: int) -> Generator[None]:
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < bound, f"{peak / MIB:.0f} MiB"


# Time


PINGS = sending(EVENTS, frames(START), frames(PING), pause=0.01)
CUT_SHORT = sending(EVENTS, frames(START, BLOCK, delta("High water")), frames(PING), pause=0.01)


@pytest.mark.parametrize("owns_client", [False, True], ids=["shared-client", "own-client"])
@pytest.mark.parametrize(
    ("handler", "limits", "limit"),
    [
        pytest.param(silent, Timeout(first_chunk=0.3), "first_chunk", id="silence"),
        pytest.param(PINGS, Timeout(first_chunk=0.3), "first_chunk", id="pings-alone"),
        pytest.param(CUT_SHORT, Timeout(chunk=0.3), "chunk", id="pings-in-mid-answer"),
        pytest.param(CUT_SHORT, Timeout(step=0.3), "step", id="step"),
        pytest.param(CUT_SHORT, Timeout(total=0.3), "total", id="total"),
    ],
)
async def test_dead_provider_ends_the_answer_with_a_timeout(
    handler: Handler, limits: Timeout, limit: str, owns_client: bool
):
    async with model_at(handler, owns_client=owns_client) as model:
        chunks, errors = await respond(model, timeout=limits)
    check_end(chunks)
    (error,) = errors
    assert isinstance(error, AnswerTimeoutError)
    assert (error.code, error.limit, error.seconds, error.provider) == ("timeout", limit, 0.3, "anthropic")
    if limit == "chunk":
        assert "".join(chunk.get("delta", "") for chunk in chunks) == "High water"


async def test_limits_of_the_model_hold_where_the_call_has_none():
    async with model_at(PINGS, timeout=Timeout(first_chunk=0.2)) as model:
        with pytest.raises(AnswerTimeoutError):
            await generate_text(model, prompt="hi")
        with pytest.raises(AnswerTimeoutError):
            await generate_object(model, output="no-schema", prompt="hi", timeout=Timeout(total=0.2, first_chunk=60))


async def test_model_that_is_read_without_an_answer_is_not_waited_for_without_end():
    async with model_at(silent, timeout=Timeout(first_chunk=0.1, chunk=0.2)) as model:
        _, errors = await respond(model)
        with pytest.raises(ProviderError) as caught:
            await anext(model.stream(CALL))
    assert isinstance(errors[0], AnswerTimeoutError)
    assert caught.value.code == "timeout"


async def test_tool_that_hangs_ends_with_the_answers_time():
    started, cancelled = asyncio.Event(), asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    block: dict[str, Any] = {"type": "tool_use", "id": "toolu_1", "name": "wait", "input": {}}
    events: list[dict[str, Any]] = [
        START,
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]
    async with ReplayServer(Reply(events=events)) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="k")
        chunks, errors = await respond(model, tools=[wait], timeout=Timeout(total=0.5))
    check_end(chunks)
    # On a busy machine the time is over before the tool begins.
    assert cancelled.is_set() == started.is_set()
    assert [getattr(error, "limit", None) for error in errors] == ["total"]


@pytest.mark.parametrize("owns_client", [False, True], ids=["shared-client", "own-client"])
async def test_pause_that_is_longer_than_the_answer_may_take_is_not_waited_for(owns_client: bool):
    busy = b"HTTP/1.1 429 Too Many\r\nretry-after: 55\r\ncontent-length: 0\r\n"
    async with model_at(sending(busy, b""), owns_client=owns_client, max_retries=9) as model:
        chunks, errors = await respond(model, timeout=Timeout(first_chunk=50))
    check_end(chunks)
    (error,) = errors
    assert isinstance(error, ProviderStatusError)
    assert (error.status, error.retry_after, error.is_retryable) == (429, 55, True)


async def test_stall_in_mid_answer_is_tried_again_where_that_was_asked_for():
    async with ReplayServer(Reply("text", hold_after=4), "text") as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="k")
        chunks, errors = await respond(model, sdk="7.0.173", timeout=Timeout(chunk=2), stream_retries=1)
    assert [chunk["type"] for chunk in chunks].count("reset-step") == 1
    assert chunks[-1]["type"] == "finish"
    assert [getattr(error, "limit", None) for error in errors] == ["chunk"]


# Bytes


@cache
def bomb(data: bytes, times: int) -> bytes:
    packer = zlib.compressobj(zlib.Z_BEST_SPEED, wbits=31)
    return b"".join([*(packer.compress(data) for _ in range(times)), packer.flush()])


@pytest.mark.parametrize("owns_client", [False, True], ids=["shared-client", "own-client"])
@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(bytes(MIB), "an event is longer than 33554432 bytes", id="one-event"),
        pytest.param(
            (b": " + b"x" * 1000 + b"\n\n") * 10**3, "the answer is longer than 134217728 bytes", id="comments"
        ),
    ],
)
async def test_little_that_inflates_to_much_ends_the_answer(data: bytes, text: str, owns_client: bool):
    packed = bomb(data, 256)
    head = EVENTS + b"content-encoding: gzip\r\ncontent-length: %d\r\n" % len(packed)
    async with model_at(sending(head, packed), owns_client=owns_client) as model:
        with little_memory(100 * MIB):
            chunks, errors = await respond(model)
    check_end(chunks)
    (error,) = errors
    assert isinstance(error, ProviderStreamError)
    assert (error.code, str(error), error.is_retryable) == ("too_large", text, False)


@pytest.mark.parametrize("encoding", [b"identity", b"gzip"])
async def test_endless_error_body_is_read_in_part(encoding: bytes, caplog: pytest.LogCaptureFixture):
    piece = b"x" * MIB
    head = b"HTTP/1.1 500 Oh\r\ncontent-encoding: %s\r\n" % encoding
    first, again = (bomb(piece, 300), b"") if encoding == b"gzip" else (b"", piece)
    async with model_at(sending(head, first, again), max_retries=0) as model:
        with little_memory(24 * MIB):
            chunks, errors = await respond(model)
    check_end(chunks)
    (error,) = errors
    assert isinstance(error, ProviderStatusError)
    assert error.status == 500
    assert max(len(record.getMessage()) for record in caplog.records) < 3000


async def test_event_without_end_ends_the_answer():
    handler = sending(EVENTS, frames(START, BLOCK, delta("High")) + b"data: ", b"x" * 2**16)
    async with model_at(handler) as model:
        with little_memory(100 * MIB):
            chunks, errors = await respond(model)
    check_end(chunks)
    assert [getattr(error, "code", None) for error in errors] == ["too_large"]
    assert "".join(chunk.get("delta", "") for chunk in chunks) == "High"


async def test_answer_without_end_ends():
    handler = sending(EVENTS, frames(START, BLOCK), frames(delta("x" * 2**18)))
    left = asyncio.Event()

    async def watched(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        finally:
            left.set()

    async with model_at(watched) as model:
        chunks, errors = await respond(model)
        await eventually(left.is_set)
    check_end(chunks)
    assert [getattr(error, "code", None) for error in errors] == ["too_large"]
    assert 100 * MIB < sum(len(chunk.get("delta", "")) for chunk in chunks) < 128 * MIB


async def test_compression_that_nobody_asked_for_ends_the_answer():
    async with model_at(sending(EVENTS + b"content-encoding: br\r\n", b"whatever")) as model:
        chunks, errors = await respond(model, max_retries=0)
    check_end(chunks)
    assert "compressed in a way that was not asked for: b'br'" in str(errors[0])
