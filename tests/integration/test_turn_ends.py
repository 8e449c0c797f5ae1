"""Turns that nobody is left to end, and ends that cannot be saved: on memory and SQLite, on Redis and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.run_logs import LogMaker
from tests.support.databases import make_migrated_url
from tests.support.redis_server import RedisServer
from tests.support.waiting import PATIENCE, eventually
from usechat import stream_text
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import Turn, TurnPlan
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import PlannedTurn
from usechat.conversations.turn_ends import TurnEnd
from usechat.errors import ChatError, RunError
from usechat.messages.ui import parse_chat_request
from usechat.runs.log import Limits
from usechat.runs.service import RunService
from usechat.server.access.asking import DEFAULT_USER
from usechat.testing.models import Hold, ScriptedModel, Step, saying

pytestmark = pytest.mark.anyio

LEASE = 1.2
"""Seconds; a process is to renew its lease in time on a machine that does much else, too."""
KINDS = {"one process": ("memory", "sqlite"), "several": ("redis", "postgresql")}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class FragileStore(SqlChatStore):
    """A store whose database can be away when a turn ends."""

    is_away = False

    loses_answers = False
    """Whether it is away only once the end is kept."""

    finds = 0

    async def find_turn(self, run_id: str) -> Turn | None:
        self.finds += 1
        if self.is_away:
            raise ChatError("away", code="unavailable")
        return await super().find_turn(run_id)

    async def finish_turn(self, run_id: str, **ending: Any) -> bool:
        if self.is_away and not self.loses_answers:
            raise ConnectionError("away")
        is_ours = await super().finish_turn(run_id, **ending)
        if self.is_away:
            raise ConnectionError("away")
        return is_ours


@dataclass
class Process:
    """One of the server's processes, as far as it keeps chats."""

    conversations: Conversations
    store: FragileStore
    told: list[TurnEnd]

    async def ask(self, step: Step, text: str = "Hi") -> httpx.Response:
        """Ask a question in the chat ``c`` that a model answers so, and read the answer."""
        question = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": text}]}
        request = parse_chat_request(json.dumps({"id": "c", "messages": [question]}).encode())
        turn = await self.conversations.plan(DEFAULT_USER, request, "c")
        assert isinstance(turn, PlannedTurn)
        answer = stream_text(ScriptedModel(step), messages=turn.messages)
        transport = httpx.ASGITransport(self.conversations.respond(turn, answer))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.post("http://server/")

    async def saved(self) -> list[tuple[str, str]]:
        """The texts of the chat's messages, and how each came about."""
        chat = await self.store.load_chat(DEFAULT_USER, "c")
        texts = ["".join(part.get("text", "") for part in one.message["parts"]) for one in chat.messages]
        return list(zip(texts, [one.status for one in chat.messages], strict=True))


@dataclass
class Deployment:
    """Processes that share their chats."""

    logs: LogMaker
    url: str
    stack: AsyncExitStack
    told: list[TurnEnd] = field(default_factory=list[TurnEnd])
    """Of all of them."""

    async def process(self) -> Process:
        """One more, which does not look for orphans by itself."""
        store = FragileStore(self.url)
        self.stack.push_async_callback(store.aclose)
        runs = RunService(self.logs.make())
        self.stack.push_async_callback(runs.saves.aclose, 0)
        if not runs.log.is_shared:
            await store.join(LEASE, lambda: None)
        return Process(Conversations(store, runs, "client", on_finish=self.told.append), store, self.told)


@pytest.fixture(params=KINDS)
async def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deployment]:
    log, database = KINDS[request.param]
    server: RedisServer | None = request.getfixturevalue("redis_server") if log == "redis" else None
    url = make_migrated_url(database, request, tmp_path)
    logs = LogMaker(None if server is None else server.url, limits=Limits(lease=LEASE, silence=LEASE))
    async with AsyncExitStack() as stack:
        yield Deployment(logs, url, stack)
        await logs.aclose()


