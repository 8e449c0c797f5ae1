"""How turns end, exactly once: by the process that made the answer or, when that has died, by whoever notices.

The store decides who it was (`ChatStore.finish_turn`), and that one tells the application. Three kinds of turns have
nobody to end them: those of lost runs, which the run log tells of; those whose process died before their run began or
whose run the log has lost; and those whose end could not be saved, while the log still has what they made.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

from usechat.chats.store import ChatStore, EndStatus, Turn, UIMessage
from usechat.chats.tool_errors import split_tool_errors, with_tool_errors
from usechat.errors import ChatError, RunError
from usechat.guard import Contained
from usechat.ids import generate_id
from usechat.parts import Abort, Error
from usechat.protocol.options import MASKED_ERROR
from usechat.runs.log import RunInfo, RunLog, RunState
from usechat.server.answering.lost_runs import Ending, LostRun, end_frames, end_lost_run

__all__ = ["OnFinish", "TurnEnd", "TurnEnds", "run_of"]

logger = logging.getLogger(__name__)

ENDED: Final[Mapping[RunState, EndStatus]] = {"aborted": "partial", "failed": "failed"}
TELL_SECONDS: Final = 30.0
"""How long an answer's end waits for the application to take note of it."""
TELLING: Final[set[asyncio.Task[None]]] = set()
"""The event loop itself keeps no task alive."""
ALONE_SECONDS: Final = 3600.0
"""How old a turn has to be to count as orphaned where it may be that of a process of which nothing can be known: one of
an older version, or a serverless platform's."""


FIND_SECONDS: Final = 2.0
"""How long a run is looked for whose turn is open: a log that has lost it gets it back with its producer's next sign of
life, each second."""


def run_of(turn_id: str) -> str:
    """Return the id of the run that answers in a turn."""
    return f"run-{turn_id.removeprefix('turn-')}"


class TurnEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer to a saved chat ended, and what is saved of it."""

    chat_id: str
    turn_id: str
    status: EndStatus
    message: UIMessage | None = None
    """The assistant's message, whole or partial; None when there is none."""
    usage: Any = None
    """Of this answer, with the AI SDK's names; None for one whose process died."""
    finish_reason: str | None = None


OnFinish: TypeAlias = Callable[[TurnEnd], "Awaitable[None] | None"]
"""Told of each answer's end once, in one process of all: when it is saved."""


