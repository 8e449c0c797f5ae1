"""Ends turns exactly once: in the process that made the answer or, when that has died, in another one.

The store decides which process ended a turn (`ChatStore.finish_turn`), and that one tells the application. Three kinds
of turns are orphaned: turns of lost runs, which the run log reports; turns whose process died before the run began, or
whose run the log has lost; and turns whose end could not be saved while the log still has their frames.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeAlias

import msgspec

from usechat.answers.answer import FinishEvent
from usechat.chats.store import ChatStore, Turn
from usechat.chats.tool_errors import split_tool_errors, with_tool_errors
from usechat.chats.tree import EndStatus, UIMessage
from usechat.conversations.lost.runs import Ending, LostRun, end_frames, end_lost_run
from usechat.errors import ChatError, RunError
from usechat.guard import Contained, describe_outage, traceback_of
from usechat.ids import generate_id
from usechat.parts import Abort, Error, Part
from usechat.protocol.options import MASKED_ERROR
from usechat.protocol.usage import usage_for_major
from usechat.runs.handle import RunHandle
from usechat.runs.log import RunInfo, RunLog, RunState
from usechat.runs.reader import STOPPED

__all__ = ["OnFinish", "TurnEnd", "TurnEnds", "ending", "run_of"]

logger = logging.getLogger(__name__)

SHUTDOWN: Final = Abort("shutdown")
ENDED: Final[Mapping[RunState, EndStatus]] = {"aborted": "partial", "failed": "failed"}
TELL_SECONDS: Final = 30.0
"""Seconds that an answer's end waits for the application's ``on_finish``."""
TELLING: Final[set[asyncio.Task[None]]] = set()
"""Running tasks: the event loop keeps no task alive."""
ALONE_SECONDS: Final = 3600.0
"""Age in seconds at which a turn of an unknown process counts as orphaned: of an older version, or of a serverless
platform."""
FIND_SECONDS: Final = 2.0
"""Seconds to look for the run of an open turn: a log that has lost a run gets it back when the producer renews, each
second."""
RELEASE_SECONDS: Final = 0.5
"""Seconds to look for what a stream continues, when its readers have to go."""


def run_of(turn_id: str) -> str:
    """Return the id of a turn's run."""
    return f"run-{turn_id.removeprefix('turn-')}"


class TurnEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an answer to a saved chat."""

    owner: str
    chat_id: str
    turn_id: str
    status: EndStatus
    message: UIMessage | None = None
    """The assistant's message, whole or partial; None when there is none."""
    usage: Any = None
    """The usage of this answer, with the AI SDK's names; None when its process died."""
    finish_reason: str | None = None
    load: Callable[[], Awaitable[list[UIMessage]]] | None = None
    """Loads `messages`; None for an end that a test has made."""

    @property
    async def messages(self) -> list[UIMessage]:
        """The messages up to this answer, with it, as ``useChat`` holds them. Loaded from the store when awaited.

        Raises:
            ChatError: The chat is not there any more, or the store cannot be read.
        """
        if self.load is None:
            return [] if self.message is None else [self.message]
        return await self.load()


OnFinish: TypeAlias = Callable[[TurnEnd], "Awaitable[None] | None"]
"""Called once for each answer's end, in one process, when the answer is saved."""


