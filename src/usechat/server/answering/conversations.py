"""Saved conversations: each answer is a turn that is saved and a run that outlives its reader.

A turn is planned on the chat as it is stored, held in the store for the run's time, and ended exactly once: by the
process that made the run or, when that has died, by another one (`usechat.server.answering.turn_ends`). The response
that reads it is `usechat.http.response`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from usechat.answers.answer import Answer, FinishEvent
from usechat.apart import work_apart
from usechat.chats.history import MAX_MESSAGES, HistoryMode, Repeated
from usechat.chats.merge import ClientTools
from usechat.chats.store import Chat, ChatStore, SavedChat, Turn, TurnPlan
from usechat.chats.tool_errors import with_tool_errors
from usechat.chats.tree import EndStatus
from usechat.errors import ChatError, RunError
from usechat.guard import describe_outage
from usechat.http.new_run import RunPlan, respond
from usechat.http.response import StreamingAnswer
from usechat.http.resume import KnownRun
from usechat.ids import generate_id
from usechat.json import LONE_SURROGATE
from usechat.messages import ui
from usechat.protocol.usage import usage_for_major
from usechat.runs.log import RunInfo
from usechat.runs.reader import STOPPED
from usechat.runs.service import RunService
from usechat.server.answering.lost_runs import LostRun
from usechat.server.answering.planning import PlannedTurn, RepeatedTurn, messages_for_model, plan_request, tell_again
from usechat.server.answering.turn_ends import OnFinish, TurnEnds, run_of
from usechat.server.routes.chat_ids import check_chat_id

__all__ = ["OWNER", "Conversations", "can_have_run"]

logger = logging.getLogger(__name__)

OWNER: Final = "default"
"""The owner of every chat: API keys do not tell users apart."""

STOPPING_SECONDS: Final = 2.0
"""Seconds that a turn waits for the one before it, which may be ending: its tools have a second for that."""


class Conversations:
    """The saved chats of one server and their running answers.

    Args:
        store: The store of the chats.
        runs: Makes the runs and finds lost ones.
        history: Who holds the history of a chat: ``client`` or ``server``.
        on_finish: Called once for each answer's end, in one process.
        is_lasting: Whether this process lives on between requests, so that others can see it.
        max_messages: The most messages that a chat may hold.
        is_client_tool: Tells which tools the client runs; none without it. Only their outputs are taken from clients.
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
        is_client_tool: ClientTools | None = None,
    ) -> None:
        self.store = store
        self.runs = runs
        self.history: HistoryMode = history
        self.ends = TurnEnds(store, runs.log, on_finish)
        self.is_lasting = is_lasting
        self.max_messages = max_messages
        self.is_client_tool: ClientTools = is_client_tool or is_no_client_tool
        self._orphans: asyncio.Task[None] | None = None
        runs.lost.on_lost = self.ends.end_lost
        runs.on_release = self.ends.end_for_readers
        runs.is_saved = self.ends.is_saved
        runs.find_unlisted = self.ends.find_run
        runs.log.on_gone = self.ends.end_gone

    async def plan(self, request: ui.ChatRequest, chat_id: str) -> PlannedTurn | RepeatedTurn:
        """Plan the changes that a request makes to its chat, or find the answer that it has already.

        Raises:
            ChatError: The chat is another owner's, or has moved on.
            RequestError: There is nothing to answer, or no chat can have this id.
        """
        check_chat_id(chat_id)
        saved = await self.store.maybe_load_chat(OWNER, chat_id)
        if saved is not None and saved.chat.active_run_id is not None:
            running = await self.store.find_turn(saved.chat.active_run_id)
            plan = await self._plan(saved, request, running)
            if running is not None and isinstance(plan, Repeated) and plan.answer is None:
                run = await self.ends.find_living(running)
                if run is not None:
                    return RepeatedTurn(request=request, answer=None, run=run)
            await self._await_end(chat_id, saved.chat.active_run_id)
            saved = await self.store.maybe_load_chat(OWNER, chat_id)
        plan = await self._plan(saved, request, None)
        if isinstance(plan, Repeated):
            return await self._repeat(request, chat_id, plan)
        messages = await work_apart(partial(messages_for_model, request, plan, self.history))
        turn_id = generate_id("turn")
        return PlannedTurn(chat_id=chat_id, request=request, plan=plan, turn_id=turn_id, messages=messages)

    async def _plan(
        self, saved: SavedChat | None, request: ui.ChatRequest, running: Turn | None
    ) -> TurnPlan | Repeated:
        options: dict[str, Any] = {
            "mode": self.history,
            "running": running,
            "max_messages": self.max_messages,
            "is_client_tool": self.is_client_tool,
        }
        return await work_apart(partial(plan_request, saved, request, options))

    async def _repeat(self, request: ui.ChatRequest, chat_id: str, found: Repeated) -> RepeatedTurn:
        """Return the turn of a request that was answered.

        Raises:
            ChatError: ``conflict``: the client waits for frames that go on with its copy of a message, and they are not
                kept any more; or another answer has begun meanwhile.
        """
        answer = found.answer
        assert answer is not None
        if found.is_back:
            await self.store.choose_path(OWNER, chat_id, answer.number)
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
        begin = partial(self._begin, turn, answer)
        return respond(answer, turn.request, runs=self.runs, begin=begin, continued=turn.continued, **options)

    async def _begin(self, turn: PlannedTurn, answer: Answer, plan: RunPlan) -> str:
        """Hold the chat, begin the run that answers, and return the run's id.

        Args:
            turn: The planned turn.
            answer: The answer to save when the run has ended.
            plan: The run.

        Raises:
            ChatError: ``conflict``: another answer to the chat is in the making.
            RunError: The log of runs cannot be reached, or the server shuts down.
        """
        self.runs.check_open()
        # Only the ids: the turn would hold the chat's history for as long as the answer takes.
        chat_id, turn_id = turn.chat_id, turn.turn_id
        try:
            await self.store.begin_turn(OWNER, chat_id, turn_id, turn.plan)
        except ChatError as error:
            if error.code == "unavailable":
                # It may have begun all the same, and would hold the chat.
                self._give_up(chat_id, turn_id)
            raise
        lost = LostRun(
            turn_id=turn_id,
            wire_format=plan.wire_format,
            version=plan.dialect.version,
            is_exact=plan.dialect.exact,
            message_id=plan.message_id,
            preamble_bytes=len(plan.preamble),
        )
        try:
            handle = await self.runs.start(
                chat_id,
                plan.make,
                abort=plan.abort,
                owner=OWNER,
                headers=plan.headers,
                meta=msgspec.to_builtins(lost),
                preamble=plan.preamble,
                on_end=partial(self._save, chat_id, turn_id, answer),
                run_id=run_of(turn_id),
            )
        except RunError as error:
            await self._give_up(chat_id, turn_id)
            if error.code == "exists":
                raise ChatError("This chat is being answered.", code="conflict") from error
            raise
        except Exception:
            # No run has begun, and the chat would stay held until it counts as orphaned.
            await self._give_up(chat_id, turn_id)
            raise
        return handle.info.id

    def _give_up(self, chat_id: str, turn_id: str) -> Awaitable[bool]:
        """End a turn that has no run, now or when the database is back. Wait for the first try only if awaited."""

        async def end(_info: RunInfo) -> None:
            await self.ends.end(chat_id, turn_id, status="failed")

        info = RunInfo(id=run_of(turn_id), chat_id=chat_id, created_at=time.time())
        return self.runs.saves.add(info, end).outcome

    async def _save(self, chat_id: str, turn_id: str, answer: Answer, info: RunInfo) -> None:
        end = ending(info, answer.final)
        if not await self.ends.end(chat_id, turn_id, **end):
            logger.warning(
                "turn %s of chat %s had ended already (its chat was deleted, or another process took it for lost): "
                "what this process has made of it is not saved (%s)",
                turn_id,
                chat_id,
                end["status"],
            )

    async def _await_end(self, chat_id: str, turn_id: str) -> None:
        """Wait for the turn before, if it is ending or its process has died.

        Raises:
            RunError: ``unavailable``: this process shuts down; another one can wait.
        """
        until = time.monotonic() + STOPPING_SECONDS
        await self.runs.hurry(run_of(turn_id))
        taking_over = asyncio.create_task(self.runs.take_over(chat_id))
        try:
            # Another process may end it, which sends no event here.
            while not await self._is_over(turn_id) and (time.monotonic() < until or not taking_over.done()):
                self.runs.check_open()
                await self.runs.stop_left(chat_id)
                await asyncio.sleep(STOPPING_SECONDS / 20)
        finally:
            # Ends that have begun are finished.
            await asyncio.gather(taking_over, return_exceptions=True)

    async def _is_over(self, turn_id: str) -> bool:
        turn = await self.store.find_turn(turn_id)
        return turn is None or await self.ends.end_orphan(turn)

    async def __aenter__(self) -> Self:
        """Join the processes of the store, and begin to end turns that others have left open.

        Raises:
            ChatError: ``unavailable``.
        """
        # A shared log of runs tells which processes are alive.
        if self.is_lasting and not self.runs.log.is_shared:
            await self.store.join(self.runs.log.limits.lease, self._lose_runs)
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
        finally:
            await self.store.aclose()

    async def stop(self, chat_id: str) -> bool:
        """Stop the chat's answer, in any process. Return whether there was one.

        Raises:
            ChatError: ``conflict``: the answer is in the memory of another process, and goes on.
            RunError: ``unavailable``; never for a run of this process.
        """
        if not can_have_run(chat_id):
            return False
        if await self.runs.stop(chat_id, STOPPED):
            return True
        turn = await self._open_turn(chat_id)
        if turn is not None and self.ends.is_foreign(turn) and not await self.ends.end_orphan(turn):
            raise ChatError(
                "Another process makes this answer and cannot be told to stop: that takes USECHAT_REDIS_URL.",
                code="conflict",
                run_id=turn.run_id,
            )
        return False

    async def _open_turn(self, chat_id: str) -> Turn | None:
        try:
            chat = await self.store.get_chat(OWNER, chat_id)
        except ChatError as error:
            if error.code != "missing":
                raise
            return None
        return None if chat.active_run_id is None else await self.store.find_turn(chat.active_run_id)

    def _lose_runs(self) -> None:
        """Stop runs that other processes have ended: they are not saved here."""
        for handle in list(self.runs.handles.values()):
            handle.stop("lost")

    async def delete(self, chat_id: str) -> Chat:
        """Stop a chat's answer and remove the chat. One whose answer cannot be stopped stays: the model would go on.

        Raises:
            ChatError: There is no such chat; ``conflict``: its answer is in the memory of another process.
            RunError: ``unavailable``: its answer is made by another process, which cannot be reached now.
        """
        try:
            await self.stop(chat_id)
        except (RunError, ChatError) as error:
            turn = await self._open_turn(chat_id)
            # Of a turn that names no process, nobody knows whether it is still made: its chat could stay for an hour.
            is_unknown = turn is not None and turn.process_id is None and not self.runs.log.is_shared
            if turn is not None and not is_unknown:
                logger.warning(
                    "chat %s is not deleted: turn %s cannot be stopped: %s",
                    chat_id,
                    turn.run_id,
                    describe_outage(error),
                )
                raise
        chat = await self.store.delete_chat(OWNER, chat_id)
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


def ending(info: RunInfo, final: FinishEvent | None) -> dict[str, Any]:
    """Return the end of a run in the store's terms."""
    if final is None:
        return {"status": "failed"}
    return {
        "status": end_status(info, final),
        "message": with_tool_errors(final.ui_message, final.tool_errors) if final.ui_message.get("parts") else None,
        "usage": usage_for_major(final.usage, 7),
        "finish_reason": final.finish_reason.unified if final.finish_reason is not None else None,
    }


def end_status(info: RunInfo, final: FinishEvent) -> EndStatus:
    if final.error is not None or info.state == "failed":
        return "failed"
    if final.is_aborted or info.state == "aborted":
        return "aborted" if final.abort_reason == STOPPED else "partial"
    is_cut = final.finish_reason is None or final.finish_reason.unified == "interrupted"
    return "partial" if is_cut else "whole"


def is_no_client_tool(_name: str) -> bool:
    """Return False: without tools of an application's own, clients run none."""
    return False
