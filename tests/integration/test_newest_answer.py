"""Who resumes with a bare number as a cursor gets the chat's newest answer, or nothing."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from tests.integration.test_turn_ends import Deployment, FragileStore, begin_to_answer, deployment
from tests.support.waiting import PATIENCE, eventually
from usechat.chats.store import Turn, TurnPlan
from usechat.conversations.turn_ends import run_of
from usechat.errors import ChatError, RunError
from usechat.runs.cursor import Cursor
from usechat.server.access.asking import DEFAULT_USER
from usechat.testing.models import saying

__all__ = ["deployment"]

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_next_answer_is_waited_for_while_it_begins(deployment: Deployment) -> None:
    process = await deployment.process()
    runs = process.conversations.runs
    await process.ask(saying("Hello"))
    chat = await process.store.get_chat(DEFAULT_USER, "c")
    plan = TurnPlan(revision=chat.revision, size=chat.size, parent=0)
    await process.store.begin_turn(DEFAULT_USER, "c", "turn-next", plan)
    finds = process.store.finds
    resuming = asyncio.create_task(runs.resume("c", Cursor(), owner=DEFAULT_USER))
    await eventually(lambda: process.store.finds > finds + 1)
    await runs.log.open("c", owner=DEFAULT_USER, headers={}, meta={"turn_id": "turn-next"}, run_id=run_of("turn-next"))
    found = await asyncio.wait_for(resuming, PATIENCE)
    assert found is not None
    assert found.id == run_of("turn-next")


async def test_ended_answer_is_unavailable_and_a_running_one_is_read_while_the_database_is_away(
    deployment: Deployment,
) -> None:
    process = await deployment.process()
    runs = process.conversations.runs
    answering = await begin_to_answer(process)
    [running] = runs.handles
    process.store.is_away = True
    found = await runs.resume("c", Cursor(), owner=DEFAULT_USER)
    assert found is not None
    assert found.id == running
    process.store.is_away = False
    await process.conversations.stop(DEFAULT_USER, "c")
    await answering
    process.store.is_away = True
    with pytest.raises(RunError) as caught:
        await runs.resume("c", Cursor(), owner=DEFAULT_USER)
    assert caught.value.code == "unavailable"
    process.store.is_away = False


async def test_store_that_does_not_tell_when_turns_end_has_its_answers_read(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_turn = FragileStore.find_turn

    async def find_turn_without_its_end(store: FragileStore, run_id: str) -> Turn | None:
        turn = await find_turn(store, run_id)
        return None if turn is None else msgspec.structs.replace(turn, ended_at=None)

    monkeypatch.setattr(FragileStore, "find_turn", find_turn_without_its_end)
    process = await deployment.process()
    await process.ask(saying("Hello"))
    assert await process.conversations.runs.resume("c", Cursor(), owner=DEFAULT_USER) is not None


async def test_run_of_the_application_in_the_same_log_can_be_read(deployment: Deployment) -> None:
    runs = (await deployment.process()).conversations.runs
    writer = await runs.log.open("c", owner=DEFAULT_USER, headers={}, meta={})
    for cursor in (None, Cursor()):
        assert await runs.resume("c", cursor, owner=DEFAULT_USER) == writer.info
    await writer.finish("finished")
    assert await runs.resume("c", owner=DEFAULT_USER) is None


async def test_chat_with_the_id_of_another_users_deleted_one_is_not_taken_for_it(deployment: Deployment) -> None:
    process = await deployment.process()
    await process.ask(saying("Hello"))
    await process.conversations.delete(DEFAULT_USER, "c")
    for cursor in (None, Cursor()):
        assert await process.conversations.runs.resume("c", cursor, owner="bob") is None
    assert not await process.conversations.stop("bob", "c")
    plan = TurnPlan(added=[{"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}])
    await process.store.begin_turn("bob", "c", "turn-bob", plan)
    await process.store.finish_turn("turn-bob", status="failed")
    for cursor in (None, Cursor()):
        assert await process.conversations.runs.resume("c", cursor, owner="bob") is None
        with pytest.raises(ChatError):
            await process.conversations.runs.resume("c", cursor, owner=DEFAULT_USER)
    assert not await process.conversations.stop("bob", "c")
