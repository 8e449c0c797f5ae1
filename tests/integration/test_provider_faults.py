"""Whatever the model's provider sends or leaves undone: `usechat serve` ends each answer legally, and stays small."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integration.running_server import serving
from tests.integration.test_provider_limits import BLOCK, EVENTS, MIB, NEWEST, PING, START, bomb, delta, frames, sending
from tests.support.load_clients import Answer, Site, ask, chat_body, until_idle
from tests.support.waiting import PATIENCE
from tests.unit.http1.servers import Handler, silent
from tests.unit.http1.servers import serving as providing
from usechat.protocol.sse import SSEDecoder
from usechat.testing.client_rules import find_refusals
from usechat.testing.replay import ReplayServer, Reply

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

QUICK = {"USECHAT_FIRST_CHUNK_SECONDS": "1", "USECHAT_CHUNK_SECONDS": "1"}
FEW_FILES = 30
TOOL = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "x"}}
TINY = b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}\n\n'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def serving_from(url: str, folder: Path, **settings: str) -> AsyncGenerator[Site]:
    with serving(
        folder,
        ANTHROPIC_BASE_URL=url,
        ANTHROPIC_API_KEY="unused",
        USECHAT_MODEL="claude-sonnet-4-6",
        USECHAT_API_KEYS="the-key",
        USECHAT_METRICS="true",
        **settings,
    ) as server:
        yield Site(server.client.base_url.port or 0, server.process.pid, "the-key")


async def chunks_of(site: Site, chat_id: str = "chat") -> list[dict[str, Any]]:
    """The chunks of an answer, which every client takes and whose end is there."""
    answer = await ask(site, site.request("POST", "/api/chat", chat_body(chat_id, "hello")))
    async with asyncio.timeout(PATIENCE * 2):
        await answer.over
    body = body_of(answer)
    assert find_refusals(body, NEWEST) == []
    decoder = SSEDecoder(2**30)
    *chunks, last = [*decoder.feed(body), *decoder.finish()]
    assert last == b"[DONE]"
    return [json.loads(chunk) for chunk in chunks]


def body_of(answer: Answer) -> bytes:
    """The body, without the marks of HTTP's chunks."""
    assert answer.status == 200
    received = memoryview(answer.received)
    at = answer.received.index(b"\r\n\r\n") + 4
    pieces: list[bytes] = []
    while True:
        end = answer.received.index(b"\r\n", at)
        size = int(received[at:end].tobytes(), 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(received[end + 2 : end + 2 + size].tobytes())
        at = end + 2 + size + 2


async def dripping_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with a head that takes minutes."""
    await reader.readuntil(b"\r\n\r\n")
    for number in range(10**4):
        writer.write(b"HTTP/1.1 200 OK\r\n" if number == 0 else b"x-filling: x\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with what is not HTTP at all."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(random.Random(1).randbytes(MIB))
    await writer.drain()


def sent_once(*pieces: bytes) -> Handler:
    """Send an answer as fast as it is read, and close the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(EVENTS + b"\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return handle


GARBAGE: list[Any] = [
    None, 1, "text", [], {}, {"type": None}, {"type": []}, {"type": "content_block_delta"},
    {**delta("x"), "index": "a"}, {**delta("x"), "index": 10**30},
    {**delta("x"), "delta": 3}, {"type": "message_delta", "delta": [], "usage": "x"},
]  # fmt: skip
ODD = b"".join(b"data: " + json.dumps(each).encode() + b"\n\n" for each in GARBAGE)
BYTES = b"".join(b"data: " + random.Random(seed).randbytes(200).replace(b"\n", b"") + b"\n\n" for seed in range(5000))


def tool_input(text: str) -> bytes:
    fields = {"type": "input_json_delta", "partial_json": text}
    return frames({"type": "content_block_delta", "index": 0, "delta": fields})


LARGE_INPUT = [tool_input('{"text": "'), *[tool_input("x" * (MIB // 4))] * 400]


@pytest.mark.parametrize(
    ("handler", "ends"),
    [
        pytest.param(silent, "error", id="silence"),
        pytest.param(dripping_head, "error", id="slow-head"),
        pytest.param(sending(EVENTS, frames(START), frames(PING), pause=0.05), "error", id="pings-alone"),
        pytest.param(sending(EVENTS, frames(START, BLOCK, delta("x"))), "error", id="silence-in-mid-answer"),
        pytest.param(no_http, "error", id="no-http"),
        pytest.param(sent_once(b"\x00\xff" * MIB), "error", id="bytes-for-events"),
        pytest.param(sent_once(frames(START, BLOCK), BYTES), "error", id="bytes-for-json"),
        pytest.param(sent_once(frames(START, BLOCK), ODD), "error", id="json-that-means-nothing"),
    ],
)
async def test_provider_that_makes_no_sense_ends_the_answer(handler: Handler, ends: str, tmp_path: Path):
    async with (
        providing(handler) as origin,
        serving_from(f"http://{origin.host}:{origin.port}", tmp_path, **QUICK) as site,
    ):
        idle = await until_idle(site, 10**6)
        kinds = Counter(chunk["type"] for chunk in await chunks_of(site))
        # Each unreadable event is an error, up to a bound.
        assert 1 <= kinds[ends] <= 10
        assert len(log_lines(tmp_path)) < 20
        await until_idle(site, idle.files + FEW_FILES)


def log_lines(folder: Path) -> list[str]:
    return [line for line in (folder / "server.log").read_text().splitlines() if line[:2] == "20"]


async def gzip_bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send 300 MB of comments in some 300 KB."""
    packed = bomb((b": " + b"x" * 1000 + b"\n\n") * 1000, 300)
    head = EVENTS + b"content-encoding: gzip\r\ncontent-length: %d\r\n" % len(packed)
    await sending(head, packed)(reader, writer)


@pytest.mark.parametrize(
    ("handler", "ends", "most"),
    [
        pytest.param(gzip_bomb, "error", 64, id="gzip-bomb"),
        pytest.param(sending(EVENTS, frames(START, BLOCK), frames(delta("x" * 2**18))), "abort", 400, id="no-end"),
        pytest.param(sent_once(frames(START, BLOCK), *[TINY * 1000] * 1000), "abort", 300, id="million-deltas"),
        pytest.param(sent_once(frames(START, TOOL), *LARGE_INPUT), "abort", 400, id="100-mb-tool-input"),
        pytest.param(sending(EVENTS, frames(START, TOOL) + b"data: ", b"x" * 2**18), "error", 200, id="one-event"),
    ],
)
async def test_provider_that_sends_too_much_ends_the_answer(handler: Handler, ends: str, most: int, tmp_path: Path):
    async with (
        providing(handler) as origin,
        serving_from(f"http://{origin.host}:{origin.port}", tmp_path) as site,
    ):
        idle = await until_idle(site, 10**6)
        site.forget_peak()
        kinds = Counter(chunk["type"] for chunk in await chunks_of(site))
        assert kinds[ends] == 1
        assert site.peak() - idle.memory < most * MIB
        await until_idle(site, idle.files + FEW_FILES)


async def test_storm_of_overload_ends_each_answer_and_the_next_one_is_whole(tmp_path: Path):
    storm, answers = [True], 60

    def reply(_: object) -> Reply:
        return Reply(status=529, headers={"retry-after-ms": "1"}) if storm[0] else Reply("text")

    async with ReplayServer(reply) as upstream, serving_from(upstream.url, tmp_path) as site:
        idle = await until_idle(site, 10**6)
        told = await asyncio.gather(*(chunks_of(site, f"storm-{number}") for number in range(answers)))
        assert all([chunk["type"] for chunk in chunks].count("error") == 1 for chunks in told)
        # A call and its two retries for each, and no more.
        assert len(upstream.requests) == answers * 3
        storm[0] = False
        chunks = await chunks_of(site, "after")
        assert chunks[-1]["type"] == "finish"
        state = await until_idle(site, idle.files + 100 + FEW_FILES)
        assert state.memory - idle.memory < 64 * MIB
        metrics = await ask(site, site.request("GET", "/metrics"))
        await metrics.over
        found = re.search(rb'upstream_errors_total\{kind="overloaded_error"\} (\S+)', metrics.received)
        assert found is not None
        assert float(found[1]) == answers
