"""A process that stood still, beside a database whose other processes may have taken it for dead."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from tests.support.waiting import PATIENCE, eventually
from usechat import stream_text
from usechat.chats.sql.migrations.migrate import migrate
from usechat.chats.sql.presence.row import RowPresence
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import Chat
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import PlannedTurn
from usechat.errors import ChatError
from usechat.messages.ui import parse_chat_request
from usechat.runs.log import Limits
from usechat.runs.memory.leased import LeasedRun
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.testing.models import ScriptedModel, saying

pytestmark = pytest.mark.anyio

LEASE = 0.2


class Pause:
    """A pause of the model, until it is released."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self._released = asyncio.Event()
        self.release = self._released.set

    async def __call__(self) -> None:
        """Wait for the release."""
        self.reached.set()
        await self._released.wait()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class WatchedStore(SqlChatStore):
    """A store on SQLite whose processes give signs of life, as those on PostgreSQL do."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._presence = RowPresence(self._database)
        self.confirmed = 0
        self.is_away = False
        self.is_taken_while_beginning = False

    async def confirm(self) -> None:
        """Tell that this process lives."""
        self.confirmed += 1
        if self.is_away:
            raise ChatError("away", code="unavailable")
        await super().confirm()

    async def bury(self) -> None:
        """Take the process for dead, as others do."""
        await self._database.write(lambda connection: connection.execute(text("DELETE FROM usechat_processes")))

    async def begin_turn(self, *arguments: Any, **options: Any) -> Chat:
        """Begin a turn."""
        chat = await super().begin_turn(*arguments, **options)
        if self.is_taken_while_beginning:
            await self.bury()
            await super().confirm()
        return chat


class Process:
    """A process that keeps chats."""

    def __init__(self, url: str) -> None:
        self.store = WatchedStore(url)
        runs = RunService(MemoryLog(Limits(lease=LEASE), LeasedRun))
        self.conversations = Conversations(self.store, runs, "client")
        self.hold = Pause()

    async def ask(self) -> httpx.Response:
        """Ask in the chat ``c``, and read the answer."""
        question = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}
        request = parse_chat_request(json.dumps({"id": "c", "messages": [question]}).encode())
        turn = await self.conversations.plan("ada", request, "c")
        assert isinstance(turn, PlannedTurn)
        said = saying("Hello", " you")
        answer = stream_text(ScriptedModel([*said[:2], self.hold, *said[2:]]), messages=turn.messages)
        transport = httpx.ASGITransport(self.conversations.respond(turn, answer, sdk="7"))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.post("http://server/")

    async def begin(self) -> asyncio.Task[httpx.Response]:
        """Ask, and return when the answer has said a word."""
        asking = asyncio.create_task(self.ask())
        await asyncio.wait_for(self.hold.reached.wait(), PATIENCE)
        return asking

    async def saved(self) -> list[tuple[str, str]]:
        """The texts of the chat's messages, and how each came about."""
        chat = await self.store.load_chat("ada", "c")
        texts = ["".join(part.get("text", "") for part in one.message["parts"]) for one in chat.messages]
        return list(zip(texts, [one.status for one in chat.messages], strict=True))


@pytest.fixture
async def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/chats.db"
    await migrate(url)
    return url


@pytest.fixture
async def process(url: str) -> AsyncIterator[Process]:
    process = Process(url)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(process.conversations)
        yield process
        process.hold.release()


async def stand_still() -> None:
    """Hold up the loop for longer than a lease, as a process that is stopped."""
    time.sleep(2 * LEASE)  # noqa: ASYNC251 - the loop stands still
    await asyncio.sleep(0)


async def test_answer_goes_on_once_the_process_is_known_to_count_as_alive(process: Process) -> None:
    asking = await process.begin()
    await stand_still()
    process.hold.release()
    response = await asking
    assert process.store.confirmed
    assert response.text.endswith("data: [DONE]\n\n")
    assert '"type":"finish"' in response.text
    assert await process.saved() == [("Hi", "whole"), ("Hello you", "whole")]


async def test_store_that_takes_no_living_process_for_dead_is_not_asked(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WatchedStore, "confirm", None)
    process = Process(url)
    async with process.conversations:
        asking = await process.begin()
        await stand_still()
        process.hold.release()
        assert '"type":"finish"' in (await asking).text


async def test_answer_of_a_process_that_was_taken_for_dead_shows_nothing_further(process: Process) -> None:
    asking = await process.begin()
    await process.store.bury()
    await stand_still()
    process.hold.release()
    response = await asking
    assert "Hello" in response.text
    assert " you" not in response.text
    assert '"type":"finish"' not in response.text
    assert response.text.count('"type":"error"') == 1
    assert response.text.endswith("data: [DONE]\n\n")
    # Nobody else has ended its turn.
    await eventually(lambda: is_free(process))
    assert (await process.saved())[0] == ("Hi", "whole")
    assert "whole" not in [status for _, status in (await process.saved())[1:]]


async def is_free(process: Process) -> bool:
    return (await process.store.get_chat("ada", "c")).active_run_id is None


async def test_answer_waits_for_a_database_that_is_away(process: Process, caplog: pytest.LogCaptureFixture) -> None:
    asking = await process.begin()
    process.store.is_away = True
    await stand_still()
    await stand_still()
    process.hold.release()
    await eventually(lambda: "holds its answers until the database says" in caplog.text)
    assert not asking.done()
    process.store.is_away = False
    assert '"type":"finish"' in (await asking).text
    assert "Traceback" not in caplog.text


async def test_turn_that_was_given_away_as_it_began_is_not_answered(process: Process) -> None:
    process.store.is_taken_while_beginning = True
    response = await process.ask()
    assert response.status_code == 503
    assert await is_free(process)
    assert await process.saved() == [("Hi", "whole")]


async def test_turn_begins_when_the_process_is_known_to_count_as_alive(process: Process) -> None:
    await process.store.bury()
    name = process.store.process_id
    await stand_still()
    process.hold.release()
    response = await process.ask()
    assert '"type":"finish"' in response.text
    assert process.store.process_id != name


async def test_answer_ends_legally_although_its_end_cannot_be_told(
    process: Process, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*_arguments: Any) -> bytes:
        raise ValueError("broken")

    monkeypatch.setattr(process.conversations.ends, "end_for_readers", fail)
    asking = await process.begin()
    await process.store.bury()
    await stand_still()
    response = await asking
    assert '"type":"abort"' in response.text
    assert response.text.endswith("data: [DONE]\n\n")
    assert "is ended as its producer ends it" in caplog.text
