"""What becomes of whole answers when Redis goes away, pauses or drops keys: what is saved, and what readers see."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.integration.run_logs import LogMaker
from tests.integration.running_server import RunningServer, serving
from tests.integration.test_turn_ends import Deployment, Process
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from usechat.chats.base import SavedChat
from usechat.chats.migrate import migrate
from usechat.chats.sql import SqlChatStore
from usechat.runs.base import Limits
from usechat.server.conversations import OWNER
from usechat.testing.models import Step, saying
from usechat.testing.replay import ReplayServer, Reply
from usechat.testing.streams import read_events

pytestmark = pytest.mark.anyio

LEASE = 1.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture
async def deployment(server: RedisServer, tmp_path: Path) -> AsyncIterator[Deployment]:
    """Processes over this Redis and one database."""
    url = f"sqlite:///{tmp_path}/chats.db"
    await migrate(url)
    logs = LogMaker(server.url, limits=Limits(lease=LEASE, silence=LEASE))
    async with AsyncExitStack() as stack:
        yield Deployment(logs, url, stack)
        await logs.aclose()


class Answering:
    """An answer that has said ``Hello`` and goes on when it may."""

    def __init__(self, process: Process) -> None:
        self.said = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.task = asyncio.create_task(process.ask(self.step()))

    def step(self) -> Step:
        said = saying("Hello", " you", " there")

        async def hold() -> None:
            self.said.set()
            await self.may_go_on.wait()

        return [*said[:2], hold, *said[2:]]

    async def end(self) -> bytes:
        """Go on; what its own reader got."""
        self.may_go_on.set()
        response = await asyncio.wait_for(self.task, 30)
        return response.content


async def begin_to_answer(process: Process) -> Answering:
    answering = Answering(process)
    await asyncio.wait_for(answering.said.wait(), 10)
    return answering


# -- Redis is away when an answer ends ----------------------------------------------------------------------------

BODY = {"id": "c", "messages": [{"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}]}


def begin_and_lose_redis(running: RunningServer, redis: RedisServer) -> str:
    """Ask, have Redis die in the middle of the answer, read all its frames."""
    with running.client.stream("POST", "/api/chat", json=BODY) as response:
        assert response.status_code == 200
        seen = ""
        for piece in response.iter_text():
            if not seen:
                redis.kill()
            seen += piece
            if "[DONE]" in seen:
                break
    return seen


async def load(folder: Path) -> SavedChat:
    store = SqlChatStore(f"sqlite:///{folder}/usechat.db")
    try:
        return await store.load_chat(OWNER, "c")
    finally:
        await store.aclose()


def text_of(saved: SavedChat) -> str:
    return "".join(part.get("text", "") for part in saved.messages[-1].message["parts"])


def deltas(seen: str) -> str:
    frames = [json.loads(line[6:]) for line in seen.splitlines() if line.startswith("data: {")]
    return "".join(frame["delta"] for frame in frames if frame["type"] == "text-delta")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_answer_that_ended_without_redis_is_saved_whole_when_its_process_ends(
    server: RedisServer, tmp_path: Path, number: signal.Signals
) -> None:
    with (
        ReplayServer(Reply("text", delay=0.02)) as upstream,
        serving(
            tmp_path,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=upstream.url,
            USECHAT_MODEL="a-model",
            USECHAT_REDIS_URL=server.url,
            USECHAT_SHUTDOWN_SECONDS="60",
        ) as running,
    ):
        seen = begin_and_lose_redis(running, server)
        if number == signal.SIGKILL:
            # The reader waits for Redis for some seconds more; whoever loads the chat has the answer.
            await eventually(lambda: "ended: whole" in running.log.read_text())
        running.process.send_signal(number)
        # Not the minute that answers get to end: this one has.
        running.process.wait(30)
        log = running.log.read_text()
    saved = await load(tmp_path)
    assert (saved.messages[-1].message["role"], saved.messages[-1].status) == ("assistant", "whole")
    assert text_of(saved) == deltas(seen) != ""
    assert "of chat c ended: whole" in log
    if number != signal.SIGKILL:
        assert "Redis, which is away, does not know of it" in log


async def test_answer_that_is_cut_by_the_end_of_its_process_is_saved_without_redis(
    server: RedisServer, tmp_path: Path
) -> None:
    middle = [index for index, event in enumerate(read_events("text")) if "text_delta" in event][1]
    with (
        ReplayServer(Reply("text", hold_after=middle)) as upstream,
        serving(
            tmp_path,
            ANTHROPIC_API_KEY="unused",
            ANTHROPIC_BASE_URL=upstream.url,
            USECHAT_MODEL="a-model",
            USECHAT_REDIS_URL=server.url,
            USECHAT_SHUTDOWN_SECONDS="0",
        ) as running,
    ):
        with running.client.stream("POST", "/api/chat", json=BODY) as response:
            pieces = response.iter_text()
            seen = ""
            while "text-delta" not in seen:
                seen += next(pieces)
            server.kill()
            running.process.terminate()
            try:
                seen += "".join(pieces)
            except httpx.TransportError:
                # Its end waits for a Redis that does not come back, and the process for no reader.
                pass
        running.process.wait(30)
    saved = await load(tmp_path)
    assert saved.messages[-1].status == "partial"
    assert text_of(saved) == deltas(seen) != ""


async def test_an_end_without_redis_is_told_once_and_known_when_redis_is_back(
    deployment: Deployment, server: RedisServer
) -> None:
    process, other = deployment.process(), deployment.process()
    answering = await begin_to_answer(process)
    server.kill()
    ending = asyncio.create_task(answering.end())
    await eventually(lambda: bool(deployment.told))
    assert await other.saved() == [("Hi", "whole"), ("Hello you there", "whole")]
    server.start()
    assert b"[DONE]" in await ending
    info = await other.conversations.runs.log.find("c")
    assert info is not None
    await eventually(lambda: not process.conversations.runs.handles)
    info = await other.conversations.runs.log.get(info.id)
    assert info is not None
    assert info.state == "finished"
    assert await other.conversations.runs.resume("c") is None
    assert [end.status for end in deployment.told] == ["whole"]


# -- Redis gave the answer to somebody else -----------------------------------------------------------------------


def take(server: RedisServer, deployment: Deployment, run_id: str) -> None:
    """What a process does that takes a run for lost."""
    server.ask("HSET", f"{deployment.logs.prefix}run:{run_id}", "state", "lost", "token", "99999999999999999")


async def test_an_answer_that_was_taken_away_is_saved_as_far_as_it_is_made(
    deployment: Deployment, server: RedisServer
) -> None:
    process, other = deployment.process(), deployment.process()
    answering = await begin_to_answer(process)
    [handle] = process.conversations.runs.handles.values()
    take(server, deployment, handle.info.id)
    # Who has taken it does not come to its end.
    await eventually(lambda: bool(deployment.told))
    assert await other.saved() == [("Hi", "whole"), ("Hello", "partial")]
    answering.task.cancel()


async def test_an_answer_that_was_ended_elsewhere_is_not_dropped_without_a_word(
    deployment: Deployment, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    process, other = deployment.process(), deployment.process()
    answering = await begin_to_answer(process)
    [handle] = process.conversations.runs.handles.values()
    server.pause()
    turn = (await other.store.open_turns())[0]
    assert await other.conversations.ends.end("c", turn.run_id, status="lost")
    with caplog.at_level(logging.WARNING):
        answering.may_go_on.set()
        await eventually(lambda: "had ended already" in caplog.text)
    server.go_on()
    await asyncio.wait_for(answering.task, 30)
    assert [end.status for end in deployment.told] == ["lost"]
    assert handle.is_over
