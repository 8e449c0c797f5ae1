"""Messages and turns for the checks of a chat store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from usechat.chats.history import TurnRequest, plan_turn
from usechat.chats.store import Chat, ChatStore, SavedChat, TurnPlan
from usechat.errors import ChatError

__all__ = [
    "Message",
    "assistant",
    "begin",
    "codes",
    "contents",
    "converse",
    "plan_new",
    "statuses",
    "user",
]

Message = dict[str, Any]


def user(id: str, text: str = "Hello") -> Message:
    """Return a message of the user."""
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text}]}


def assistant(id: str, text: str = "Hi", **more: Any) -> Message:
    """Return a message of the assistant, with the fields ``more`` besides."""
    return {"id": id, "role": "assistant", "parts": [{"type": "text", "text": text, "state": "done"}], **more}


async def begin(
    store: ChatStore, run_id: str, *posted: Message, chat: str = "c", owner: str = "ada", **request: Any
) -> Chat:
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
    """Begin a turn in a chat and end it."""
    await begin(store, f"run-{chat}", user(f"{chat}-u", text), chat=chat, owner=owner)
    assert await store.finish_turn(f"run-{chat}", status="whole", message=assistant(f"{chat}-a", answer))


def contents(saved: SavedChat) -> list[Message]:
    """Return the messages of the path that is shown."""
    return [message.message for message in saved.messages]


def statuses(saved: SavedChat) -> list[str]:
    """Return their statuses."""
    return [message.status for message in saved.messages]


def codes(results: Sequence[object]) -> list[str]:
    """Return the codes of the errors among results."""
    return [result.code for result in results if isinstance(result, ChatError)]
