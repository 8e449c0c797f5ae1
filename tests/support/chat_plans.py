"""Chats as they are stored, what clients post to them, and the plans that come of it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from usechat.chats.history import HistoryMode, Repeated, TurnRequest, plan_turn
from usechat.chats.store import Chat, SavedChat, Turn, TurnPlan
from usechat.chats.tree import MessageTree, SavedMessage

Message = dict[str, Any]
MODES: tuple[HistoryMode, ...] = ("client", "server")
REGENERATE = {"trigger": "regenerate-message"}
SUBMIT = {"trigger": "submit-message"}


def user(id: str, text: str | None = None) -> Message:
    return {"id": id, "role": "user", "parts": [{"type": "text", "text": text or f"ask {id}"}]}


def assistant(id: str, text: str | None = None, *calls: Message) -> Message:
    return {"id": id, "role": "assistant", "parts": [{"type": "text", "text": text or f"answer {id}"}, *calls]}


def call(state: str = "input-available", **fields: Any) -> Message:
    return {"type": "tool-ask", "toolCallId": "c1", "state": state, "input": {}, **fields}


def asked(**decision: Any) -> Message:
    state = "approval-responded" if decision else "approval-requested"
    return call(state, approval={"id": "p1", **decision})


def without_ids(messages: Sequence[Message]) -> list[Message]:
    return [{key: value for key, value in message.items() if key != "id"} for message in messages]


U1, A1, U2, A2, U3, A3 = user("u1"), assistant("a1"), user("u2"), assistant("a2"), user("u3"), assistant("a3")
RATHER = user("u2", "rather")
ANSWERED = call("output-available", output="blue")
STORED = [U1, A1, U2, A2]
RAN = call("output-available", output="sent", approval={"id": "p1", "approved": True})
REFUSED = call("output-denied", approval={"id": "p1", "approved": False})


def saved(
    messages: Sequence[Message],
    parents: Sequence[int | None] | None = None,
    *,
    leaf: int | None = None,
    ours: bool = True,
    copies: Sequence[int] = (),
    statuses: Mapping[int, Any] | None = None,
) -> SavedChat:
    """A chat whose answers were made by runs of ours, or came with the client, all or as copies of answers of ours.

    It is a list unless parents are given.
    """
    rows = [
        SavedMessage(
            message=message,
            number=number,
            parent=(number - 1 if number else None) if parents is None else parents[number],
            role=message["role"],
            created_at=1,
            run_id="run" if ours and message["role"] == "assistant" and number not in copies else None,
            status=(statuses or {}).get(number, "whole"),
        )
        for number, message in enumerate(messages)
    ]
    size = len(messages)
    shown = leaf if leaf is not None else size - 1 if size else None
    chat = Chat(id="chat", owner="ada", created_at=1, updated_at=1, revision=7, size=size, leaf=shown)
    return SavedChat(chat=chat, tree=MessageTree(rows))


BRANCHED = saved([U1, A1, U2, A2, RATHER, A3], [None, 0, 1, 2, 1, 4])
"""The second question was edited: two branches, of which the second is shown."""


def runs_nowhere(_name: str) -> bool:
    return False


def run_turn(*, parent: int | None = None, continues: int | None = None) -> Turn:
    return Turn(run_id="r", chat_id="chat", owner="ada", began_at=1, parent=parent, continues=continues)


def ask(
    stored: Sequence[Message] | SavedChat | None, posted: Sequence[Message], mode: HistoryMode, **request: Any
) -> TurnPlan | Repeated:
    numbers = itertools.count(1)
    chat = saved(stored) if isinstance(stored, Sequence) else stored
    running = request.pop("running", None)
    is_client_tool = request.pop("is_client_tool", None)
    return plan_turn(
        chat,
        TurnRequest(messages=posted, **request),
        mode=mode,
        is_client_tool=is_client_tool,
        new_id=lambda: f"new{next(numbers)}",
        running=running,
    )


def plan(
    stored: Sequence[Message] | SavedChat | None, posted: Sequence[Message], mode: HistoryMode, **request: Any
) -> TurnPlan:
    made = ask(stored, posted, mode, **request)
    assert isinstance(made, TurnPlan)
    return made


def path(stored: Sequence[Message] | SavedChat, made: TurnPlan) -> list[Message]:
    """The messages of the path to the answer, once the plan is carried out."""
    chat = saved(stored) if isinstance(stored, Sequence) else stored
    before = chat.tree.path_to(made.parent)
    end = [] if made.continues is None or made.added else [chat.tree[made.continues]]
    return [*(made.changed.get(one.number, one.message) for one in (*before, *end)), *made.added]
