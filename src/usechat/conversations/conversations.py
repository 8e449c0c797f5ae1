"""Saved conversations: each answer is a turn that is saved and a run that outlives its reader.

A turn is planned on the chat as it is stored, held in the store for the run's time (`turn_begins`), and ended exactly
once: by the process that made the run or, when that has died, by another one (`turn_ends`). The response that reads it
is `usechat.http.response`.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from types import TracebackType
from typing import Any, Self

import msgspec

from usechat.answers.answer import Answer
from usechat.apart import work_apart
from usechat.chats.history import MAX_MESSAGES, HistoryMode, Repeated
from usechat.chats.merge import ClientTools
from usechat.chats.store import Chat, ChatStore, SavedChat, Turn, TurnPlan
from usechat.chats.tool_errors import split_tool_errors
from usechat.conversations.busy import BusyChats, OnBusy
from usechat.conversations.held_runs import HeldRuns
from usechat.conversations.lost.runs import LostRun
from usechat.conversations.planning import PlannedTurn, RepeatedTurn, messages_for_model, plan_request, tell_again
from usechat.conversations.routes.chat_ids import check_chat_id
from usechat.conversations.titles import Titles
from usechat.conversations.turn_begins import TurnBegins
from usechat.conversations.turn_ends import OnFinish, TurnEnds, run_of
from usechat.errors import ChatError, RunError
from usechat.guard import describe_outage
from usechat.http.new_run import respond
from usechat.http.response import StreamingAnswer
from usechat.http.resume import KnownRun
from usechat.ids import generate_id
from usechat.json import LONE_SURROGATE
from usechat.messages import ui
from usechat.runs.reader import STOPPED
from usechat.runs.service import RunService

__all__ = ["Conversations", "can_have_run"]

logger = logging.getLogger(__name__)


class Conversations:
    """The saved chats of an application and their running answers.

    Args:
        store: The store of the chats.
        runs: Makes the runs and finds lost ones.
        history: Who holds the history of a chat: ``client`` or ``server``.
        on_finish: Called once for each answer's end, in one process.
        is_lasting: Whether this process lives on between requests, so that others can see it.
        max_messages: The most messages that a chat may hold.
        has_one_owner: Whether all chats of the store are one owner's, so that no chat without a run need be looked up.
        on_busy: What becomes of a message to a chat that is being answered: ``reject``, ``interrupt`` or ``enqueue``.
    """

    def __init__(
        self,
        store: ChatStore,
        runs: RunService,
        history: HistoryMode,
        *,
        on_finish: OnFinish | None = None,
        is_lasting: bool = True,
        max_messages: int = MAX_MESSAGES,
        has_one_owner: bool = False,
        on_busy: OnBusy = "reject",
    ) -> None:
        self.store = store
        self.runs = runs
        self.history: HistoryMode = history
        self.ends = TurnEnds(store, runs.log, on_finish)
        self.held = HeldRuns(store, runs, self.ends)
        self.titles = Titles(store)
        self.begins = TurnBegins(store, runs, self.held, self.ends, self.titles)
        self.is_lasting = is_lasting
        self.max_messages = max_messages
        self.busy = BusyChats(self, on_busy)
        self._orphans: asyncio.Task[None] | None = None
        runs.lost.on_lost = self.ends.end_lost
        runs.on_release = self.ends.end_for_readers
        runs.is_saved = self.ends.is_saved
        runs.is_newest = self.ends.is_newest
        runs.find_open = self.ends.find_run
        runs.check_owner = None if has_one_owner else self.check_owner
        runs.log.on_gone = self.ends.end_gone

    async def plan(
        self, owner: str, request: ui.ChatRequest, chat_id: str, is_client_tool: ClientTools | None = None
    ) -> PlannedTurn | RepeatedTurn:
        """Plan the changes that a request makes to its chat, or find the answer that it has already.

        Args:
            owner: The user who asks.
            request: The request.
            chat_id: The chat; a new one if there is none.
            is_client_tool: As for `plan_turn`.

        Raises:
            ChatError: The chat is another owner's, or has moved on.
            RequestError: There is nothing to answer, or no chat can have this id.
        """
        check_chat_id(chat_id)
        saved = await self.store.maybe_load_chat(owner, chat_id)
        if saved is not None and saved.chat.active_run_id is not None:
            repeated = await self.find_repeated(saved, request, saved.chat.active_run_id, is_client_tool)
            if repeated is not None:
                return repeated
            await self.busy.await_end(owner, chat_id, saved.chat.active_run_id)
            saved = await self.store.maybe_load_chat(owner, chat_id)
        plan = await self._plan(saved, request, None, is_client_tool)
        if isinstance(plan, Repeated):
            return await self._repeat(owner, request, chat_id, plan)
        messages = await work_apart(partial(messages_for_model, request, plan, self.history))
        turn_id = generate_id("turn")
        return PlannedTurn(owner=owner, chat_id=chat_id, request=request, plan=plan, turn_id=turn_id, messages=messages)

    async def find_repeated(
        self, saved: SavedChat, request: ui.ChatRequest, turn_id: str, is_client_tool: ClientTools | None
    ) -> RepeatedTurn | None:
        """Return the running answer of a chat, its turn ``turn_id``, if it is the one that a request asks for."""
        running = await self.store.find_turn(turn_id)
        plan = await self._plan(saved, request, running, is_client_tool)
        if running is None or not isinstance(plan, Repeated) or plan.answer is not None:
            return None
        run = await self.ends.find_living(running)
        return None if run is None else RepeatedTurn(request=request, answer=None, run=run)

    async def _plan(
        self,
        saved: SavedChat | None,
        request: ui.ChatRequest,
        running: Turn | None,
        is_client_tool: ClientTools | None,
    ) -> TurnPlan | Repeated:
        options: dict[str, Any] = {
            "mode": self.history,
            "running": running,
            "max_messages": self.max_messages,
            "is_client_tool": is_client_tool,
        }
        return await work_apart(partial(plan_request, saved, request, options))

    async def _repeat(self, owner: str, request: ui.ChatRequest, chat_id: str, found: Repeated) -> RepeatedTurn:
        """Return the turn of a request that was answered.

        Raises:
            ChatError: ``conflict``: the client waits for frames that go on with its copy of a message, and they are not
                kept any more; or another answer has begun meanwhile.
        """
        answer = found.answer
        assert answer is not None
        if found.is_back:
            await self.store.choose_path(owner, chat_id, answer.number)
        if not found.continues:
            return RepeatedTurn(request=request, answer=answer, run=None)
        run = None if answer.run_id is None else await self.runs.log.get(run_of(answer.run_id))
        if run is None:
            raise ChatError("This chat has moved on. Load it again.", code="conflict")
        return RepeatedTurn(request=request, answer=None, run=run)

    def repeat(self, turn: RepeatedTurn, **options: Any) -> StreamingAnswer:
        """Return the response with the answer that a repeated request has already.

        Args:
            turn: The request.
            options: Options of `usechat.http.new_run.respond`.
        """
        if turn.answer is not None:
            return tell_again(turn.answer, turn.request, options)
        assert turn.run is not None
        # The client has the message that is continued.
        has_preamble = msgspec.convert(turn.run.meta, LostRun).preamble_bytes > 0
        heartbeat = options.get("heartbeat")
        return StreamingAnswer(KnownRun(self.runs, turn.run, skipped=int(has_preamble)), heartbeat=heartbeat)

    def respond(self, turn: PlannedTurn, answer: Answer, **options: Any) -> StreamingAnswer:
        """Return the response that makes an answer as a turn of its chat.

        Args:
            turn: The planned turn.
            answer: The answer, not begun.
            options: Options of `usechat.http.new_run.respond`.
        """
        # The model continues from the true text of a failed tool, whatever the browser was shown.
        answer.keeps_tool_errors = True
        if answer.keeps_messages:
            # The client may have posted the last one only.
            answer.keep_messages([split_tool_errors(message)[0] for message in turn.plan.history])
        begin = partial(turn.begin or self.begins.begin, turn, answer)
        return respond(answer, turn.request, runs=self.runs, begin=begin, continued=turn.continued, **options)

    async def __aenter__(self) -> Self:
        """Join the processes of the store, and begin to end turns that others have left open.

        Raises:
            ChatError: ``unavailable``.
        """
        # A shared log of runs tells which processes are alive.
        if self.is_lasting and not self.runs.log.is_shared:
            await self.held.join()
        await self.runs.__aenter__()
        self._orphans = asyncio.create_task(self.ends.end_orphans_for_ever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the runs of this process and close the store."""
        if self._orphans is not None:
            self._orphans.cancel()
            await asyncio.gather(self._orphans, return_exceptions=True)
        try:
            await self.runs.shutdown()
            await self.titles.aclose()
        finally:
            self.held.close()
            await self.store.aclose()

    async def check_owner(self, owner: str, chat_id: str) -> None:
        """Check that a chat, if there is one, is this owner's.

        Raises:
            ChatError: It is another owner's, or the store cannot be read.
        """
        try:
            await self.store.get_chat(owner, chat_id)
        except ChatError as error:
            if error.code != "missing":
                raise

    async def stop(self, owner: str, chat_id: str) -> bool:
        """Stop the chat's answer, in any process. Return whether there was one.

        Raises:
            ChatError: The chat is another owner's; ``conflict``: the answer is in the memory of another process, and
                goes on.
            RunError: ``unavailable``; never for a run of this process. ``missing``: the answer is another owner's.
        """
        if not can_have_run(chat_id):
            await self.check_owner(owner, chat_id)
            return False
        # Of a process that was taken for dead while it slept, another one may have the chat.
        await self.held.sure()
        if await self.runs.stop(chat_id, STOPPED, owner=owner):
            return True
        turn = await self.open_turn(owner, chat_id)
        if turn is not None and self.ends.is_foreign(turn) and not await self.ends.end_orphan(turn):
            raise ChatError(
                "Another process makes this answer and cannot be told to stop: that takes a log of runs in Redis.",
                code="conflict",
                run_id=turn.run_id,
            )
        return False

    async def open_turn(self, owner: str, chat_id: str) -> Turn | None:
        """Return the turn that holds a chat.

        Raises:
            ChatError: ``unavailable``; the chat is another owner's.
        """
        try:
            chat = await self.store.get_chat(owner, chat_id)
        except ChatError as error:
            if error.code != "missing":
                raise
            return None
        return None if chat.active_run_id is None else await self.store.find_turn(chat.active_run_id)

    async def delete(self, owner: str, chat_id: str) -> Chat:
        """Stop a chat's answer and remove the chat. One whose answer cannot be stopped stays: the model would go on.

        Raises:
            ChatError: There is no such chat; ``conflict``: its answer is in the memory of another process.
            RunError: ``unavailable``: its answer is made by another process, which cannot be reached now.
        """
        try:
            await self.stop(owner, chat_id)
        except (RunError, ChatError) as error:
            turn = await self.open_turn(owner, chat_id)
            # Nobody knows whether a turn that names no process is still made: its chat could stay for an hour.
            is_unknown = turn is not None and turn.process_id is None and not self.runs.log.is_shared
            if turn is not None and not is_unknown:
                logger.warning(
                    "chat %s is not deleted: turn %s cannot be stopped: %s",
                    chat_id,
                    turn.run_id,
                    describe_outage(error),
                )
                raise
        chat = await self.store.delete_chat(owner, chat_id)
        if chat.active_run_id is not None and can_have_run(chat_id):
            # It has begun meanwhile, or is about to end.
            try:
                await self.runs.stop_run(run_of(chat.active_run_id), STOPPED)
            except RunError as error:
                reason = describe_outage(error)
                logger.warning("chat %s is gone, but turn %s may go on: %s", chat_id, chat.active_run_id, reason)
        return chat


def can_have_run(chat_id: str) -> bool:
    """Return whether a run log can have a run of this chat: names in Redis are UTF-8."""
    return LONE_SURROGATE.search(chat_id) is None