async def hold_chat(process: Process) -> None:
    """Begin a turn and die before its run began."""
    plan = TurnPlan(added=[{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}])
    await process.store.begin_turn(DEFAULT_USER, "c", "turn-1", plan)
    await process.store.aclose()


async def begin_to_answer(process: Process) -> asyncio.Task[httpx.Response]:
    """An answer that has said a word, and goes on until it is stopped."""
    hold, said = Hold(), saying("Hello")
    answering = asyncio.create_task(process.ask([*said[:2], hold, *said[2:]]))
    await asyncio.wait_for(hold.reached.wait(), PATIENCE)
    return answering


async def test_the_end_of_a_turn_is_told_once(deployment: Deployment):
    process, other = await deployment.process(), await deployment.process()
    await process.ask(saying("Hello", " you"))
    [end] = deployment.told
    assert (end.chat_id, end.status, end.finish_reason) == ("c", "whole", "stop")
    assert end.message is not None
    assert end.message["parts"][-1]["text"] == "Hello you"
    assert end.usage is not None
    assert not await other.conversations.ends.end(DEFAULT_USER, "c", end.turn_id, status="lost")
    assert len(deployment.told) == 1


async def test_who_is_told_may_fail(deployment: Deployment, caplog: pytest.LogCaptureFixture):
    process = await deployment.process()

    async def fail(end: TurnEnd) -> None:
        raise ValueError("broken")

    process.conversations.ends.on_finish = fail
    await process.ask(saying("Hello"))
    assert await process.saved() == [("Hi", "whole"), ("Hello", "whole")]
    assert "on_finish failed" in caplog.text


async def test_a_turn_whose_run_never_began_is_ended_without_anybody_asking(deployment: Deployment):
    await hold_chat(await deployment.process())
    ended = await deployment.process()
    async with ended.conversations:
        await eventually(lambda: bool(deployment.told))
    assert [(end.turn_id, end.status, end.message) for end in deployment.told] == [("turn-1", "lost", None)]


async def test_an_end_that_is_saved_later_keeps_its_usage(deployment: Deployment):
    process = await deployment.process()
    process.store.is_away = True
    await process.ask(saying("Hello"))
    process.store.is_away = False

    async def look() -> bool:
        await process.conversations.ends.end_orphans()
        return bool(deployment.told)

    await eventually(look)
    assert await process.saved() == [("Hi", "whole"), ("Hello", "whole")]
    [end] = deployment.told
    assert end.usage is not None


async def test_two_processes_end_an_orphan_once(deployment: Deployment):
    await hold_chat(await deployment.process())
    processes = [await deployment.process(), await deployment.process()]

    async def look() -> bool:
        await asyncio.gather(*(process.conversations.ends.end_orphans() for process in processes))
        return bool(deployment.told)

    await eventually(look)
    assert len(deployment.told) == 1


async def test_a_new_question_ends_the_orphan_in_its_way(deployment: Deployment):
    await hold_chat(await deployment.process())
    process = await deployment.process()
    response = await process.ask(saying("Hello"))
    assert response.status_code == 200
    assert await process.saved() == [("Hi", "whole"), ("Hello", "whole")]
    assert [end.status for end in deployment.told] == ["lost", "whole"]


async def test_a_turn_that_is_being_answered_is_no_orphan(deployment: Deployment):
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    began = asyncio.get_running_loop().time()

    async def look() -> bool:
        await other.conversations.ends.end_orphans()
        return asyncio.get_running_loop().time() - began > 2 * LEASE

    await eventually(look)
    assert deployment.told == []
    await process.conversations.stop(DEFAULT_USER, "c")
    await answering
    assert [end.status for end in deployment.told] == ["aborted"]


