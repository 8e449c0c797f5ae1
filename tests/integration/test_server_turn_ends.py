"""What a turn without a process goes on with, as the store of chats tells it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from usechat.chats.sql.migrations.migrate import migrate
from usechat.chats.sql.store import SqlChatStore
from usechat.chats.store import Turn
from usechat.conversations.turn_ends import TurnEnds
from usechat.errors import ChatError
from usechat.runs.memory.log import MemoryLog
from usechat.testing.stores.chats import plan_new

pytestmark = pytest.mark.anyio

ANSWER: dict[str, Any] = {"id": "a", "role": "assistant", "parts": [{"type": "text", "text": "Well,"}]}


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/chats.db"


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlChatStore]:
    made = SqlChatStore(url)
    yield made
    await made.aclose()


async def continue_answer(store: SqlChatStore) -> Turn:
    """A turn that goes on with `ANSWER`."""
    question: dict[str, Any] = {"id": "u", "role": "user", "parts": []}
    await store.begin_turn("ada", "c", "r", plan_new(None, question, ANSWER))
    turn = await store.find_turn("r")
    assert turn is not None
    return turn


async def test_turn_goes_on_with_its_message_while_its_chat_is_there(store: SqlChatStore, url: str) -> None:
    await migrate(url)
    ends = TurnEnds(store, MemoryLog())
    turn = await continue_answer(store)
    assert await ends.continued(turn) == ANSWER
    await store.delete_chat("ada", "c")
    assert await ends.continued(turn) is None


async def test_database_that_is_away_does_not_look_like_a_chat_that_is_gone(store: SqlChatStore) -> None:
    turn = Turn(run_id="r", chat_id="c", owner="ada", began_at=0, continues=1)
    with pytest.raises(ChatError) as raised:
        await TurnEnds(store, MemoryLog()).continued(turn)
    assert raised.value.code == "unavailable"
