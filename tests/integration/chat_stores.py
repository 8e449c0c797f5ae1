"""Messages and turns for the tests of a store of chats."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from usechat.chats.history import TurnRequest, plan_turn
from usechat.chats.store import ChatStore, SavedChat, TurnPlan
from usechat.errors import ChatError

Message = dict[str, Any]


def user(id: str, text: str = "Hello") -> Message:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def assistant(id: str, text: str = "Hi", **more: Any) -> Message:
    return {"id": id, "role": "assistant", "parts": [{"type": "text", "text": text, "state": "done"}], **more}


async def begin(store: ChatStore, run_id: str, *posted: Message, chat: str = "c", owner: str = "ada", **request: Any):
    """Plan and begin a turn as a route does."""
    [loaded] = await asyncio.gather(store.load_chat(owner, chat), return_exceptions=True)
    saved = loaded if isinstance(loaded, SavedChat) else None
    return await store.begin_turn(owner, chat, run_id, plan_new(saved, *posted, **request))


def plan_new(saved: SavedChat | None, *posted: Message, **request: Any) -> TurnPlan:
    """Plan a turn that was not asked for before."""
    plan = plan_turn(saved, TurnRequest(messages=posted, **request))
    assert isinstance(plan, TurnPlan)
    return plan


async def converse(store: ChatStore, chat: str, text: str, answer: str, *, owner: str = "ada") -> None:
    """One whole turn."""
    await begin(store, f"run-{chat}", user(f"{chat}-u", text), chat=chat, owner=owner)
    assert await store.finish_turn(f"run-{chat}", status="whole", message=assistant(f"{chat}-a", answer))


def contents(saved: SavedChat) -> list[Message]:
    return [message.message for message in saved.messages]


def codes(results: Sequence[object]) -> list[str]:
    return [result.code for result in results if isinstance(result, ChatError)]
