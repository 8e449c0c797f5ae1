"""What the embedded model is given of a conversation."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from usechat.errors import RequestError
from usechat.messages.model import (
    AssistantMessage,
    FileContent,
    ModelMessage,
    ReasoningContent,
    SystemMessage,
    TextContent,
    ToolCallContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserContent,
    UserMessage,
)
from usechat.models.base import FunctionTool, ModelCall, ResponseFormat
from usechat.models.embedded.history import (
    ANSWER_TOKENS,
    HISTORY_TOKENS,
    LONGEST_ANSWER_TOKENS,
    SLOT_TOKENS,
    fit,
    message_text,
    plain_call,
    unsupported,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def user(*content: str | UserContent) -> UserMessage:
    return UserMessage(tuple(TextContent(item) if isinstance(item, str) else item for item in content))


def assistant(*content: Any) -> AssistantMessage:
    return AssistantMessage(tuple(TextContent(item) if isinstance(item, str) else item for item in content))


def texts(call: ModelCall) -> list[str]:
    return [message_text(message) for message in call.messages]


async def count_words(system: str | None, messages: Sequence[ModelMessage]) -> int:
    """A word is a token."""
    return len(f"{system or ''} {' '.join(map(message_text, messages))}".split())


CALL = ToolCallContent(tool_call_id="t", tool_name="get_weather", input={})
RESULT = ToolMessage(
    (ToolResultContent(tool_call_id="t", tool_name="get_weather", output=ToolResultOutput("text", "cold")),)
)


def test_tools_and_reasoning_are_left_out() -> None:
    call = plain_call(
        ModelCall(
            messages=[
                user("hi"),
                assistant(ReasoningContent("hm"), "I look.", CALL),
                RESULT,
                assistant("Cold."),
                user("ok"),
            ],
            tools=[FunctionTool(name="get_weather")],
            provider_options={"anthropic": {"thinking": {"type": "enabled"}}},
        )
    )
    assert texts(call) == ["hi", "I look.\n\nCold.", "ok"]
    assert (call.tools, call.provider_options) == ((), None)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            FileContent(media_type="image/png", data="AAAA", filename="cat.png"),
            "[cat.png, image/png: attached, but you cannot see it]\n\nwhat?",
        ),
        (
            FileContent(media_type="application/pdf", url="https://a.b/c.pdf"),
            "[a file, application/pdf: attached, but you cannot see it]\n\nwhat?",
        ),
        (
            FileContent(media_type="text/csv", data=base64.b64encode(b"a,b").decode(), filename="t.csv"),
            "t.csv:\na,b\n\nwhat?",
        ),
        (
            FileContent(media_type="text/plain", data=base64.b64encode(b"\xff\xfe").decode(), filename="t.txt"),
            "[t.txt, text/plain: attached, but you cannot see it]\n\nwhat?",
        ),
        (
            FileContent(media_type="text/plain", data="é", filename="t.txt"),
            "[t.txt, text/plain: attached, but you cannot see it]\n\nwhat?",
        ),
    ],
)
def test_file_becomes_text(file: FileContent, text: str) -> None:
    assert texts(plain_call(ModelCall(messages=[user(file, "what?")]))) == [text]


def test_system_texts_are_joined() -> None:
    call = plain_call(ModelCall(messages=[SystemMessage("Be kind."), user("hi")], system="Be brief."))
    assert (call.system, texts(call)) == ("Be brief.\n\nBe kind.", ["hi"])


def test_every_message_has_a_text() -> None:
    messages = [SystemMessage("a"), user("b"), assistant("c"), RESULT]
    assert [message_text(message) for message in messages] == ["a", "b", "c", ""]


def test_no_system_text_is_none() -> None:
    assert plain_call(ModelCall(messages=[user("hi")], system="")).system is None


def test_half_an_emoji_is_replaced() -> None:
    assert texts(plain_call(ModelCall(messages=[user("a\ud83d")]))) == ["a?"]


@pytest.mark.parametrize("messages", [[], [user("")], [user("  \n")], [assistant("hi")], [RESULT]])
def test_conversation_without_words_of_the_user_is_refused(messages: list[ModelMessage]) -> None:
    with pytest.raises(RequestError, match="needs a message with text"):
        plain_call(ModelCall(messages=messages))


@pytest.mark.parametrize(
    ("asked", "got"), [(None, ANSWER_TOKENS), (10, 10), (900, 900), (64_000, LONGEST_ANSWER_TOKENS)]
)
def test_answer_is_no_longer_than_the_model_can(asked: int | None, got: int) -> None:
    assert plain_call(ModelCall(messages=[user("hi")], max_output_tokens=asked)).max_output_tokens == got


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (ModelCall(messages=[user("hi")], temperature=1.0, system="s"), []),
        (ModelCall(messages=[user("hi")], tools=[FunctionTool(name="t")]), ["tools"]),
        (ModelCall(messages=[user("hi"), RESULT]), ["tools"]),
        (ModelCall(messages=[user("hi")], provider_options={"anthropic": {"thinking": {}}}), ["thinking"]),
        (ModelCall(messages=[user("hi")], response_format=ResponseFormat(json_schema={})), ["structured output"]),
        (ModelCall(messages=[user(FileContent(media_type="image/png", data="AAAA"))]), ["files"]),
    ],
)
def test_what_the_model_cannot_do_is_named(call: ModelCall, names: list[str]) -> None:
    assert unsupported(call) == names


async def test_short_conversation_is_kept_whole() -> None:
    call = plain_call(ModelCall(messages=[user("a"), assistant("b"), user("c")]))
    assert await fit(call, count_words) == call


async def test_oldest_turns_are_dropped_and_no_more_than_needed() -> None:
    turn = [user("u " * 100), assistant("a " * 100)]
    call = plain_call(ModelCall(messages=[*turn * 20, user("last")], system="s " * 50))
    kept = await fit(call, count_words)
    assert isinstance(kept.messages[0], UserMessage)
    assert texts(kept)[-1] == "last"
    length = await count_words(kept.system, kept.messages)
    assert HISTORY_TOKENS - 200 < length <= HISTORY_TOKENS


async def test_long_last_message_is_kept_alone() -> None:
    long = "w " * (HISTORY_TOKENS + 100)
    call = plain_call(ModelCall(messages=[user("a"), assistant("b"), user(long)]))
    assert texts(await fit(call, count_words)) == [long]


async def test_greeting_before_the_first_question_is_dropped_first() -> None:
    call = plain_call(ModelCall(messages=[assistant("g " * HISTORY_TOKENS), user("hi")]))
    assert texts(await fit(call, count_words)) == ["hi"]


async def test_last_message_beyond_the_slot_is_refused_without_repeating_it() -> None:
    call = plain_call(ModelCall(messages=[user("secret " * SLOT_TOKENS)]))
    with pytest.raises(RequestError) as caught:
        await fit(call, count_words)
    assert caught.value.status == 413
    assert "secret" not in str(caught.value)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=12), st.integers(1, 900))
def test_what_is_kept_is_an_end_of_the_conversation(turns: list[tuple[int, int]], last: int) -> None:
    messages: list[ModelMessage] = []
    for asked, answered in turns:
        messages += [user("u " * asked), assistant("a " * answered)]
    call = plain_call(ModelCall(messages=[*messages, user("l " * last)]))
    kept = anyio.run(fit, call, count_words)
    assert list(kept.messages) == list(call.messages)[-len(kept.messages) :]
    assert isinstance(kept.messages[-1], UserMessage)
