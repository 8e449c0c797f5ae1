"""What the model is told of a tool call when its answer was stopped: what has happened, in the same words ever after.

Saved chats with either history. The client that goes on has what it saw when it stopped: an open call.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import make_migrated_file
from tests.support.waiting import PATIENCE
from usechat import step_count_is, stream_text, tool
from usechat.answers.calls import execute
from usechat.chats.history import HistoryMode
from usechat.chats.sql.store import SqlChatStore
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import PlannedTurn
from usechat.messages.call_words import INTERRUPTED, NOT_ANSWERED, NOT_CARRIED_OUT
from usechat.messages.ui import parse_chat_request
from usechat.models.claude.request.request import build_request
from usechat.parts import ReasoningDelta, ReasoningEnd, ReasoningStart
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.server.access.asking import DEFAULT_USER
from usechat.testing.models import Hold, ScriptedModel, Step, calling_tool, calling_tools, saying
from usechat.tools.tool import Tool

pytestmark = pytest.mark.anyio

Json = dict[str, Any]
OPEN = {"input-streaming", "input-available", "approval-requested", "approval-responded"}


class Chat:
    """A saved chat, and a client that holds its messages."""

    def __init__(self, store: SqlChatStore, history: HistoryMode) -> None:
        self.store = store
        self.conversations = Conversations(store, RunService(MemoryLog()), history, is_lasting=False)
        self.messages: list[Json] = []
        self.tools: list[Tool] = []

    async def post(self, model: ScriptedModel) -> None:
        """Post the client's messages, and read the answer to its end."""
        body = {"id": "c", "messages": self.messages, "trigger": "submit-message"}
        turn = await self.conversations.plan(DEFAULT_USER, parse_chat_request(json.dumps(body).encode()), "c")
        assert isinstance(turn, PlannedTurn)
        answer = stream_text(
            model,
            messages=turn.messages,
            tools=self.tools,
            stop_when=step_count_is(3),
            approval_secret=False,
        )
        transport = httpx.ASGITransport(self.conversations.respond(turn, answer, sdk="7.0.173"))
        async with httpx.AsyncClient(transport=transport) as client:
            await client.post("http://server/")

    async def say(self, *steps: Step) -> list[Json]:
        """Say something new. Return what the model was asked, as Anthropic gets it."""
        self.messages.append({"id": f"u{len(self.messages)}", "role": "user", "parts": [text_part("Go on.")]})
        model = ScriptedModel(*steps)
        await self.post(model)
        await self.load()
        return build_request(model.calls[-1], "claude-sonnet-4-6").body["messages"]

    async def say_and_stop(self, *steps: Step, when: Callable[[], Awaitable[Any]]) -> None:
        """Say something, and stop the answer; the client keeps what it has seen."""
        saying = asyncio.create_task(self.say(*steps))
        await self.stop(saying, when)

    async def stop(self, asking: asyncio.Task[Any], when: Callable[[], Awaitable[Any]]) -> None:
        async with asyncio.timeout(PATIENCE):
            await when()
            assert await self.conversations.stop(DEFAULT_USER, "c")
            await asking

    async def load(self) -> None:
        self.messages = [one.message for one in (await self.store.load_chat(DEFAULT_USER, "c")).messages]

    def forget_outcomes(self) -> None:
        """Hold what a client holds that left at the moment when it stopped."""
        for part in self.calls():
            if part["state"] not in OPEN:
                for key in ("output", "errorText"):
                    part.pop(key, None)
                part["state"] = "input-available"

    def calls(self) -> list[Json]:
        return [part for message in self.messages for part in message["parts"] if "toolCallId" in part]

    def decide(self, *, approved: bool) -> None:
        (asked,) = self.calls()
        asked |= {"state": "approval-responded", "approval": {**asked["approval"], "approved": approved}}


@pytest.fixture(params=["client", "server"])
async def chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chat]:
    url = make_migrated_file(tmp_path)
    async with AsyncExitStack() as stack:
        store = SqlChatStore(url)
        stack.push_async_callback(store.aclose)
        yield Chat(store, request.param)


def text_part(text: str) -> Json:
    return {"type": "text", "text": text}


def told(asked: list[Json]) -> list[tuple[str, bool]]:
    """The results of the tools in a request: the text, and whether it is an error."""
    blocks = [block for message in asked for block in message["content"] if block["type"] == "tool_result"]
    return [(block["content"], block.get("is_error", False)) for block in blocks]


async def check_told(chat: Chat, *expected: tuple[str, bool]) -> None:
    """Check what the model is told in the next turns, and that it is the same in both."""
    first = await chat.say(saying("Well."))
    assert told(first) == [*expected]
    second = await chat.say(saying("Well."))
    assert second[: len(first)] == first


class Thread:
    """A tool on a thread, which no stop reaches."""

    def __init__(self) -> None:
        self.has_begun = asyncio.Event()
        self.may_end = threading.Event()
        self.loop = asyncio.get_running_loop()

    def __call__(self) -> str:
        """Charge the card."""
        self.loop.call_soon_threadsafe(self.has_begun.set)
        assert self.may_end.wait(PATIENCE)
        return "charged"


# The outcome is known


async def test_tool_that_ends_although_it_was_stopped_has_its_outcome(chat: Chat):
    thread = Thread()
    chat.tools = [tool(name="charge", description="Charge.")(thread)]

    async def when() -> None:
        await thread.has_begun.wait()
        # It ends once the stop has come.
        asyncio.get_running_loop().call_later(0.05, thread.may_end.set)

    await chat.say_and_stop(calling_tool("charge"), when=when)
    assert [part["state"] for part in chat.calls()] == ["output-available"]
    chat.forget_outcomes()
    await check_told(chat, ("charged", False))


