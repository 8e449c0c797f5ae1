"""A saved chat keeps what the model was told of a failed tool, and shows clients what they were shown."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.databases import make_migrated_file
from usechat import step_count_is, stream_text, tool
from usechat.chats.export import export_chat
from usechat.chats.history import HistoryMode
from usechat.chats.sql.store import SqlChatStore
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import PlannedTurn
from usechat.conversations.turn_ends import TurnEnd
from usechat.messages.model import ToolMessage, ToolResultContent
from usechat.messages.ui import parse_chat_request
from usechat.models.claude.request.request import build_request
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.server.access.asking import DEFAULT_USER
from usechat.testing.models import ScriptedModel, Step, calling_tool, saying

pytestmark = pytest.mark.anyio

SECRET = "password hunter2"
TRUE = f"Error: {SECRET}"
MASKED = "An error occurred."


@tool
async def fail() -> str:
    """Fail."""
    raise RuntimeError(SECRET)


@tool(needs_approval=True)
async def fail_later() -> str:
    """Fail, when the user says so."""
    raise RuntimeError(SECRET)


class Place:
    """A server's saved chats, as far as an answer needs them."""

    def __init__(self, store: SqlChatStore, history: HistoryMode) -> None:
        self.store = store
        self.told: list[TurnEnd] = []
        self.conversations = Conversations(
            store, RunService(MemoryLog()), history, on_finish=self.told.append, is_lasting=False
        )

    async def ask(self, messages: list[Any], *steps: Step, sdk: str = "7.0.173") -> tuple[str, ScriptedModel]:
        """The answer's bytes, and the model that made it."""
        request = parse_chat_request(json.dumps({"id": "c", "messages": messages}).encode())
        turn = await self.conversations.plan(DEFAULT_USER, request, "c")
        assert isinstance(turn, PlannedTurn)
        model = ScriptedModel(*steps)
        answer = stream_text(
            model,
            messages=turn.messages,
            tools=[fail, fail_later],
            stop_when=step_count_is(3),
            approval_secret=False,
        )
        transport = httpx.ASGITransport(self.conversations.respond(turn, answer, sdk=sdk))
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.post("http://server/")).text, model

    async def shown(self) -> list[Any]:
        """The chat's messages as every client gets them."""
        chat = await self.store.load_chat(DEFAULT_USER, "c")
        assert SECRET not in json.dumps(export_chat(chat))
        return [one.message for one in chat.messages]


@pytest.fixture(params=["client", "server"])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    url = make_migrated_file(tmp_path)
    async with AsyncExitStack() as stack:
        store = SqlChatStore(url)
        stack.push_async_callback(store.aclose)
        yield Place(store, request.param)


def user(id: str) -> dict[str, Any]:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": "Go on."}]}


def told_of_tools(model: ScriptedModel, call: int = 0) -> list[Any]:
    """What a model call was told that the tools had brought."""
    content = [
        part for message in model.calls[call].messages if isinstance(message, ToolMessage) for part in message.content
    ]
    return [part.output.value for part in content if isinstance(part, ToolResultContent)]


async def test_the_model_reads_in_the_next_turn_what_it_read_in_this_one(place: Place):
    frames, model = await place.ask([user("u1")], calling_tool("fail"), saying("It failed."))
    assert MASKED in frames
    assert SECRET not in frames
    assert told_of_tools(model, 1) == [TRUE]

    posted = await place.shown()
    _, later = await place.ask([*posted, user("u2")], saying("Still."))
    assert told_of_tools(later) == [TRUE]
    assert [end.message is not None and SECRET not in json.dumps(end.message) for end in place.told] == [True, True]


@pytest.mark.parametrize("sdk", ["auto", "5.0.0", "5.0.277", "6.0.324", "7.0.173"])
@pytest.mark.parametrize("given", ['{"path": "', "5", "null", "[1]"])
async def test_the_model_reads_in_the_next_turn_why_its_input_was_invalid(place: Place, given: str, sdk: str):
    frames, model = await place.ask([user("u1")], calling_tool("fail", given), saying("So."), sdk=sdk)
    assert "Invalid input" not in frames
    (now,) = told_of_tools(model, 1)
    assert "Invalid input for tool fail" in now

    _, later = await place.ask([*await place.shown(), user("u2")], saying("Still."), sdk=sdk)
    assert told_of_tools(later) == [now]
    sent_now, sent_later = (
        build_request(asked, "claude-sonnet-4-6").body["messages"] for asked in (model.calls[1], later.calls[0])
    )
    assert sent_later[1 : len(sent_now)] == sent_now[1:]


async def test_an_answer_that_goes_on_keeps_what_was_told_before(place: Place):
    await place.ask([user("u1")], calling_tool("fail"), calling_tool("fail_later", tool_call_id="call-2"))
    posted = await place.shown()
    asked = next(part for part in posted[-1]["parts"] if part.get("state") == "approval-requested")
    asked |= {"state": "approval-responded", "approval": {**asked["approval"], "approved": True}}
    frames, model = await place.ask(posted, saying("Both failed."))
    assert SECRET not in frames
    assert told_of_tools(model) == [TRUE, TRUE]

    _, later = await place.ask([*await place.shown(), user("u2")], saying("Still."))
    assert told_of_tools(later) == [TRUE, TRUE]


async def test_no_client_says_what_a_model_was_told(place: Place):
    await place.ask([user("u1")], calling_tool("fail"), saying("It failed."))
    posted = await place.shown()
    for message in posted:
        message["toolErrorTexts"] = {"call-1": "It worked."}
    _, later = await place.ask([*posted, {**user("u2"), "toolErrorTexts": {"call-1": "It worked."}}], saying("Still."))
    assert told_of_tools(later) == [TRUE]
    assert "It worked." not in json.dumps(await place.shown())
