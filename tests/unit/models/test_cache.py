"""`cached`: a call that was made before gets its answer without asking the model."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from usechat import generate_text, step_count_is, stream_text, tool
from usechat.errors import ConfigurationError, ProviderStreamError, UsechatError
from usechat.messages.model import AssistantMessage, TextContent, UserMessage
from usechat.models import AnswerStore, MemoryAnswers, anthropic, cached
from usechat.parts import Error, FinishStep, Start, StartStep
from usechat.testing.models import ScriptedModel, calling_tool, saying
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio


@tool
def look(where: str) -> str:
    """Look."""
    return f"nothing {where}"


async def test_same_call_is_answered_without_the_model():
    model = ScriptedModel(saying("Hel", "lo \ud83d", "!"))
    answers = cached(model)
    first, second = [await generate_text(answers, prompt="Hi", max_retries=retries) for retries in (0, 1)]
    assert (first.text, first.usage) == (second.text, second.usage)
    assert first.text == "Hello \ud83d!"
    assert len(model.calls) == 1


async def test_answer_comes_again_in_the_pieces_in_which_it_came():
    answers = cached(ScriptedModel(saying("One", "Two")))
    for _ in range(2):
        assert [text async for text in stream_text(answers, prompt="Hi").text_stream] == ["One", "Two"]


async def test_steps_with_tools_are_answered_again():
    model = ScriptedModel(calling_tool("look", {"where": "here"}), saying("Nothing."))
    answers = cached(model)
    for _ in range(2):
        event = await generate_text(answers, prompt="Look", tools=[look], stop_when=step_count_is(2))
        assert (event.text, len(event.steps)) == ("Nothing.", 2)
    assert len(model.calls) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "Ho"},
        {"prompt": "Hi", "temperature": 0},
        {"prompt": "Hi", "system": "Be brief."},
        {"prompt": "Hi", "tools": [look]},
        {"prompt": "Hi", "headers": {"anthropic-beta": "x"}},
        {"messages": [AssistantMessage((TextContent("Hi"),))]},
    ],
)
async def test_other_call_is_asked(other: Any):
    model = ScriptedModel(saying("A"))
    answers = cached(model)
    await generate_text(answers, messages=[UserMessage((TextContent("Hi"),))])
    await generate_text(answers, **other)
    assert len(model.calls) == 2


async def test_trace_of_a_request_is_no_other_call():
    model = ScriptedModel(saying("A"))
    answers = cached(model)
    for trace in "12":
        await generate_text(answers, prompt="Hi", headers={"traceparent": trace})
    assert len(model.calls) == 1


FAILING = [
    [*saying("A")[:-1], ProviderStreamError("broken", provider="scripted")],
    [*saying("A")[:-1]],
    [*saying("A")[:-1], [Error("overloaded")], saying("A")[-1]],
    saying("A", finish="error"),
]


@pytest.mark.parametrize("step", FAILING)
async def test_answer_that_is_not_whole_is_asked_for_again(step: Any):
    model = ScriptedModel(step, saying("B"))
    answers = cached(model)
    with suppress(UsechatError):
        await generate_text(answers, prompt="Hi")
    assert (await generate_text(answers, prompt="Hi")).text == "B"


async def test_answer_that_was_left_is_asked_for_again_and_its_model_is_closed():
    model = ScriptedModel(saying("One", "Two"))
    answers = cached(model)
    stream = stream_text(answers, prompt="Hi").text_stream
    assert await anext(stream) == "One"
    await stream.aclose()
    assert model.open_count == 0
    await generate_text(answers, prompt="Hi")
    assert len(model.calls) == 2


async def test_store_that_fails_or_holds_nonsense_leaves_the_model():
    class Broken:
        async def get(self, key: str, /) -> bytes | None:
            return b'[[["NoPart", {}]]]'

        async def set(self, key: str, value: bytes, /) -> None:
            raise OSError("away")

    model = ScriptedModel(saying("A"))
    store: AnswerStore = Broken()
    for _ in range(2):
        assert (await generate_text(cached(model, store), prompt="Hi")).text == "A"
    assert len(model.calls) == 2


async def test_memory_forgets_what_was_used_longest_ago():
    store = MemoryAnswers(max_bytes=10)
    for key in "ab":
        await store.set(key, b"12345")
    assert await store.get("a") == b"12345"
    await store.set("c", b"1")
    assert [await store.get(key) for key in "abc"] == [b"12345", None, b"1"]
    await store.set("c", b"x" * 11)
    assert (store.size, len(store.kept)) == (0, 0)


@pytest.mark.parametrize(
    "cassette",
    ["text-surrogates", "tool-text-first", "thinking-redacted", "web-search", "citations-web", "code-execution"],
)
async def test_streams_of_claude_come_again_part_by_part(cassette: str):
    async with ReplayServer(cassette) as server:
        model = anthropic("claude-sonnet-4-6", base_url=server.url, api_key="none")
        answers = cached(model)
        heard = [[part async for part in stream_text(answers, prompt="Hi")] for _ in range(2)]
        assert len(server.requests) == 1
    # Each answer has its own id.
    first, second = [[part for part in parts if not isinstance(part, Start | StartStep)] for parts in heard]
    assert first == second
    assert any(isinstance(part, FinishStep) for part in first)


def test_what_is_no_store_is_refused_in_one_sentence():
    with pytest.raises(ConfigurationError, match="the store of cached must have async get and set"):
        cached(ScriptedModel(saying("A")), {})  # type: ignore[arg-type] - the point
