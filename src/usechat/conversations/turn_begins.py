"""Begins turns: holds the chat in the store, and begins the run that answers. Saves the answer when the run has ended.

A turn that was begun is ended in any case, also when its run cannot begin (`usechat.conversations.turn_ends`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from usechat.answers.answer import Answer
from usechat.chats.store import ChatStore
from usechat.conversations.held_runs import HeldRuns
from usechat.conversations.lost.runs import LostRun, kept_fields
from usechat.conversations.planning import PlannedTurn
from usechat.conversations.titles import Titles
from usechat.conversations.turn_ends import OnFinish, TurnEnds, ending, run_of
from usechat.errors import ChatError, RunError
from usechat.http.new_run import RunPlan
from usechat.runs.log import RunInfo
from usechat.runs.service import RunService

__all__ = ["TurnBegins"]

logger = logging.getLogger(__name__)


class TurnBegins:
    """Begin turns.

    Args:
        store: The store of the chats.
        runs: Makes the runs.
        held: Knows whether this process is seen by the others.
        ends: Ends the turns.
        titles: Makes the titles of new chats.
    """

    def __init__(self, store: ChatStore, runs: RunService, held: HeldRuns, ends: TurnEnds, titles: Titles) -> None:
        self.store = store
        self.runs = runs
        self.held = held
        self.ends = ends
        self.titles = titles
        self.keeps_lost_answers = False
        """Whether other processes go on with the answers of a dead one."""
        self.name_asker: Callable[[], str | None] = lambda: None
        """Returns what these need to know of the request that is being answered."""

    async def begin(self, turn: PlannedTurn, answer: Answer, plan: RunPlan) -> str:
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
        owner, chat_id, turn_id = turn.owner, turn.chat_id, turn.turn_id
        try:
            process_id = await self.held.sure()
            chat = await self.store.begin_turn(owner, chat_id, turn_id, turn.plan)
        except ChatError as error:
            if error.code == "unavailable":
                # It may have begun all the same, and would hold the chat.
                self._give_up(owner, chat_id, turn_id)
            raise
        finally:
            if turn.leave_line is not None:
                await turn.leave_line()
        try:
            self.held.check(process_id)
            handle = await self.runs.start(
                chat_id,
                plan.make,
                abort=plan.abort,
                owner=owner,
                headers=plan.headers,
                meta=msgspec.to_builtins(self._describe_run(turn, plan)),
                preamble=plan.preamble,
                on_end=partial(self.save, chat_id, turn_id, answer, turn.on_finish),
                run_id=run_of(turn_id),
            )
        except RunError as error:
            await self._give_up(owner, chat_id, turn_id)
            if error.code == "exists":
                raise ChatError("This chat is being answered.", code="conflict") from error
            raise
        except Exception:
            # No run has begun, and the chat would stay held until it counts as orphaned.
            await self._give_up(owner, chat_id, turn_id)
            raise
        if turn.title is not None and turn.plan.revision == 0:
            self.runs.keep(self.titles.begin(chat, turn.title))
        return handle.info.id

    def _describe_run(self, turn: PlannedTurn, plan: RunPlan) -> LostRun:
        """Return what another process has to know of a run, in case this one dies."""
        return LostRun(
            turn_id=turn.turn_id,
            wire_format=plan.wire_format,
            version=plan.dialect.version,
            is_exact=plan.dialect.exact,
            message_id=plan.message_id,
            preamble_bytes=len(plan.preamble),
            answering=turn.answering,
            fields=kept_fields(turn.request) if self.keeps_lost_answers else None,
            asker=self.name_asker() if self.keeps_lost_answers else None,
        )

    def _give_up(self, owner: str, chat_id: str, turn_id: str) -> Awaitable[bool]:
        """End a turn that has no run, now or when the database is back. Wait for the first try only if awaited."""

        async def end(_info: RunInfo) -> None:
            await self.ends.end(owner, chat_id, turn_id, status="failed")

        info = RunInfo(id=run_of(turn_id), chat_id=chat_id, owner=owner, created_at=time.time())
        return self.runs.saves.add(info, end).outcome

    async def save(self, chat_id: str, turn_id: str, answer: Answer, on_finish: OnFinish | None, info: RunInfo) -> None:
        """Save the answer of a run that has ended here, unless another process goes on with it."""
        if self.keeps_lost_answers and await self.ends.is_taken(info, self.runs.handles.get(info.id)):
            logger.warning(
                "turn %s of chat %s goes on in another process: this one was taken for dead", turn_id, chat_id
            )
            return
        end = ending(info, answer.final)
        if not await self.ends.end(info.owner, chat_id, turn_id, on_finish, **end):
            logger.warning(
                "turn %s of chat %s had ended already (its chat was deleted, or another process took it for lost): "
                "what this process has made of it is not saved (%s)",
                turn_id,
                chat_id,
                end["status"],
            )