class TurnEnds:
    """Ends turns.

    Args:
        store: Where they are kept.
        log: Where their runs are.
        on_finish: Told of each end.
    """

    def __init__(self, store: ChatStore, log: RunLog, on_finish: OnFinish | None = None) -> None:
        self.store = store
        self.log = log
        self.on_finish = on_finish
        self._unsure: dict[str, str] = {}
        """The attempts to end turns that failed."""
        self._suspected: dict[str, float] = {}
        """Since when turns have been seen without a run, on the event loop's clock."""

    async def end(self, chat_id: str, turn_id: str, **ending: Any) -> bool:
        """End a turn; whether it was this call that did.

        Args:
            chat_id: The turn's chat.
            turn_id: The turn.
            ending: The arguments of `ChatStore.finish_turn`.
        """
        attempt = self._unsure.pop(turn_id, None) or generate_id()
        try:
            is_ours = await self.store.finish_turn(turn_id, **ending, attempt=attempt)
        except BaseException:
            # It may have been kept all the same. Who tries again here finds out, and tells then.
            self._unsure[turn_id] = attempt
            raise
        if not is_ours:
            return False
        logger.info("turn %s of chat %s ended: %s", turn_id, chat_id, ending["status"])
        if self.on_finish is not None:
            if ending.get("message") is not None:
                ending["message"] = split_tool_errors(ending["message"])[0]
            await tell(self.on_finish, TurnEnd(chat_id=chat_id, turn_id=turn_id, **ending))
        return True

    async def end_lost(self, info: RunInfo, frames: bytes) -> bytes:
        """Save what there is of a run whose process died; the frames that end it for its readers."""
        lost = msgspec.convert(info.meta, LostRun)
        continued = await self.continued(await self.store.find_turn(lost.turn_id))
        ending = end_lost_run(lost, frames, continued)
        await self.end(info.chat_id, lost.turn_id, status=ending.status, message=ending.message)
        return ending.frames

    async def end_for_readers(self, info: RunInfo, frames: bytes) -> bytes:
        """Return the frames that end a run for readers whose process goes, while the run goes on elsewhere."""
        lost = msgspec.convert(info.meta, LostRun)
        continued = await self.continued(await self.store.find_turn(lost.turn_id))
        return end_frames(lost, frames, continued, Abort("shutdown"))

    async def end_gone(self, info: RunInfo, frames: bytes) -> bytes:
        """Return the frames that end a run for readers that cannot read the rest: the log has lost it."""
        lost = msgspec.convert(info.meta, LostRun)
        continued = await self.continued(await self.store.find_turn(lost.turn_id))
        return end_frames(lost, frames, continued, Error(MASKED_ERROR))

    async def find_run(self, chat_id: str) -> RunInfo | None:
        """Return the run of a chat's open turn, which the log does not know by its chat.

        Raises:
            RunError: ``unavailable``.
        """
        until = time.monotonic() + min(self.log.limits.lease, FIND_SECONDS)
        while True:
            try:
                turns = await self.store.open_turns()
            except ChatError:
                logger.warning("the chats cannot be reached")
                return None
            turn = next((turn for turn in turns if turn.chat_id == chat_id), None)
            if turn is None:
                return None
            info = await self.log.get(run_of(turn.run_id))
            if info is not None or time.monotonic() > until:
                return info
            await asyncio.sleep(FIND_SECONDS / 20)

    async def is_saved(self, info: RunInfo) -> bool:
        """Return whether the turn of a run has ended, though the run's log may not say so yet."""
        try:
            turn = await self.store.find_turn(msgspec.convert(info.meta, LostRun).turn_id)
        except ChatError:
            logger.warning("the chats cannot be reached")
            return False
        return turn is not None and not turn.is_open

    async def continued(self, turn: Turn | None) -> UIMessage | None:
        """Return the stored message that a turn goes on with.

        Raises:
            ChatError: ``unavailable``: it cannot be known now.
        """
        if turn is None or turn.continues is None:
            return None
        try:
            saved = await self.store.load_chat(turn.owner, turn.chat_id)
        except ChatError as error:
            if error.code == "unavailable":
                raise
            return None
        found = (one for one in saved.messages if one.id == turn.continues)
        return next((with_tool_errors(one.message, one.tool_errors) for one in found), None)

    # -- orphans --------------------------------------------------------------------------------------------------

    async def end_orphans_for_ever(self) -> None:
        """Look for turns that have nobody to end them, from the start on."""
        while True:
            try:
                await self.end_orphans()
            except RunError:
                logger.warning("the run log cannot be reached")
            except Exception:
                logger.exception("turns without a run could not be ended")
            await asyncio.sleep(self.log.limits.lease / 2)

    async def end_orphans(self) -> None:
        """End those that there are now.

        Raises:
            RunError: ``unavailable``.
        """
        turns = await self.store.open_turns()
        opened = {turn.run_id for turn in turns}
        self._suspected = {turn_id: since for turn_id, since in self._suspected.items() if turn_id in opened}
        # Once for each process, however many turns it has.
        named = {turn.process_id for turn in turns if turn.process_id is not None and self.is_foreign(turn)}
        dead = {process_id: await self.store.is_dead(process_id) for process_id in named}
        for turn in turns:
            await self.end_orphan(turn, dead)

    async def end_orphan(self, turn: Turn, dead: Mapping[str, bool] | None = None) -> bool:
        """End a turn that has nobody to end it; whether it is over.

        Args:
            turn: The turn.
            dead: Which processes have died, where that is known already.

        Raises:
            ChatError: ``unavailable``.
            RunError: ``unavailable``.
        """
        if not turn.is_open:
            return True
        try:
            run = await self._find_run_of(turn)
            is_running = run is not None and run.state == "running"
            # One that runs without a lease is nobody's to take: Redis has lost that, and it comes back with the next
            # sign of life.
            is_alive = run is not None and is_running and await self.log.seconds_silent(run.id) is not None
        except RunError:
            # A producer could not bring its run back meanwhile.
            self._suspected.pop(turn.run_id, None)
            raise
        if is_alive:
            self._suspected.pop(turn.run_id, None)
            return False
        if not await self._is_orphan(turn, dead or {}):
            return False
        taken = await self.log.reap(run.id) if run is not None and is_running else ()
        if is_running and not taken:
            return False
        ending = Ending("lost", None) if run is None else await self._read_ending(turn, run)
        await self.end(turn.chat_id, turn.run_id, status=ending.status, message=ending.message)
        for info in taken:
            await self.log.adopt(info, ending.frames)
        return True

    async def _find_run_of(self, turn: Turn) -> RunInfo | None:
        info = await self.log.find(turn.chat_id)
        if info is not None and info.meta.get("turn_id") == turn.run_id:
            return info
        return await self.log.get(run_of(turn.run_id))

    def is_foreign(self, turn: Turn) -> bool:
        """Return whether the turn's run is in the memory of another process."""
        if turn.process_id is None:
            return not self.log.is_shared
        return turn.process_id != self.store.process_id

    async def _is_orphan(self, turn: Turn, dead: Mapping[str, bool]) -> bool:
        """Return whether a turn without a run will not get one any more, nor anybody save what its run has made."""
        if self.is_foreign(turn):
            if turn.process_id is None:
                return time.time() - turn.began_at > ALONE_SECONDS
            known = dead.get(turn.process_id)
            return await self.store.is_dead(turn.process_id) if known is None else known
        # A turn begins a moment before its run and ends a moment after it; a log that has lost a run gets it back from
        # its producer; and who could not save one tries again. Each takes less than a lease.
        now = asyncio.get_running_loop().time()
        return now - self._suspected.setdefault(turn.run_id, now) >= self.log.limits.lease

    async def _read_ending(self, turn: Turn, run: RunInfo) -> Ending:
        frames = await self.log.frames(run.id)
        ending = end_lost_run(msgspec.convert(run.meta, LostRun), frames, await self.continued(turn))
        # Not every format says in its frames how it ended; the log does.
        return msgspec.structs.replace(ending, status=ENDED.get(run.state, ending.status))


async def tell(on_finish: OnFinish, end: TurnEnd) -> None:
    telling = asyncio.create_task(call(on_finish, end))
    TELLING.add(telling)
    telling.add_done_callback(TELLING.discard)
    # The answer's readers wait for this.
    _, late = await asyncio.wait({telling}, timeout=TELL_SECONDS)
    if late:
        logger.warning("on_finish has not returned in %g seconds: the answer ends without it", TELL_SECONDS)


async def call(on_finish: OnFinish, end: TurnEnd) -> None:
    try:
        with Contained():
            told = on_finish(end)
            if inspect.isawaitable(told):
                await told
    except Exception:
        logger.exception("on_finish failed")