async def test_failure_of_a_tool_that_was_stopped_is_told(chat: Chat):
    thread = Thread()

    def charge() -> str:
        """Charge."""
        thread()
        raise ValueError("The card was refused.")

    chat.tools = [tool(charge)]

    async def when() -> None:
        await thread.has_begun.wait()
        asyncio.get_running_loop().call_later(0.05, thread.may_end.set)

    await chat.say_and_stop(calling_tool("charge"), when=when)
    chat.forget_outcomes()
    await check_told(chat, ("Error: The card was refused.", True))


async def test_tool_that_shields_itself_has_its_outcome(chat: Chat):
    has_begun = asyncio.Event()

    @tool
    async def charge() -> str:
        """Charge."""
        has_begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "charged"

    chat.tools = [charge]
    await chat.say_and_stop(calling_tool("charge"), when=has_begun.wait)
    chat.forget_outcomes()
    await check_told(chat, ("charged", False))


async def test_outcomes_of_the_calls_beside_the_one_that_was_interrupted_are_told(chat: Chat):
    has_begun = asyncio.Event()

    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    @tool
    async def charge() -> str:
        """Charge."""
        has_begun.set()
        await asyncio.Event().wait()
        return "charged"

    chat.tools = [look, charge]
    calls = calling_tools(("call-1", "look", {}), ("call-2", "charge", {}))
    await chat.say_and_stop(calls, when=has_begun.wait)
    chat.forget_outcomes()
    await check_told(chat, ("seen", False), (INTERRUPTED, True))


# The call has begun, and its outcome is unknown


async def test_tool_that_does_not_end_in_time_may_have_taken_effect(chat: Chat, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(execute, "GRACE_SECONDS", 0.02)
    thread = Thread()
    chat.tools = [tool(name="charge", description="Charge.")(thread)]
    try:
        await chat.say_and_stop(calling_tool("charge"), when=thread.has_begun.wait)
        assert [part["state"] for part in chat.calls()] == ["input-available"]
        await check_told(chat, (INTERRUPTED, True))
    finally:
        thread.may_end.set()


async def test_preliminary_output_of_a_stopped_tool_is_not_its_result(chat: Chat):
    has_begun = asyncio.Event()

    @tool
    async def charge() -> AsyncIterator[str]:
        """Charge."""
        yield "50 %"
        has_begun.set()
        await asyncio.Event().wait()

    chat.tools = [charge]
    await chat.say_and_stop(calling_tool("charge"), when=has_begun.wait)
    assert [part["output"] for part in chat.calls()] == ["50 %"]
    await check_told(chat, (INTERRUPTED, True))


async def test_tool_whose_time_is_up_may_have_taken_effect(chat: Chat):
    @tool(timeout=0.02)
    async def charge() -> None:
        """Charge."""
        await asyncio.Event().wait()

    chat.tools = [charge]
    words = f"Error: The tool did not end within 0.02 seconds. {INTERRUPTED}"
    assert told(await chat.say(calling_tool("charge"), saying("Well."))) == [(words, True)]
    await check_told(chat, (words, True))


async def test_approved_tool_that_was_stopped_may_have_taken_effect(chat: Chat):
    has_begun = asyncio.Event()

    @tool(needs_approval=True)
    async def charge() -> None:
        """Charge."""
        has_begun.set()
        await asyncio.Event().wait()

    chat.tools = [charge]
    await chat.say(calling_tool("charge"))
    chat.decide(approved=True)
    await chat.stop(asyncio.create_task(chat.post(ScriptedModel(saying("Well.")))), has_begun.wait)
    await chat.load()
    await check_told(chat, (INTERRUPTED, True))


# The call has never begun


async def test_call_before_whose_run_the_answer_was_stopped_was_not_carried_out(chat: Chat):
    @tool
    async def charge() -> None:
        """Charge."""
        raise AssertionError

    chat.tools = [charge]
    hold = Hold()
    await chat.say_and_stop([*calling_tool("charge")[:-1], hold], when=hold.reached.wait)
    assert [part["state"] for part in chat.calls()] == ["input-available"]
    await check_told(chat, (NOT_CARRIED_OUT, True))


async def test_call_that_was_being_decided_on_was_not_carried_out(chat: Chat):
    hold = Hold()

    async def decide(_: object, __: object) -> bool:
        await hold()
        return False

    @tool(needs_approval=decide)
    async def charge() -> None:
        """Charge."""
        raise AssertionError

    chat.tools = [charge]
    await chat.say_and_stop(calling_tool("charge"), when=hold.reached.wait)
    await check_told(chat, (NOT_CARRIED_OUT, True))


async def test_call_of_an_answer_that_failed_was_not_carried_out(chat: Chat):
    @tool
    async def charge() -> None:
        """Charge."""
        raise AssertionError

    chat.tools = [charge]
    await chat.say([*calling_tool("charge")[:-1], ValueError("broken")])
    await check_told(chat, (NOT_CARRIED_OUT, True))


async def test_question_that_the_user_passed_over_stays_with_its_thinking(chat: Chat):
    @tool(needs_approval=True)
    async def charge() -> None:
        """Charge."""
        raise AssertionError

    chat.tools = [charge]
    signature = {"anthropic": {"signature": "signed"}}
    thinking = [ReasoningStart("r"), ReasoningDelta("r", "Hm."), ReasoningEnd("r", provider_metadata=signature)]
    await chat.say([thinking, *saying("May I?")[:-1], *calling_tool("charge")])
    first = await chat.say(saying("Well."))
    assert [block["type"] for block in first[1]["content"]] == ["thinking", "text", "tool_use"]
    assert told(first) == [(NOT_ANSWERED, False)]
    assert (await chat.say(saying("Well.")))[: len(first)] == first
