"""The runs that a process makes: each in a task of its own, whoever reads it.

Begins and ends runs, finds them for their readers and shuts them down with the process. Knows the frames as bytes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, nullcontext
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec

from usechat.errors import AnswerFailedError, RunError
from usechat.guard import Contained
from usechat.runs import ending
from usechat.runs.cursor import Cursor
from usechat.runs.handle import Make, RunHandle, make_run
from usechat.runs.log import EndState, Entry, OnRelease, RunInfo, RunLog, RunWriter
from usechat.runs.lost import LostRuns, OnLost
from usechat.runs.readers import DisconnectPolicy, Readers
from usechat.runs.saving import OnEnd, Saves

__all__ = ["DisconnectPolicy", "Make", "OnEnd", "OnLost", "RunHandle", "RunService"]

logger = logging.getLogger(__name__)

IsSaved: TypeAlias = Callable[[RunInfo], Awaitable[bool]]
FindRun: TypeAlias = Callable[[str], Awaitable[RunInfo | None]]


class RunService:
    """All runs of this process, and its share in those that others have lost.

    Args:
        log: Where runs are kept; closed by `shutdown`.
        disconnect: What becomes of a run when its last reader has left.
        grace: Seconds that a run goes on without readers, where the policy has it so.
        shutdown_timeout: Seconds that running runs get to end by themselves when the process shuts down.
        on_lost: Saves what there is of a lost run.
        keep_alive: Called with each run's task: where a platform ends a process with its last response, this tells it
            to wait.
    """

    def __init__(
        self,
        log: RunLog,
        *,
        disconnect: DisconnectPolicy = "auto",
        grace: float = 30.0,
        shutdown_timeout: float = 20.0,
        on_lost: OnLost | None = None,
        keep_alive: Callable[[asyncio.Task[EndState]], Any] | None = None,
    ) -> None:
        self.log = log
        self.shutdown_timeout = shutdown_timeout
        self.lost = LostRuns(log, on_lost)
        self.saves = Saves()
        self.on_release: OnRelease | None = None
        """Ends a stream for readers whose process goes while the run goes on elsewhere."""
        self.is_saved: IsSaved | None = None
        """Tells of a run that the log has no end of yet whether its message can be loaded already."""
        self.find_unlisted: FindRun | None = None
        """Finds a chat's running run that a shared log does not know by its chat any more."""
        self.lost.find = self.find
        self.keep_alive = keep_alive
        self.handles: dict[str, RunHandle] = {}
        """The runs that this process makes now, by their ids."""
        self.is_closing = False
        """Whether new runs are refused."""
        self.readers = Readers(log, self.handles, disconnect, grace)
        self._reaper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to look for lost runs."""
        self._reaper = asyncio.create_task(self.lost.reap_for_ever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down."""
        await self.shutdown()

    # -- runs of this process -------------------------------------------------------------------------------------

    async def start(
        self,
        chat_id: str,
        make: Make,
        *,
        abort: Callable[[str | None], None],
        owner: str = "",
        headers: Mapping[str, str] | None = None,
        meta: Mapping[str, Any] | None = None,
        preamble: bytes = b"",
        on_end: OnEnd | None = None,
        run_id: str | None = None,
    ) -> RunHandle:
        """Make a run of some frames. It begins at once, read or not.

        Args:
            chat_id: The chat that it answers in.
            make: Makes it: appends its frames to what it is given, to their legal end.
            abort: Has ``make`` come to that end, in time; called with the reason, once at most.
            owner: Whose it is, for whoever asks the log.
            headers: Of the response, for those who read the run later.
            meta: What ``on_lost`` needs, should this process die.
            preamble: Frames for those who read the run from its beginning later: the first entry of the log, which
                the first reader passes over.
            on_end: Awaited when the run has ended here. One that was taken from this process, which was paused or cut
                off from the log for too long, is given to ``on_lost`` elsewhere, too: who saves decides which counts.
            run_id: The run's id, where the caller wants to know it beforehand.

        Raises:
            RunError: ``exists``: the chat has a run already; ``unavailable``: the log cannot be reached, or this
                process shuts down. ``make`` was not called then.
        """
        fields: dict[str, Any] = {} if run_id is None else {"run_id": run_id}
        writer = await self._open(chat_id, owner=owner, headers=headers or {}, meta=meta or {}, **fields)
        handle = RunHandle(writer, abort)
        self.handles[handle.info.id] = handle
        if preamble:
            writer.append(preamble)
        handle.task = asyncio.create_task(self._produce(handle, make, on_end))
        self.readers.expect(handle)
        if self.keep_alive is not None:
            try:
                with Contained():
                    self.keep_alive(handle.task)
            except Exception:
                # The run is being made, and its reader is to get it.
                logger.exception("keep_alive failed")
        return handle

    async def _open(self, chat_id: str, **fields: Any) -> RunWriter:
        self.check_open()
        try:
            return await self.log.open(chat_id, **fields)
        except RunError as error:
            if error.code != "exists" or not await self.take_over(chat_id):
                raise
        return await self.log.open(chat_id, **fields)

    async def _produce(self, handle: RunHandle, make: Make, on_end: OnEnd | None) -> EndState:
        try:
            state = await make_run(handle, make)
            with Contained():
                is_ours = await handle.writer.finish(state, lambda: self._save(handle, state, on_end))
        except asyncio.CancelledError:
            if not handle.is_made:
                async with asyncio.timeout(ending.ABORT_SECONDS):
                    await handle.writer.finish("failed", lambda: self._save(handle, "failed", on_end))
            raise
        except Exception:
            logger.exception("a run could not be ended")
            return "failed"
        finally:
            handle.is_over = True
            handle.clear_timer()
            del self.handles[handle.info.id]
        return state if is_ours else "lost"

    async def _save(self, handle: RunHandle, state: EndState, on_end: OnEnd | None) -> bool:
        if on_end is not None and handle.is_saved is None:
            info = msgspec.structs.replace(handle.info, state=state)
            handle.is_saved = await self.saves.save(info, on_end)
        handle.is_made = True
        return handle.is_saved is not False

    def check_open(self) -> None:
        """See that new runs are taken.

        Raises:
            RunError: ``unavailable``: this process shuts down.
        """
        if self.is_closing:
            raise RunError("this process shuts down", code="unavailable")

    # -- readers --------------------------------------------------------------------------------------------------

    async def read(
        self, run_id: str, after: int = 0, *, comes_back: bool = False, raises_failure: bool = False
    ) -> AsyncGenerator[Entry]:
        """Yield a run's frames, as they come, to its end; counts as a reader until it is closed.

        Args:
            run_id: The run, of this process or any other.
            after: The cursor to go on from: that of the last entry the reader has.
            comes_back: Whether the reader, when cut, goes on in another process. `close` cuts it then.
            raises_failure: Whether to raise at the end of a run that has failed, whose frames do not say so.

        Raises:
            RunError: ``missing``: it is not kept any more; ``unavailable``: the log, or this process, is going away.
            AnswerFailedError: It has failed.
        """
        handle = self.readers.come(run_id)
        try:
            with self.readers.coming_back(run_id) if comes_back else nullcontext():
                async with aclosing(self.log.read(run_id, after)) as entries:
                    async for entry in entries:
                        yield entry
                if raises_failure:
                    await self._check(run_id, handle)
        finally:
            self.readers.leave(handle)

    async def _check(self, run_id: str, handle: RunHandle | None) -> None:
        if handle is not None and handle.failure is not None:
            raise handle.failure
        info = await self.log.get(run_id)
        if info is not None and info.state in {"failed", "lost"}:
            raise AnswerFailedError("An error occurred.")

    async def resume(self, chat_id: str, cursor: Cursor | None = None) -> RunInfo | None:
        """Return the run that a client which asks for its chat's stream is to read; None when there is nothing to read.

        Without a cursor that is the running one, until its message is saved: a client that was loaded after that has
        the message, and would show it twice. A client that has a cursor goes on with the run that it names, and may
        have missed that one's end.

        Raises:
            RunError: ``unavailable``.
        """
        await self.log.note_resume(chat_id)
        if cursor is None:
            info = await self.find(chat_id)
            if info is None or info.state != "running" or (self.is_saved is not None and await self.is_saved(info)):
                return None
            return info
        if cursor.is_end:
            return None
        if cursor.run_id is None:
            return await self.find(chat_id)
        info = await self.log.get(cursor.run_id) or await self._find_unlisted(chat_id)
        if info is not None and info.id != cursor.run_id:
            return None
        return info if info is not None and info.chat_id == chat_id else None

    async def find(self, chat_id: str) -> RunInfo | None:
        """Return the newest run of a chat, while it is kept.

        Raises:
            RunError: ``unavailable``.
        """
        return await self.log.find(chat_id) or await self._find_unlisted(chat_id)

    async def _find_unlisted(self, chat_id: str) -> RunInfo | None:
        if self.find_unlisted is None or not self.log.is_shared:
            return None
        return await self.find_unlisted(chat_id)

    async def stop(self, chat_id: str, reason: str | None = None) -> bool:
        """Have the chat's run end now, wherever it is made; whether there was one.

        Raises:
            RunError: ``unavailable``; never for a run of this process.
        """
        own = [handle for handle in self.handles.values() if handle.info.chat_id == chat_id]
        for handle in own:
            handle.stop(reason)
        if own:
            return True
        info = await self.find(chat_id)
        return info is not None and info.state == "running" and await self.log.stop(info.id, reason)

    async def stop_run(self, run_id: str, reason: str | None = None) -> bool:
        """Have this very run end now, wherever it is made; whether it was still running.

        Raises:
            RunError: ``unavailable``; never for a run of this process.
        """
        handle = self.handles.get(run_id)
        if handle is None:
            return await self.log.stop(run_id, reason)
        handle.stop(reason)
        return True

    # -- lost runs ------------------------------------------------------------------------------------------------

    async def reap(self) -> int:
        """End the runs whose producers have died, wherever; how many this call ended.

        Raises:
            RunError: ``unavailable``.
        """
        return await self.lost.reap()

    async def take_over(self, chat_id: str) -> bool:
        """See that no dead producer holds a chat, which may take some seconds; False when a living one does.

        Raises:
            RunError: ``unavailable``.
        """
        return await self.lost.take_over(chat_id)

    # -- the end --------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Take no new runs, and cut those who read others' runs here and can come back elsewhere."""
        self.is_closing = self.lost.is_closing = True
        self.readers.cut_those_who_come_back()

    def release_readers(self) -> None:
        """Have who reads other processes' runs here read elsewhere; who cannot gets a legal end."""
        if self.on_release is not None:
            self.readers.spawn(self._release_readers(self.on_release))

    async def _release_readers(self, end: OnRelease) -> None:
        try:
            await self.log.release_readers(end)
        except RunError:
            logger.warning("the run log cannot be reached")

    async def shutdown(self) -> None:
        """Take no new runs, let the running ones end or stop them, and close the log.

        Readers of this process' runs get a legal end; those of others' get `RunError` ``unavailable``.
        """
        self.close()
        if self._reaper is not None:
            self._reaper.cancel()
        await ending.end_runs(self.handles, self.saves, self.shutdown_timeout)
        deciding = list(self.readers.tasks)
        for task in deciding:
            task.cancel()
        await asyncio.gather(*deciding, return_exceptions=True)
        await self.log.aclose()
