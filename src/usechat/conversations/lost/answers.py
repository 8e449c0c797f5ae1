"""Goes on with the answers of dead processes, from what the log of runs has of them.

The same agent or function that answered answers again: it gets the chat with the message so far, and makes the rest of
that message, in the same run and for the same turn. An answer for which that is not possible is ended as lost.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from starlette.datastructures import Headers

from usechat.answers.answer import Answer
from usechat.apart import work_apart
from usechat.chats.merge import ClientTools
from usechat.chats.store import Turn, TurnPlan
from usechat.chats.tool_errors import show_model, with_tool_errors
from usechat.chats.tree import UIMessage
from usechat.conversations.chat_turn import ChatTurn
from usechat.conversations.lost.cut_answers import CutAnswer, read_cut_answer
from usechat.conversations.lost.runs import LostRun
from usechat.conversations.planning import PlannedTurn
from usechat.errors import ChatError, RunError
from usechat.guard import describe_outage, traceback_of
from usechat.http.new_run import NewRun, RunPlan
from usechat.messages import ui
from usechat.runs.log import RunInfo

if TYPE_CHECKING:
    from usechat.conversations.answering import Respond
    from usechat.conversations.conversations import Conversations

__all__ = ["Budget", "LostAnswers", "Rerun"]

logger = logging.getLogger(__name__)


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of going on with an answer: how often, and for how long."""

    attempts: int = 2
    """The most processes that go on with it, one after the other."""
    seconds: float = 600.0
    """Its age in seconds from which on it is ended."""

    def allows(self, info: RunInfo, lost: LostRun) -> bool:
        """Return whether one more process may go on with a run."""
        return lost.attempt < self.attempts and time.time() - info.created_at < self.seconds


class Rerun(NamedTuple):
    """The answerer of one router's requests."""

    respond: Respond
    options: Mapping[str, Any]
    """The options of every response."""
    is_client_tool: ClientTools | None


class LostAnswers:
    """Go on with lost answers.

    Args:
        conversations: The saved chats.
        reruns: What answers, by the name that runs have of it.
        budget: How often, and for how long.
        enter: Called in the task that goes on with a turn, before anything of the application, with what
            `TurnBegins.name_asker` has returned.
    """

    def __init__(
        self,
        conversations: Conversations,
        reruns: Mapping[str, Rerun],
        budget: Budget,
        enter: Callable[[Turn, str | None], None],
    ) -> None:
        self.conversations = conversations
        self.reruns = reruns
        self.budget = budget
        self.enter = enter

    async def resume(self, info: RunInfo, frames: bytes) -> bool:
        """Go on with a lost run in this process. Return False when it must be ended instead.

        Raises:
            ChatError: ``unavailable``: the chat cannot be read now.
            RunError: ``unavailable``.
        """
        try:
            return await self._resume(info, frames)
        except Exception as error:
            if isinstance(error, ChatError | RunError) and error.code == "unavailable":
                raise
            logger.warning(
                "the answer of run %s of chat %s cannot go on, and is ended as lost: %s",
                info.id,
                info.chat_id,
                describe_outage(error),
                exc_info=traceback_of(error),
            )
            return False

    async def _resume(self, info: RunInfo, frames: bytes) -> bool:
        lost = msgspec.convert(info.meta, LostRun)
        rerun = self.reruns.get(lost.answering or "")
        if rerun is None or lost.fields is None or not self.budget.allows(info, lost):
            return False
        turn = await self.conversations.store.find_turn(lost.turn_id)
        if turn is None or not turn.is_open:
            return False
        history = await self._history(turn)
        continued = history.pop() if turn.continues is not None else None
        cut = await work_apart(partial(read_cut_answer, lost, frames, continued, rerun.is_client_tool))
        if cut is None:
            return False
        self.enter(turn, lost.asker)
        planned = self._plan(info, lost, turn, cut, history)
        options = {**rerun.options, "wire_format": lost.wire_format}
        response = await rerun.respond(ChatTurn(turn.owner, planned.request, planned, self.conversations, options))
        source = response.source
        if not isinstance(source, NewRun) or source.begin_in_log is None:
            # The function has not left the response to its turn.
            return False
        await self._begin(source, lost, cut)
        logger.info(
            "the answer of turn %s of chat %s goes on here: its process has died (%d of %d)",
            lost.turn_id,
            info.chat_id,
            lost.attempt + 1,
            self.budget.attempts,
        )
        return True

    async def _history(self, turn: Turn) -> list[UIMessage]:
        """Return the chat's messages up to the one that is answered or continued."""
        saved = await self.conversations.store.load_chat(turn.owner, turn.chat_id)
        last = turn.parent if turn.continues is None else turn.continues
        return [with_tool_errors(one.message, one.tool_errors) for one in saved.tree.path_to(last)]

    def _plan(self, info: RunInfo, lost: LostRun, turn: Turn, cut: CutAnswer, history: list[UIMessage]) -> PlannedTurn:
        messages: list[ui.UIMessage] = [ui.UIMessage.model_validate(show_model(message)) for message in history]
        if cut.message is not None:
            history = [*history, cut.message]
            if cut.message["parts"]:
                # Nobody sends it now: a call that does not fit its tool any more is told to the model.
                messages.append(ui.StoredUIMessage.model_validate(show_model(cut.message)))
        return PlannedTurn(
            owner=turn.owner,
            chat_id=turn.chat_id,
            request=ui.ChatRequest(id=turn.chat_id, messages=messages, **(lost.fields or {})),
            # Not the plan of a new chat, which would get a title.
            plan=TurnPlan(revision=1, continues=None if cut.message is None else 0, history=history),
            turn_id=lost.turn_id,
            messages=messages,
            begin=partial(self._go_on, (info, lost, cut)),
            answering=lost.answering,
        )

    async def _begin(self, source: NewRun, lost: LostRun, cut: CutAnswer) -> None:
        """Begin the answer for the client that the run was begun for."""
        source.dialect, source.wire_format, source.message_id = lost.dialect, lost.wire_format, lost.message_id
        if cut.is_started:
            source.options = msgspec.structs.replace(source.options, send_start=False)
        head = await source.prepare(Headers())
        # The log has it.
        source.continued = None
        await source.begin(head.headers)

    async def _go_on(
        self, known: tuple[RunInfo, LostRun, CutAnswer], turn: PlannedTurn, answer: Answer, plan: RunPlan
    ) -> str:
        """Go on with the run, and return its id."""
        info, lost, cut = known
        conversations = self.conversations
        conversations.runs.check_open()
        if cut.lost_calls and not answer.settles_lost_calls:
            raise RunError("it has calls whose outcome only a model's answer can tell", code="fenced")
        answer.lost_calls = cut.lost_calls
        # Its blocks must not have the ids of earlier ones.
        answer.shaper.used_ids |= cut.shaper.used_ids
        answer.shaper.dynamic_calls |= cut.shaper.dynamic_calls
        meta = msgspec.to_builtins(msgspec.structs.replace(lost, attempt=lost.attempt + 1))
        writer = await conversations.runs.log.resume(info, meta)
        if writer is None:
            raise RunError("it was asked to stop, or another process has it", code="fenced")
        # No await from here on: a run that nobody makes would never end.
        writer.append(cut.frames)
        on_end = partial(conversations.begins.save, turn.chat_id, turn.turn_id, answer, turn.on_finish)
        conversations.runs.make(writer, plan.make, abort=plan.abort, on_end=on_end)
        return info.id
