"""The demo through the real anthropic package, from its endpoint on loopback."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import anthropic
import pytest
from aiohttp import web

from usechat import step_count_is, stream_text
from usechat.errors import ProviderStatusError
from usechat.messages.model import TextContent, UserMessage
from usechat.models.base import FunctionTool, Model, ModelCall, ProviderTool
from usechat.models.demo_model import DemoModel, demo
from usechat.models.loopback import loopback_client
from usechat.parts import (
    Data,
    Error,
    File,
    ModelFinish,
    ModelPart,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceUrl,
    TextDelta,
    TextStart,
    ToolApprovalRequest,
    ToolCall,
    ToolInputAvailable,
    ToolInputError,
    ToolOutputAvailable,
    ToolOutputError,
)
from usechat.server.demo_tools import demo_tools
from usechat.testing.demo_endpoint import DemoEndpoint, demo_endpoint

pytestmark = pytest.mark.anyio

TOOLS = [
    *(FunctionTool(name=name) for name in ("get_weather", "show_progress", "draw_picture", "send_email")),
    ProviderTool(id="anthropic.web_search_20250305", name="web_search"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def endpoint() -> Iterator[DemoEndpoint]:
    with DemoEndpoint(pace=0) as endpoint:
        yield endpoint


def call(words: str) -> ModelCall:
    return ModelCall(messages=[UserMessage((TextContent(words),))], tools=TOOLS)


async def parts_of(model: Model, words: str) -> list[ModelPart]:
    return [part async for batch in model.stream(call(words)) for part in batch]


async def test_greeting_is_text_that_ends_well() -> None:
    parts = await parts_of(demo(pace=0), "hi")
    text = "".join(part.delta for part in parts if isinstance(part, TextDelta))
    finish = parts[-1]
    assert text.startswith("Hello! I am **usechat's demo**")
    assert isinstance(finish, ModelFinish)
    assert (finish.finish_reason.unified, finish.model_id) == ("stop", "usechat-demo")
    assert (finish.usage.output or 0) > 10


async def test_reasoning_comes_with_its_signature() -> None:
    parts = await parts_of(demo(pace=0), "reasoning")
    kinds = [type(part) for part in parts]
    signature = [part for part in parts if isinstance(part, ReasoningDelta) and part.provider_metadata]
    assert kinds.index(ReasoningStart) < kinds.index(ReasoningEnd) < kinds.index(TextStart)
    assert [part.delta for part in signature] == [""]


async def test_sources_are_found_and_quoted() -> None:
    parts = await parts_of(demo(pace=0), "sources")
    calls = [part for part in parts if isinstance(part, ToolCall)]
    results = [part for part in parts if isinstance(part, ToolOutputAvailable)]
    urls = {part.url for part in parts if isinstance(part, SourceUrl)}
    assert [(part.tool_name, part.provider_executed) for part in calls] == [("web_search", True)]
    assert len(results) == 1
    assert len(urls) == 2


@pytest.mark.parametrize(
    ("words", "tool"),
    [("tool", "get_weather"), ("approval", "send_email"), ("file", "draw_picture"), ("data", "show_progress")],
)
async def test_tool_is_called(words: str, tool: str) -> None:
    parts = await parts_of(demo(pace=0), words)
    calls = [part for part in parts if isinstance(part, ToolCall)]
    finish = parts[-1]
    assert [part.tool_name for part in calls] == [tool]
    assert isinstance(finish, ModelFinish)
    assert finish.finish_reason.unified == "tool-calls"


async def test_error_comes_in_mid_stream() -> None:
    parts = await parts_of(demo(pace=0), "error")
    errors = [part for part in parts if isinstance(part, Error)]
    assert any(isinstance(part, TextDelta) for part in parts)
    assert [getattr(part.error, "code", None) for part in errors] == ["overloaded_error"]


async def test_answer_comes_at_its_pace() -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    batches = [batch async for batch in demo(pace=0.01).stream(call("hi"))]
    assert len(batches) > 20
    assert clock() - began > 0.2


async def test_reader_that_leaves_ends_the_answer() -> None:
    with DemoEndpoint(pace=0.01) as endpoint:
        async with aclosing(DemoModel(server=endpoint).stream(call("long"))) as stream:
            await anext(stream)
            assert endpoint.open_answers == 1
        async with asyncio.timeout(5):
            await asyncio.to_thread(endpoint.wait_until_idle)
        assert endpoint.open_answers == 0


async def test_endpoint_wants_its_key(endpoint: DemoEndpoint) -> None:
    base_url, _ = endpoint.start()
    async with loopback_client(base_url, "wrong") as client:
        with pytest.raises(anthropic.AuthenticationError):
            await client.messages.create(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "hi"}], stream=True
            )


@pytest.mark.parametrize(
    "body",
    [b"{", b"\xff", b"[]", b"{}", b'{"messages": "hi"}', b'{"messages": ["hi"]}', b'{"messages": [{"role": "user"}]}'],
)
async def test_bad_request_is_refused_as_anthropic_does(endpoint: DemoEndpoint, body: bytes) -> None:
    base_url, api_key = endpoint.start()
    async with loopback_client(base_url, api_key) as client:
        with pytest.raises(anthropic.BadRequestError) as caught:
            await client.post("/v1/messages", cast_to=object, content=body)
    assert caught.value.type == "invalid_request_error"


async def test_refusal_is_a_provider_error() -> None:
    class WrongKey:
        def start(self) -> tuple[str, str]:
            return demo_endpoint.start()[0], "wrong"

    with pytest.raises(ProviderStatusError) as caught:
        await parts_of(DemoModel(server=WrongKey()), "hi")
    assert caught.value.status == 401


def test_endpoint_that_cannot_listen_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(site: web.TCPSite) -> None:
        raise OSError("no more sockets")

    monkeypatch.setattr(web.TCPSite, "start", refuse)
    endpoint = DemoEndpoint()
    with pytest.raises(OSError, match="no more sockets"):
        endpoint.start()
    endpoint.stop()


def test_endpoint_serves_every_event_loop() -> None:
    threads_before = set(threading.enumerate())
    with DemoEndpoint(pace=0) as endpoint:
        for _ in range(2):
            assert asyncio.run(parts_of(DemoModel(server=endpoint), "hi"))
    assert set(threading.enumerate()) <= threads_before


def test_endpoint_that_was_stopped_starts_again(endpoint: DemoEndpoint) -> None:
    endpoint.stop()
    endpoint.stop()
    assert asyncio.run(parts_of(DemoModel(server=endpoint), "hi"))


def test_process_ends_at_once_in_the_middle_of_an_answer() -> None:
    program = """
