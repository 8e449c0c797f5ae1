"""Tabs of one chat as `useChat` would drive them, and the server's part of it without a server.

A tab holds messages and posts bodies. `Backend` plans what is posted, begins the turns in a store and ends them with
answers that are made up: words, a tool that asks for approval, a tool that the client runs.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

from usechat.chats.history import HistoryMode, Repeated, TurnRequest, plan_turn
from usechat.chats.store import ChatStore, SavedChat, TurnPlan
from usechat.errors import ChatError, RequestError

__all__ = ["CLIENTS_TOOL", "OWNER", "Backend", "ClientKind", "Ending", "Message", "Run", "Tab", "text_of", "tool_parts"]

Message: TypeAlias = dict[str, Any]
Body: TypeAlias = dict[str, Any]
ClientKind: TypeAlias = Literal["with ids", "without ids", "last message"]
"""AI SDK 5 and later; AI SDK 4; one whose transport sends the last message only."""
Ending: TypeAlias = Literal["words", "approval", "client's tool", "stopped", "stopped at once", "failed"]

OWNER: Final = "ada"
CLIENTS_TOOL: Final = "pick"
ALLOWED: Final = {
    "This was answered otherwise meanwhile. Load the chat again.",
    "This chat has moved on. Load it again.",
    "This chat has changed meanwhile. Load it again.",
    "This chat is being answered already.",
}
"""What a conflict may say."""


def text_of(message: Message) -> str:
    return "".join(part.get("text", "") for part in message["parts"])


def tool_parts(message: Message) -> list[Message]:
    return [part for part in message["parts"] if "toolCallId" in part]


def is_clients(name: str) -> bool:
    return name == CLIENTS_TOOL


def reason_of(error: ChatError | RequestError) -> str:
    """Why a request is refused, in words that it may be refused with."""
    if isinstance(error, RequestError):
        assert error.status in (400, 422)
    else:
        assert error.code == "conflict"
        assert str(error) in ALLOWED
    return str(error)


@dataclass
class Run:
    """An answer in the making."""

    id: str
    plan: TurnPlan
    message_id: str
    body: Body
    readers: list[Tab] = field(default_factory=list["Tab"])


@dataclass
class Tab:
    """A client with its copy of the messages."""

    kind: ClientKind
    messages: list[Message] = field(default_factory=list[Message])
    lost: Body | None = None
    """The last request, if its response has not come."""

    def body(self, **fields: Any) -> Body:
        """What the client posts for its messages."""
        fields = {name: value for name, value in fields.items() if value is not None}
        match self.kind:
            case "without ids":
                posted = [{name: value for name, value in one.items() if name != "id"} for one in self.messages]
                return {"messages": deepcopy(posted)}
            case "last message":
                is_regeneration = fields["trigger"] == "regenerate-message"
                last = {} if is_regeneration else {"message": deepcopy(self.messages[-1])}
                return {**last, **fields}
            case _:
                return {"messages": deepcopy(self.messages), **fields}

    def take(self, message: Message) -> None:
        """Show an answer, as far as it has come."""
        message = deepcopy(message)
        if self.messages and self.messages[-1]["id"] == message["id"]:
            self.messages[-1] = message
        else:
            self.messages.append(message)


class Backend:
    """Plans requests and keeps the turns of one chat.

    Args:
        store: Where the chat is kept.
        runner: The event loop of the store.
        chat_id: The chat.
        mode: Who holds the history.
    """

    def __init__(self, store: ChatStore, runner: asyncio.Runner, chat_id: str, mode: HistoryMode) -> None:
        self.store = store
        self.runner = runner
        self.chat_id = chat_id
        self.mode: HistoryMode = mode
        self.run: Run | None = None
        self.ran: Counter[str] = Counter()
        """How often a tool ran, by the call."""
        self._numbers = itertools.count(1)
        self._used: set[str] = set()

    def new_id(self, kind: str) -> str:
        return f"{kind}{next(self._numbers)}"

    def load(self) -> SavedChat | None:
        return self.runner.run(self.store.maybe_load_chat(OWNER, self.chat_id))

    def plan(self, body: Body) -> TurnPlan | Repeated | str:
        """Plan a request as the server does; a text is the reason for which it is refused."""
        saved = self.load()
        running = None
        if self.run is not None:
            running = self.runner.run(self.store.find_turn(self.run.id))
        fields = {"message_id" if name == "messageId" else name: value for name, value in body.items()}
        try:
            planned = plan_turn(
                saved,
                TurnRequest(**fields),
                mode=self.mode,
                is_client_tool=is_clients,
                new_id=lambda: self.new_id("new"),
                running=running,
            )
        except (ChatError, RequestError) as error:
            return reason_of(error)
        if self.run is not None and not (isinstance(planned, Repeated) and planned.answer is None):
            return "This chat is being answered already."
        return planned

    def begin(self, body: Body, plan: TurnPlan) -> Run | str:
        """Begin a turn; a text is the reason for which it is refused."""
        run_id = f"{self.chat_id} {self.new_id('run')}"
        try:
            self.runner.run(self.store.begin_turn(OWNER, self.chat_id, run_id, plan))
        except ChatError as error:
            return reason_of(error)
        assert self.run is None, "two turns are open"
        message_id = self.new_id("a") if plan.continues is None else plan.history[-1]["id"]
        self.run = Run(run_id, plan, message_id, body)
        return self.run

    def begin_message(self) -> Message:
        """The answer that is being made before it says anything: the outcome of what was decided."""
        assert self.run is not None
        if self.run.plan.continues is None:
            return {"id": self.run.message_id, "role": "assistant", "parts": []}
        message = deepcopy(self.run.plan.history[-1])
        for part in tool_parts(message):
            if part["state"] == "approval-responded":
                self._carry_out(part)
        return message

    def _carry_out(self, part: Message) -> None:
        approval = part["approval"]
        if not approval["approved"]:
            part["state"] = "output-denied"
        elif approval["id"] in self._used:
            part |= {"state": "output-error", "errorText": "The approval has been used."}
        else:
            self._used.add(approval["id"])
            self.ran[part["toolCallId"]] += 1
            part |= {"state": "output-available", "output": "sent"}

    def end(self, ending: Ending) -> Message | None:
        """End the open turn; return the answer as its readers have it."""
        run = self.run
        assert run is not None
        message = self.begin_message()
        message["parts"] += self._say(ending, run)
        status = {"stopped": "aborted", "stopped at once": "aborted", "failed": "failed"}.get(ending, "whole")
        shown = message if message["parts"] else None
        ended = self.store.finish_turn(run.id, status=status, message=shown)  # pyright: ignore[reportArgumentType]
        assert self.runner.run(ended)
        self.run = None
        return shown

    def _say(self, ending: Ending, run: Run) -> list[Message]:
        call = self.new_id("call")
        text: Message = {"type": "text", "text": f"said by {run.id}", "state": "done"}
        match ending:
            case "words":
                return [text]
            case "approval":
                asked = {"state": "approval-requested", "approval": {"id": f"approval of {call}"}}
                return [text, {"type": "tool-send", "toolCallId": call, "input": {}, **asked}]
            case "client's tool":
                return [
                    text,
                    {"type": f"tool-{CLIENTS_TOOL}", "toolCallId": call, "input": {}, "state": "input-available"},
                ]
            case "stopped":
                return [{"type": "text", "text": f"sa{run.id}"}]
            case "stopped at once" | "failed":
                return []