class TurnEnds:
    """End turns.

    Args:
        store: The store of the chats.
        log: The log of the runs.
        on_finish: Called for each end.
    """

    def __init__(self, store: ChatStore, log: RunLog, on_finish: OnFinish | None = None) -> None:
        self.store = store
        self.log = log
        self.on_finish = on_finish
        self._unsure: dict[str, str] = {}
        """The ids of failed attempts, by turn."""
        self._suspected: dict[str, float] = {}
        """When each turn was first seen without a run, on the event loop's clock."""

    async def end(
        self, owner: str, chat_id: str, turn_id: str, on_finish: OnFinish | None = None, /, **ending: Any
    ) -> bool:
        """End a turn. Return whether this call ended it.

        Args:
            owner: The chat's owner.
            chat_id: The turn's chat.
            turn_id: The turn.
            on_finish: Called after the one of all answers.
            ending: The arguments of `ChatStore.finish_turn`.
        """
        attempt = self._unsure.pop(turn_id, None) or generate_id()
        try:
            is_ours = await self.store.finish_turn(turn_id, **ending, attempt=attempt)
        except BaseException:
            # It may be saved all the same. The next try here finds out.
            self._unsure[turn_id] = attempt
            raise
        if not is_ours:
            return False
        logger.info("turn %s of chat %s ended: %s", turn_id, chat_id, ending["status"])
        told = [one for one in (self.on_finish, on_finish) if one is not None]
        if told and ending.get("message") is not None:
            ending["message"] = split_tool_errors(ending["message"])[0]
        load = partial(self._load_messages, owner, chat_id, turn_id)
        for one in told:
            await tell(one, TurnEnd(owner=owner, chat_id=chat_id, turn_id=turn_id, load=load, **ending))
        return True

    async def _load_messages(self, owner: str, chat_id: str, turn_id: str) -> list[UIMessage]:
        tree = (await self.store.load_chat(owner, chat_id)).tree
        leaf = next((message.number for message in reversed(tree.messages) if message.run_id == turn_id), None)
        if leaf is None and (turn := await self.store.find_turn(turn_id)) is not None:
            # It has brought no message, or another answer has gone on with it.
            leaf = turn.parent if turn.continues is None else turn.continues
        return [message.message for message in tree.path_to(leaf)]

    async def end_lost(self, info: RunInfo, frames: bytes) -> bytes:
        """Save a lost run and return the frames that end it for its readers."""
        lost = msgspec.convert(info.meta, LostRun)
        continued = await self.continued(await self.store.find_turn(lost.turn_id))
        ending = end_lost_run(lost, frames, continued)
        await self.end(info.owner, info.chat_id, lost.turn_id, status=ending.status, message=ending.message)
        return ending.frames

    async def end_for_readers(self, info: RunInfo, frames: bytes, last: Part = SHUTDOWN) -> bytes:
        """Return the frames that end a run for readers here, while another process has it; ``last`` tells why."""
        lost = msgspec.convert(info.meta, LostRun)
        continued = None
        # Without the message that it continues, a stream still has its end.
        with suppress(ChatError, TimeoutError):
            async with asyncio.timeout(RELEASE_SECONDS):
                continued = await self.continued(await self.store.find_turn(lost.turn_id))
        return end_frames(lost, frames, continued, last)

    async def end_gone(self, info: RunInfo, frames: bytes) -> bytes:
        """Return the frames that end a run for readers when the log has lost the rest."""
        lost = msgspec.convert(info.meta, LostRun)
        continued = await self.continued(await self.store.find_turn(lost.turn_id))
        return end_frames(lost, frames, continued, Error(MASKED_ERROR))

    async def find_run(self, chat_id: str, owner: str | None = None) -> RunInfo | None:
        """Return the run of a chat's open turn, which the log may not find by its chat.

        Args:
            chat_id: The chat.
            owner: Its owner; None to look through the open turns of all.

        Raises:
            RunError: ``unavailable``.
            ChatError: The chat is another owner's.
        """
        until = time.monotonic() + min(self.log.limits.lease, FIND_SECONDS)
        while True:
            try:
                turn = await self._find_open_turn(chat_id, owner)
            except ChatError as error:
                if error.code == "unavailable":
                    raise RunError(str(error), code="unavailable") from error
                if error.code == "missing":
                    return None
                raise
            if turn is None or self.is_foreign(turn):
                return None
            info = await self.log.get(run_of(turn.run_id))
            if info is not None or time.monotonic() > until:
                return info
            await asyncio.sleep(FIND_SECONDS / 20)

    async def _find_open_turn(self, chat_id: str, owner: str | None) -> Turn | None:
        if owner is None:
            return next((turn for turn in await self.store.open_turns() if turn.chat_id == chat_id), None)
        turn_id = (await self.store.get_chat(owner, chat_id)).active_run_id
        turn = None if turn_id is None else await self.store.find_turn(turn_id)
        return turn if turn is not None and turn.is_open else None

    async def is_saved(self, info: RunInfo) -> bool:
        """Return whether the turn of a run has ended, even if the run's log has no end yet."""
        try:
            turn = await self._find_turn_of(info)
        except ChatError:
            return False
        return turn is not None and not turn.is_open

    async def _find_turn_of(self, info: RunInfo) -> Turn | None:
        turn_id = info.meta.get("turn_id")
        # An application may keep runs of its own in the same log.
        return None if turn_id is None else await self.store.find_turn(turn_id)

    async def is_newest(self, info: RunInfo) -> bool:
        """Return whether no later turn of its chat has begun than that of a run, in any process.

        Of a running one this is taken for granted while the store is away.

        Raises:
            RunError: ``unavailable``.
        """
        try:
            turn = await self._find_turn_of(info)
            if turn is None or turn.is_open:
                return turn is not None or "turn_id" not in info.meta
            chat = await self.store.get_chat(info.owner, info.chat_id)
        except ChatError as error:
            if error.code != "unavailable":
                # The chat was deleted.
                return False
            if info.state == "running":
                return True
            raise RunError(str(error), code="unavailable") from error
        # Not by the order of times: the clocks of two machines differ. A store may not tell when a turn ended.
        return chat.active_run_id is None and turn.ended_at in (None, chat.updated_at)

    async def is_taken(self, info: RunInfo, handle: RunHandle | None) -> bool:
        """Return whether another process has a run that has ended here; ``handle`` is the one of this process."""
        if handle is not None:
            return handle.writer.is_taken
        # Its saving is tried again, and it may have been taken since.
        try:
            known = await self.log.get(info.id)
        except RunError:
            return False
        return known is not None and known.token != info.token

    async def continued(self, turn: Turn | None) -> UIMessage | None:
        """Return the stored message that a turn continues.

        Raises:
            ChatError: ``unavailable``: the store cannot be read.
        """
        if turn is None or turn.continues is None:
            return None
        try:
            saved = await self.store.load_chat(turn.owner, turn.chat_id)
        except ChatError as error:
            if error.code == "unavailable":
                raise
            return None
        message = saved.tree[turn.continues]
        return with_tool_errors(message.message, message.tool_errors)

    async def end_orphans_for_ever(self) -> None:
        """Look for orphaned turns, now and from time to time."""
        while True:
            try:
                await self.end_orphans()
            except Exception as error:
                logger.warning(
                    "turns without a run could not be ended; it is tried again in %g s: %s",
                    self.log.limits.lease / 2,
                    describe_outage(error),
                    exc_info=traceback_of(error),
                )
            await asyncio.sleep(self.log.limits.lease / 2)

    async def end_orphans(self) -> None:
        """End the orphaned turns.

        Raises:
            RunError: ``unavailable``.
        """
        turns = await self.store.open_turns()
        opened = {turn.run_id for turn in turns}
        self._suspected = {turn_id: since for turn_id, since in self._suspected.items() if turn_id in opened}
        # Asked once for each process.
        named = {turn.process_id for turn in turns if turn.process_id is not None and self.is_foreign(turn)}
        dead = {process_id: await self.store.is_dead(process_id) for process_id in named}
        # All at once: of ten thousand running answers, each process would ask for each by itself.
        living = await self.log.living()
        for turn in turns:
            if run_of(turn.run_id) in living:
                self._suspected.pop(turn.run_id, None)
            else:
                await self.end_orphan(turn, dead)

    async def end_orphan(self, turn: Turn, dead: Mapping[str, bool] | None = None) -> bool:
        """End a turn if it is orphaned. Return whether it has ended.

        Args:
            turn: The turn.
            dead: Processes that are known to be dead or alive.

        Raises:
            ChatError: ``unavailable``.
            RunError: ``unavailable``.
        """
        if not turn.is_open:
            return True
        try:
            run = await self._find_run_of(turn)
            is_alive = await self._is_alive(run)
        except RunError:
            # A producer could not restore its run meanwhile.
            self._suspected.pop(turn.run_id, None)
            raise
        if is_alive:
            self._suspected.pop(turn.run_id, None)
            return False
        if not await self._is_orphan(turn, dead or {}):
            return False
        taken: Sequence[RunInfo] = ()
        if run is not None and run.state == "running":
            taken = await self.log.take_lost(run.id)
            if not taken:
                return False
        ending = Ending("lost", None) if run is None else await self._read_ending(turn, run)
        await self.end(turn.owner, turn.chat_id, turn.run_id, status=ending.status, message=ending.message)
        for info in taken:
            await self.log.end_lost(info, ending.frames)
        return True

    async def find_living(self, turn: Turn) -> RunInfo | None:
        """Return the run of an open turn while its producer is alive.

        Raises:
            RunError: ``unavailable``.
        """
        run = await self._find_run_of(turn)
        return run if await self._is_alive(run) else None

    async def _find_run_of(self, turn: Turn) -> RunInfo | None:
        info = await self.log.find(turn.chat_id)
        if info is not None and info.meta.get("turn_id") == turn.run_id:
            return info
        return await self.log.get(run_of(turn.run_id))

    async def _is_alive(self, run: RunInfo | None) -> bool:
        # A running run without a lease is not alive: Redis has lost the lease, and a living producer renews it soon.
        return run is not None and run.state == "running" and await self.log.seconds_silent(run.id) is not None

    def is_foreign(self, turn: Turn) -> bool:
        """Return whether the turn's run is in the memory of another process."""
        if turn.process_id is None:
            return not self.log.is_shared
        return turn.process_id != self.store.process_id

    async def _is_orphan(self, turn: Turn, dead: Mapping[str, bool]) -> bool:
        """Return whether a turn without a run is orphaned: no run will begin, and no process will save one."""
        if self.is_foreign(turn):
            if turn.process_id is None:
                return time.time() - turn.began_at > ALONE_SECONDS
            known = dead.get(turn.process_id)
            return await self.store.is_dead(turn.process_id) if known is None else known
        # A turn begins before its run and ends after it; a producer restores a run that the log has lost; a failed save
        # is tried again. Each takes less than a lease.
        now = asyncio.get_running_loop().time()
        if now - self._suspected.setdefault(turn.run_id, now) < self.log.limits.lease:
            return False
        # An answer that its maker saves again keeps its usage, which its frames may lack.
        return self.log.on_hurry is None or not self.log.on_hurry(run_of(turn.run_id))

    async def _read_ending(self, turn: Turn, run: RunInfo) -> Ending:
        frames = await self.log.frames(run.id)
        ending = end_lost_run(msgspec.convert(run.meta, LostRun), frames, await self.continued(turn))
        # The log tells how a run ended. Not every format does.
        return msgspec.structs.replace(ending, status=ENDED.get(run.state, ending.status))


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


async def tell(on_finish: OnFinish, end: TurnEnd) -> None:
    telling = asyncio.create_task(call(on_finish, end))
    TELLING.add(telling)
    telling.add_done_callback(TELLING.discard)
    # Readers wait for this.
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
