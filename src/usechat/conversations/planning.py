"""Plans what a request does to its saved chat, and which messages the model gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

import msgspec

from usechat.answers.answer import Answer
from usechat.answers.writer.ui_message_stream import UIMessageStreamWriter, ui_message_stream
from usechat.chats.history import HistoryMode, Repeated, TurnRequest, plan_turn
from usechat.chats.store import SavedChat, TurnPlan
from usechat.chats.tool_errors import show_model
from usechat.chats.tree import SavedMessage
from usechat.conversations.titles import MakeTitle
from usechat.conversations.turn_ends import OnFinish
from usechat.http.new_run import RunPlan, respond
from usechat.http.response import StreamingAnswer
from usechat.messages import ui
from usechat.parts import Finish, FinishReason, Usage
from usechat.protocol.retell import answer_parts
from usechat.runs.log import RunInfo

__all__ = ["PlannedTurn", "RepeatedTurn", "messages_for_model", "plan_request", "tell_again"]


class PlannedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A request to a saved chat, with the planned changes."""

    owner: str
    chat_id: str
    request: ui.ChatRequest
    plan: TurnPlan
    turn_id: str
    messages: Sequence[ui.UIMessage]
    """The messages for the model."""
    title: MakeTitle | None = None
    """Makes the chat's title, if the chat is new."""
    on_finish: OnFinish | None = None
    """Called when this process has saved the end of the answer, after the one of all answers."""
    begin: Callable[[PlannedTurn, Answer, RunPlan], Awaitable[str]] | None = None
    """Begins the run that answers, in place of `TurnBegins`: the one of a lost answer goes on."""
    answering: str | None = None
    """The name of what answers, by which another process finds it."""
    leave_line: Callable[[], Awaitable[None]] | None = None
    """Called when the turn has begun, or cannot: the next message that waits for the chat goes on."""

    @property
    def continued(self) -> Mapping[str, Any] | None:
        """The assistant's message that the answer continues."""
        return self.plan.history[-1] if self.plan.continues is not None else None


class RepeatedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A request that has its answer already, whole or in the making."""

    request: ui.ChatRequest
    answer: SavedMessage | None
    """The answer as it is saved; None to read its run."""
    run: RunInfo | None
    """The run that makes the answer, or has made it."""


def plan_request(saved: SavedChat | None, request: ui.ChatRequest, options: Mapping[str, Any]) -> TurnPlan | Repeated:
    """Return the plan of a request, or the answer that it has already. ``options`` are those of `plan_turn`."""
    asked = TurnRequest(
        messages=[message.to_json() for message in request.messages],
        message=request.message and request.message.to_json(),
        trigger=request.trigger,
        message_id=request.message_id,
    )
    return plan_turn(saved, asked, **options)


def messages_for_model(request: ui.ChatRequest, plan: TurnPlan, history: HistoryMode) -> list[ui.UIMessage]:
    """Return the messages for the model: the client's, which were checked when they came in, or the stored ones."""
    messages = read_history(request, plan, history)
    if plan.continues is not None:
        # Of the client's copy only outputs and decisions were taken.
        messages[-1] = ui.StoredUIMessage.model_validate(messages[-1].to_json())
    return messages


def read_history(request: ui.ChatRequest, plan: TurnPlan, history: HistoryMode) -> list[ui.UIMessage]:
    if history == "server" or not request.messages:
        return [ui.UIMessage.model_validate(show_model(message)) for message in plan.history]
    # A regeneration may have posted the old answer as well.
    posted = request.messages[: len(plan.history)]
    return [posted_message(message, planned) for message, planned in zip(posted, plan.history, strict=True)]


def posted_message(message: ui.UIMessage, planned: Mapping[str, Any]) -> ui.UIMessage:
    update = {} if message.id == planned["id"] else {"id": planned["id"]}
    parts = show_model(planned)["parts"]
    # The parts of a plan that adds nothing are the posted ones themselves, so they are not compared in depth.
    if parts != message.parts:
        update["parts"] = parts
    return message.model_copy(update=update) if update else message


def tell_again(saved: SavedMessage, request: ui.ChatRequest, options: Mapping[str, Any]) -> StreamingAnswer:
    """Return the response that sends a saved answer once more."""

    def write(writer: UIMessageStreamWriter) -> None:
        assert answer.binding is not None
        for part in answer_parts(saved.message, answer.binding.dialect):
            writer.write(part)
        reason = FinishReason(cast("Any", saved.finish_reason or "stop"))
        writer.write(Finish(finish_reason=reason, total_usage=Usage()))

    answer = ui_message_stream(write)
    return respond(answer, request, message_id=saved.id, **options)