import asyncio
from usechat.messages.model import TextContent, UserMessage
from usechat.models.base import ModelCall
from usechat.models.demo_model import demo

async def main():
    stream = demo().stream(ModelCall(messages=[UserMessage((TextContent("long"),))]))
    await anext(stream)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


async def test_same_conversation_gets_the_same_parts() -> None:
    def comparable(parts: list[ModelPart]) -> list[Any]:
        return [part for part in parts if not isinstance(part, SourceUrl)]

    first, second = await parts_of(demo(pace=0), "sources"), await parts_of(demo(pace=0), "sources")
    assert comparable(first) == comparable(second)


async def test_tour_runs_through_all_tools_to_the_approval() -> None:
    result = stream_text(demo(pace=0), prompt="tour", tools=demo_tools(), stop_when=step_count_is(10))
    parts = [part async for part in result]
    calls = [part.tool_name for part in parts if isinstance(part, ToolInputAvailable)]
    assert calls == ["web_search", "get_weather", "show_progress", "draw_picture", "send_email"]
    assert {type(part) for part in parts} >= {
        TextDelta,
        ReasoningDelta,
        SourceUrl,
        File,
        Data,
        ToolOutputAvailable,
        ToolApprovalRequest,
    }
    assert not [part for part in parts if isinstance(part, Error | ToolInputError | ToolOutputError)]
