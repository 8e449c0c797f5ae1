"""The demo as a model: what it answers, at which pace, and how it ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from usechat import step_count_is, stream_text
from usechat.demo.model import DemoModel, demo
from usechat.demo.tools import demo_tools
from usechat.errors import RequestError
from usechat.messages.model import TextContent, UserMessage
from usechat.models.base import FunctionTool, Model, ModelCall, ProviderTool
from usechat.parts import (
    Abort,
    Data,
    Error,
    File,
    ModelFinish,
    ModelPart,
    Part,
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

pytestmark = pytest.mark.anyio

TOOLS = [
    *(FunctionTool(name=name) for name in ("get_weather", "show_progress", "show_chart", "draw_picture", "send_email")),
    ProviderTool(id="anthropic.web_search_20250305", name="web_search"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


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
    [
        ("tool", "get_weather"),
        ("approval", "send_email"),
        ("file", "draw_picture"),
        ("chart", "show_chart"),
        ("data", "show_progress"),
    ],
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


async def test_usual_pace_is_that_of_a_model() -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    async with aclosing(DemoModel().stream(call("hi"))) as batches:
        for _ in range(6):
            await anext(batches)
    assert clock() - began >= 0.19


async def test_reader_that_leaves_ends_the_answer() -> None:
    stream = DemoModel(pace=0).stream(call("long"))
    async with aclosing(stream):
        await anext(stream)
    assert [batch async for batch in stream] == []


async def test_answer_that_is_stopped_does_not_wait_for_its_next_delta() -> None:
    result = stream_text(demo(pace=3600), prompt="long")
    parts: list[Part] = []
    async with asyncio.timeout(60):
        async for part in result:
            parts.append(part)
            if isinstance(part, TextStart):
                result.abort("stopped")
    assert parts[-1] == Abort("stopped")


async def test_answer_lets_others_run_between_its_deltas() -> None:
    turns = 0
    is_over = asyncio.Event()

    async def count() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    batches = [batch async for batch in demo(pace=0).stream(call("long"))]
    is_over.set()
    await counting
    assert turns >= len(batches) - 1 > 500


async def test_what_the_demo_leaves_out_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    model = demo(pace=0)
    hot = msgspec.structs.replace(call("hi"), temperature=3.0)
    for _ in range(2):
        assert [batch async for batch in model.stream(hot)]
    assert [record.getMessage() for record in caplog.records] == ["usechat-demo: temperature was limited to 1"]


async def test_conversation_without_words_is_refused() -> None:
    with pytest.raises(RequestError, match="nothing in the messages to answer"):
        await anext(demo().stream(ModelCall(messages=[])))


def test_one_model_answers_on_every_event_loop() -> None:
    model = demo(pace=0)
    first, second = (asyncio.run(parts_of(model, "hi")) for _ in range(2))
    assert first == second


def test_demo_listens_nowhere_and_needs_no_client() -> None:
    program = """
import asyncio, sys, threading
from usechat.messages.model import TextContent, UserMessage
from usechat.models import demo
from usechat.models.base import ModelCall

sys.addaudithook(lambda event, _: sys.exit(event) if event in {"socket.bind", "socket.connect"} else None)

async def main():
    async for _ in demo(pace=0).stream(ModelCall(messages=[UserMessage((TextContent("hi"),))])):
        pass

asyncio.run(main())
assert threading.active_count() == 1
assert not {"aiohttp", "anthropic", "httpx2"} & set(sys.modules), sorted(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_process_ends_at_once_in_the_middle_of_an_answer() -> None:
    program = """
import asyncio
from usechat.messages.model import TextContent, UserMessage
from usechat.models.base import ModelCall
from usechat.demo.model import DemoModel, demo

async def main():
    stream = demo().stream(ModelCall(messages=[UserMessage((TextContent("long"),))]))
    await anext(stream)

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, timeout=60, check=False
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
    assert calls == ["web_search", "get_weather", "show_progress", "show_chart", "draw_picture", "send_email"]
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
