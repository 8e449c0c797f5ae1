"""Messages to a chat that is being answered: refused, answered next or at once, in one process and in several."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.integration.run_logs import LogMaker
from tests.support.databases import make_migrated_url
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat import stream_text
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import TurnPlan
from usechat.conversations import busy
from usechat.conversations.busy import OnBusy
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import RepeatedTurn
from usechat.errors import ChatError
from usechat.http.response import StreamingAnswer
from usechat.messages import ui
from usechat.messages.ui import parse_chat_request
from usechat.runs.line import Line
from usechat.runs.log import Limits
from usechat.runs.service import RunService
from usechat.testing.models import ScriptedModel, Step, saying

pytestmark = pytest.mark.anyio

LEASE = 1.2
"""Seconds; a process is to renew its lease in time on a machine that does much else, too."""
OWNER = "ada"
KINDS = {"one process": ("memory", "sqlite", 1), "two processes": ("redis", "postgresql", 2)}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Pause:
    """A pause of the model in a step."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.is_over = asyncio.Event()

    async def __call__(self) -> None:
        """Wait until it is over."""
        self.reached.set()
        await self.is_over.wait()


class Chat:
    """A chat, and the processes at which its messages arrive in turn."""

    def __init__(self, processes: list[Conversations], logs: LogMaker, url: str) -> None:
        self.processes = processes
        self.logs = logs
        self.url = url
        self.messages = 0
        self.seen_by_models: list[list[str]] = []
        self.line: Line = logs.make().line

    def say(self, text: str, step: Step, *, message_id: str | None = None) -> Asked:
        """Post a message to the next process. A model answers it so."""
        process = self.processes[self.messages % len(self.processes)]
        self.messages += 1
        return Asked(self, process, message_id or f"u{self.messages}", text, step)

    async def count_waiting(self) -> int:
        """Return how many stand in the line."""
        waiting = await self.line.stand("c", "who looks")
        await self.line.leave("c", "who looks")
        return waiting

    async def saved(self) -> list[tuple[str, str | None]]:
        """The texts of the chat's messages, and how each answer ended."""
        chat = await self.processes[0].store.load_chat(OWNER, "c")
        texts = ["".join(part.get("text", "") for part in one.message["parts"]) for one in chat.messages]
        return [
            (text, one.status if one.role == "assistant" else None)
            for text, one in zip(texts, chat.messages, strict=True)
        ]