async def test_an_answer_that_can_be_loaded_is_not_read_once_more(deployment: Deployment):
    process, other = await deployment.process(), await deployment.process()
    is_saved, may_end = asyncio.Event(), asyncio.Event()

    async def take_long(end: TurnEnd) -> None:
        is_saved.set()
        await may_end.wait()

    process.conversations.ends.on_finish = take_long
    answering = await begin_to_answer(process)
    find = [one.conversations.runs.resume for one in (process, other)]
    assert None not in [await resume("c") for resume in find]
    other.store.is_away = True
    assert await find[1]("c") is not None
    other.store.is_away = False
    await process.conversations.stop(DEFAULT_USER, "c")
    await asyncio.wait_for(is_saved.wait(), PATIENCE)

    assert await process.saved() == [("Hi", "whole"), ("Hello", "aborted")]
    assert [await resume("c") for resume in find] == [None, None]
    may_end.set()
    await answering


@pytest.mark.parametrize("loses_answers", [False, True], ids=["undone", "done"])
async def test_an_end_that_cannot_be_saved_is_saved_later_and_told_once(deployment: Deployment, loses_answers: bool):
    process = await deployment.process()
    process.store.is_away = True
    process.store.loses_answers = loses_answers
    await process.ask(saying("Hello"))
    assert deployment.told == []
    process.store.is_away = False
    await process.conversations.runs.saves.aclose(10)
    assert [end.status for end in deployment.told] == ["whole"]
    assert await process.saved() == [("Hi", "whole"), ("Hello", "whole")]


@pytest.mark.parametrize("deployment", ["several"], indirect=True)
async def test_an_end_that_a_dead_process_could_not_save_is_saved_from_the_log(deployment: Deployment):
    process, other = await deployment.process(), await deployment.process()
    process.store.is_away = True
    response = await process.ask(saying("Hello", " you"))
    assert response.content.endswith(b"data: [DONE]\n\n")

    async def look() -> bool:
        await other.conversations.ends.end_orphans()
        return bool(deployment.told)

    await eventually(look)
    assert [end.status for end in deployment.told] == ["whole"]
    assert await other.saved() == [("Hi", "whole"), ("Hello you", "whole")]
    process.store.is_away = False
    await process.conversations.runs.saves.aclose(10)
    assert len(deployment.told) == 1


async def test_a_process_that_shuts_down_takes_no_turn(deployment: Deployment):
    process = await deployment.process()
    process.conversations.runs.close()
    response = await process.ask(saying("Hello"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert await process.store.open_turns() == []


@pytest.mark.parametrize("deployment", ["several"], indirect=True)
async def test_a_question_that_waits_for_the_answer_before_is_refused_when_its_process_goes(deployment: Deployment):
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    asking = asyncio.create_task(other.ask(saying("Hello"), "Another question"))
    await eventually(lambda: other.store.finds > 1)
    other.conversations.runs.close()
    with pytest.raises(RunError) as raised:
        await asyncio.wait_for(asking, PATIENCE)
    assert raised.value.code == "unavailable"
    await process.conversations.stop(DEFAULT_USER, "c")
    await answering


@pytest.mark.parametrize("deployment", ["several"], indirect=True)
async def test_readers_of_others_runs_get_a_legal_end_when_their_process_goes(deployment: Deployment):
    process, other = await deployment.process(), await deployment.process()
    answering = await begin_to_answer(process)
    info = await other.conversations.runs.resume("c")
    assert info is not None
    seen: list[bytes] = []

    async def read() -> None:
        async for entry in other.conversations.runs.read(info.id):
            seen.append(entry.data)  # noqa: PERF401 - looked at meanwhile

    reading = asyncio.create_task(read())
    await eventually(lambda: b"Hello" in b"".join(seen))
    other.conversations.runs.release_readers()
    await asyncio.wait_for(reading, PATIENCE)
    assert b'"type":"abort"' in b"".join(seen)
    assert b"".join(seen).endswith(b"data: [DONE]\n\n")
    assert deployment.told == []
    await process.conversations.stop(DEFAULT_USER, "c")
    await answering
    assert [end.status for end in deployment.told] == ["aborted"]