class Asked:
    """A message that was posted, and its answer."""

    def __init__(self, chat: Chat, process: Conversations, message_id: str, text: str, step: Step) -> None:
        self.chat = chat
        self.process = process
        self.is_left = False
        self.step = step
        self.pause = next((one for one in step if isinstance(one, Pause)), Pause())
        message = {"id": message_id, "role": "user", "parts": [{"type": "text", "text": text}]}
        body = {"id": "c", "trigger": "submit-message", "message": message}
        self.request: ui.ChatRequest = parse_chat_request(json.dumps(body).encode())
        self.task = asyncio.create_task(self._ask())

    async def _ask(self) -> str:
        async def is_left() -> bool:
            return self.is_left

        turn = await self.process.busy.plan(OWNER, self.request, "c", None, is_left)
        response: StreamingAnswer
        if isinstance(turn, RepeatedTurn):
            response = self.process.repeat(turn)
        else:
            self.chat.seen_by_models.append(
                ["".join(part.get("text", "") for part in message.to_json()["parts"]) for message in turn.messages]
            )
            response = self.process.respond(turn, stream_text(ScriptedModel(self.step), messages=turn.messages))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(response)) as client:
            answer = await client.post("http://server/")
        assert answer.status_code == 200, answer.text
        frames = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
        text = "".join(frame["delta"] for frame in frames if frame["type"] == "text-delta")
        kinds = [frame["type"] for frame in frames]
        return f"{text}, {next((kind for kind in ('error', 'abort') if kind in kinds), kinds[-1])}"

    async def begun(self) -> Asked:
        """Wait until its answer has said something and holds."""
        reached = asyncio.create_task(self.pause.reached.wait())
        await asyncio.wait({reached, self.task}, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert reached.done(), self.task
        return self

    async def waits(self, number: int) -> Asked:
        """Wait until so many stand in the line, this one as the last."""

        async def is_there() -> bool:
            assert not self.task.done(), self.task
            return await self.chat.count_waiting() == number

        await eventually(is_there)
        return self

    async def answer(self) -> str:
        """Return its answer's text, and how it ended for its reader."""
        return await asyncio.wait_for(self.task, PATIENCE)


def held(text: str) -> Step:
    """An answer that says a word and goes on when it may."""
    said = saying(text, " and more")
    return [*said[:2], Pause(), *said[2:]]


@pytest.fixture(params=KINDS)
async def chat(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Chat]:
    """A chat whose messages wait."""
    log, database, count = KINDS[request.param]
    server: RedisServer | None = request.getfixturevalue("redis_server") if log == "redis" else None
    url = make_migrated_url(database, request, tmp_path)
    logs = LogMaker(None if server is None else server.url, limits=Limits(lease=LEASE, silence=LEASE))
    async with AsyncExitStack() as stack:
        processes: list[Conversations] = []
        for _ in range(count):
            runs = RunService(logs.make(), shutdown_timeout=0)
            processes.append(Conversations(SqlChatStore(url), runs, "server", on_busy="enqueue"))
            await stack.enter_async_context(processes[-1])
        yield Chat(processes, logs, url)
    await logs.aclose()


def set_mode(chat: Chat, on_busy: OnBusy) -> None:
    for process in chat.processes:
        process.busy.on_busy = on_busy


# -- enqueue --------------------------------------------------------------------------------------------------------


async def test_messages_are_answered_next_in_the_order_in_which_they_came(chat: Chat):
    first = await chat.say("one", held("1")).begun()
    later = [
        await chat.say(text, saying(answer)).waits(at)
        for at, (text, answer) in enumerate([("two", "2"), ("three", "3"), ("four", "4")], 1)
    ]
    first.pause.is_over.set()

    assert await first.answer() == "1 and more, finish"
    assert [await asked.answer() for asked in later] == ["2, finish", "3, finish", "4, finish"]
    assert await chat.saved() == [
        ("one", None), ("1 and more", "whole"), ("two", None), ("2", "whole"),
        ("three", None), ("3", "whole"), ("four", None), ("4", "whole"),
    ]  # fmt: skip
    assert chat.seen_by_models[-1] == ["one", "1 and more", "two", "2", "three", "3", "four"]
    assert await chat.count_waiting() == 0


async def test_message_to_a_chat_that_is_not_answered_does_not_wait(chat: Chat):
    assert await chat.say("one", saying("1")).answer() == "1, finish"
    assert await chat.say("two", saying("2")).answer() == "2, finish"
    assert await chat.count_waiting() == 0


async def test_message_whose_client_has_left_is_not_answered_and_holds_up_nobody(chat: Chat):
    first = await chat.say("one", held("1")).begun()
    gone = await chat.say("two", saying("2")).waits(1)
    last = await chat.say("three", saying("3")).waits(2)
    gone.is_left = True
    with pytest.raises(ChatError, match="client left"):
        await gone.answer()
    first.pause.is_over.set()

    assert await last.answer() == "3, finish"
    assert [text for text, _ in await chat.saved()] == ["one", "1 and more", "three", "3"]


async def test_message_that_comes_again_is_answered_once(chat: Chat):
    first = await chat.say("one", held("1")).begun()
    again = chat.say("one", saying("never"), message_id="u1")
    waiting = await chat.say("two", saying("2"), message_id="u9").waits(1)
    twice = await chat.say("two", saying("2"), message_id="u9").waits(2)
    first.pause.is_over.set()

    assert await again.answer() == await first.answer() == "1 and more, finish"
    assert await twice.answer() == await waiting.answer() == "2, finish"
    assert [text for text, _ in await chat.saved()] == ["one", "1 and more", "two", "2"]


async def test_message_is_answered_when_the_turn_before_it_has_lost_its_process(chat: Chat):
    store = SqlChatStore(chat.url)
    if not chat.processes[0].runs.log.is_shared:
        await store.join(LEASE, lambda: None)
    plan = TurnPlan(added=[{"id": "u0", "role": "user", "parts": [{"type": "text", "text": "zero"}]}])
    await store.begin_turn(OWNER, "c", "turn-0", plan)
    await store.aclose()

    assert await chat.say("one", saying("1")).answer() == "1, finish"
    assert [text for text, _ in await chat.saved()] == ["zero", "one", "1"]


async def test_only_so_many_wait(chat: Chat, monkeypatch: pytest.MonkeyPatch):
    first = await chat.say("one", held("1")).begun()
    second = await chat.say("two", saying("2")).waits(1)
    # Only now: who looks at the line takes a place in it, and the second message could find the line full.
    monkeypatch.setattr(busy, "MAX_WAITING", 1)

    with pytest.raises(ChatError, match="Too many messages wait") as raised:
        await chat.say("three", saying("3")).answer()

    assert raised.value.code == "conflict"
    first.pause.is_over.set()
    assert await second.answer() == "2, finish"


async def test_answer_that_fails_lets_the_next_message_go_on(chat: Chat):
    async def fail() -> None:
        await chat_waits.wait()
        raise RuntimeError("broken")

    chat_waits = asyncio.Event()
    first = chat.say("one", [*saying("1")[:2], fail])
    await eventually(lambda: bool(chat.seen_by_models))
    second = await chat.say("two", saying("2")).waits(1)
    chat_waits.set()

    assert await first.answer() == "1, error"
    assert await second.answer() == "2, finish"
    assert [status for _, status in await chat.saved()] == [None, "failed", None, "whole"]


# -- interrupt ------------------------------------------------------------------------------------------------------


async def test_message_stops_the_running_answer_which_is_saved_and_is_answered(chat: Chat):
    set_mode(chat, "interrupt")
    first = await chat.say("one", held("1")).begun()

    assert await chat.say("two", saying("2")).answer() == "2, finish"

    assert await first.answer() == "1, abort"
    assert await chat.saved() == [("one", None), ("1", "aborted"), ("two", None), ("2", "whole")]
    assert chat.seen_by_models[-1] == ["one", "1", "two"]


async def test_of_several_messages_the_last_one_stays(chat: Chat):
    set_mode(chat, "interrupt")
    first = await chat.say("one", held("1")).begun()
    second = await chat.say("two", held("2")).begun()
    third = await chat.say("three", held("3")).begun()
    third.pause.is_over.set()

    assert [await asked.answer() for asked in (first, second, third)] == ["1, abort", "2, abort", "3 and more, finish"]
    assert [status for _, status in await chat.saved()] == [None, "aborted", None, "aborted", None, "whole"]


# -- reject ---------------------------------------------------------------------------------------------------------


async def test_message_is_refused_by_default(chat: Chat):
    set_mode(chat, "reject")
    first = await chat.say("one", held("1")).begun()

    with pytest.raises(AssertionError, match="This chat is being answered"):
        await chat.say("two", saying("2")).answer()

    first.pause.is_over.set()
    assert await first.answer() == "1 and more, finish"
    assert [text for text, _ in await chat.saved()] == ["one", "1 and more"]


# -- the line -------------------------------------------------------------------------------------------------------


async def test_place_of_who_is_gone_goes_to_the_next(chat: Chat, monkeypatch: pytest.MonkeyPatch):
    for module in ("usechat.runs.line", "usechat.runs.redis.line"):
        monkeypatch.setattr(f"{module}.PLACE_SECONDS", 2.0)
    here, there = chat.logs.make().line, chat.logs.make().line
    assert [await here.stand("c", "dead"), await there.stand("c", "next"), await here.stand("d", "other")] == [0, 1, 0]

    async def is_first() -> bool:
        return await there.stand("c", "next") == 0

    await eventually(is_first)
    assert await here.stand("c", "dead") == 1
