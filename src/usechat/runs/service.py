"""The service that makes the runs of a process, each in its own task.

Begins and ends runs, finds them for their readers and shuts them down with the process. Knows the frames as bytes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing, nullcontext, suppress
from types import TracebackType
from typing import Any, Self, TypeAlias

import msgspec

from usechat.errors import RunError
from usechat.guard import Contained, describe_outage
from usechat.runs import ending
from usechat.runs.cursor import Cursor
from usechat.runs.failure import raise_failure
from usechat.runs.handle import Make, RunHandle, make_run
from usechat.runs.log import EndState, Entry, OnRelease, RunInfo, RunLog, RunWriter, refuse_others_run
from usechat.runs.lost import LostRuns, OnLost
from usechat.runs.readers import ASKING_SECONDS, DisconnectPolicy, Readers
from usechat.runs.saving import OnEnd, Saves

__all__ = ["DisconnectPolicy", "Make", "OnEnd", "OnLost", "RunHandle", "RunService"]

logger = logging.getLogger(__name__)

IsSaved: TypeAlias = Callable[[RunInfo], Awaitable[bool]]
FindRun: TypeAlias = Callable[[str, str | None], Awaitable[RunInfo | None]]
CheckOwner: TypeAlias = Callable[[str, str], Awaitable[None]]


class RunService:
    """Makes, finds and ends the runs of this process, and ends the runs of dead processes.

    Args:
        log: The log of the runs. `shutdown` closes it.
        disconnect: The policy for a run whose last reader has left: ``grace``, ``cancel``, ``finish`` or ``auto``.
            ``auto`` needs to be told, by `note_asked`, when a page loads a chat.
        grace: Seconds that a run goes on without readers, for the policies that use it.
        asking: For ``auto``: seconds that a run goes on, at least, in case somebody asks for its chat.
        shutdown_timeout: Seconds that running runs get to end by themselves when the process shuts down.
        on_lost: Saves a lost run.
        keep_alive: Called with each run's task, so that a platform that ends a process with its last response waits.
    """

    def __init__(
        self,
        log: RunLog,
        *,
        disconnect: DisconnectPolicy = "grace",
        grace: float = 30.0,
        asking: float = ASKING_SECONDS,
        shutdown_timeout: float = 20.0,
        on_lost: OnLost | None = None,
        keep_alive: Callable[[asyncio.Task[Any]], Any] | None = None,
    ) -> None:
        self.log = log
        self.shutdown_timeout = shutdown_timeout
        self.lost = LostRuns(log, on_lost, self._find_open)
        self.saves = Saves()
        self.on_release: OnRelease | None = None
        """Ends a stream for readers whose process shuts down while the run goes on in another."""
        self.is_saved: IsSaved | None = None
        """Tells whether the message of a run without an end in the log can be loaded already."""
        self.is_newest: IsSaved | None = None
        """Tells whether an ended run is its chat's newest: this log may not know what another process made after it."""
        self.find_open: FindRun | None = None
        """Gets a chat and its owner, if known; finds its open run, which a shared log may not know by its chat."""
        self.check_owner: CheckOwner | None = None
        """Gets an owner and a chat without a run, and raises when the chat is another owner's."""
        log.on_hurry = self.saves.hurry
        self.keep_alive = keep_alive
        self.handles: dict[str, RunHandle] = {}
        """The runs that this process is making, by id."""
        self.is_closing = False
        """Whether new runs are refused."""
        self.readers = Readers(log, self.handles, disconnect, grace, asking)
        self._watching: asyncio.Task[None] | None = None
        self._closed_at: float | None = None

    async def __aenter__(self) -> Self:
        """Begin to watch for lost runs."""
        self._watching = asyncio.create_task(self.lost.watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down."""
        await self.shutdown()

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
        """Begin a run at once, whether it is read or not.

        Args:
            chat_id: The chat of the run.
            make: Makes the run: appends its frames to the handle, to their legal end.
            abort: Ends ``make`` early. Called with the reason, at most once.
            owner: The owner of the run.
            headers: The response's headers, for later readers.
            meta: Data for ``on_lost``, in case this process dies.
            preamble: Frames for later readers from the beginning: the first entry of the log, which the first reader
                skips.
            on_end: Awaited when the run has ended here. One that another process took, because this one was paused, is
                given to ``on_lost`` there as well: whoever saves decides which one counts.
            run_id: The run's id, if the caller makes it.

        Raises:
            RunError: ``exists``: the chat has a run already; ``unavailable``: the log cannot be reached, or this
                process shuts down. Then ``make`` was not called.
        """
        writer = await self._open(chat_id, owner=owner, headers=headers or {}, meta=meta or {}, run_id=run_id)
        if preamble:
            writer.append(preamble)
        return self.make(writer, make, abort=abort, on_end=on_end)

    def make(
        self, writer: RunWriter, make: Make, *, abort: Callable[[str | None], None], on_end: OnEnd | None = None
    ) -> RunHandle:
        """Make a run that the log has begun, or goes on with. The arguments are those of `start`."""
        handle = RunHandle(writer, abort)
        self.handles[handle.info.id] = handle
        handle.task = asyncio.create_task(self._produce(handle, make, on_end))
        self.readers.expect(handle)
        self.keep(handle.task)
        return handle

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Have the platform wait for a task, where it ends a process with its last response."""
        if self.keep_alive is None:
            return
        try:
            with Contained():
                self.keep_alive(task)
        except Exception:
            # What was begun goes on, and its reader must get it.
            logger.exception("keep_alive failed")

    async def _open(self, chat_id: str, **fields: Any) -> RunWriter:
        self.check_open()
        try:
            return await self.log.open(chat_id, **fields)
        except RunError as error:
            if error.code != "exists" or not await self.take_over(chat_id, fields["owner"]):
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
            logger.exception("run %s of chat %s could not be ended", handle.info.id, handle.info.chat_id)
            return "failed"
        finally:
            handle.close()
            # This process may have been taken for dead, and have the run again by now.
            if self.handles.get(handle.info.id) is handle:
                del self.handles[handle.info.id]
        return state if is_ours else "lost"

    async def _save(self, handle: RunHandle, state: EndState, on_end: OnEnd | None) -> bool:
        if on_end is not None and handle.is_saved is None:
            info = msgspec.structs.replace(handle.info, state=state)
            handle.is_saved = await self.saves.save(info, on_end)
        handle.is_made = True
        return handle.is_saved is not False

    def check_open(self) -> None:
        """Raise unless new runs are accepted.

        Raises:
            RunError: ``unavailable``: this process shuts down.
        """
        if self.is_closing:
            raise RunError("this process shuts down", code="unavailable")

    async def read(
        self, run_id: str, after: int = 0, *, comes_back: bool = False, raises_failure: bool = False
    ) -> AsyncGenerator[Entry]:
        """Yield a run's frames, as they come, to its end. The generator counts as a reader until it is closed.

        Args:
            run_id: The run, of this process or any other.
            after: The cursor of the last entry that the reader has.
            comes_back: Whether a reader that is cut resumes in another process. Then `close` cuts it.
            raises_failure: Whether to raise at the end of a failed run whose frames do not tell it.

        Raises:
            RunError: ``missing``: the run is not kept any more; ``unavailable``: the log or this process is shutting
                down.
            AnswerFailedError: The run has failed.
        """
        handle = self.readers.come(run_id)
        try:
            with self.readers.coming_back(run_id) if comes_back else nullcontext():
                async with aclosing(self.log.read(run_id, after)) as entries:
                    async for entry in entries:
                        yield entry
                if raises_failure:
                    await raise_failure(self, run_id, handle)
        finally:
            self.readers.leave(handle)

    async def resume(self, chat_id: str, cursor: Cursor | None = None, *, owner: str | None = None) -> RunInfo | None:
        """Return the run that a resuming client must read; None when there is nothing to read.

        Without a cursor that is the running run, until its message is saved: a client that was loaded after that has
        the message and would show it twice. A client with a cursor continues the run that the cursor names, and may
        have missed its end.

        With an owner, the run of another owner's chat counts as missing. Without one, whoever knows the chat's id reads
        its run.

        Raises:
            RunError: ``unavailable``; ``missing``: the run is another owner's.
            ChatError: The chat is another owner's.
        """
        info = await self._find_resumed(chat_id, cursor, owner)
        if info is not None:
            refuse_others_run(owner, info)
        elif owner is not None and self.check_owner is not None:
            await self.check_owner(owner, chat_id)
        # Not earlier: a stranger's request must not keep an answer going.
        await self.log.note_resume(chat_id)
        return info

    async def _find_resumed(self, chat_id: str, cursor: Cursor | None, owner: str | None) -> RunInfo | None:
        if cursor is None:
            return await self._find_running(chat_id, owner)
        if cursor.is_end:
            return None
        if cursor.run_id is None:
            return await self._find_newest(chat_id, owner)
        info = await self.log.get(cursor.run_id) or await self._find_open(chat_id, owner)
        return info if info is not None and (info.id, info.chat_id) == (cursor.run_id, chat_id) else None

    async def _find_newest(self, chat_id: str, owner: str | None) -> RunInfo | None:
        info = await self.find(chat_id, owner)
        if info is not None and self.is_newest is not None and not await self.is_newest(info):
            # The next turn may be about to begin its run.
            info = None if self.find_open is None else await self.find_open(chat_id, owner)
        return None if info is None else await self.log.get(info.id)

    async def note_asked(self, chat_id: str) -> None:
        """Note that somebody loads a chat which is being answered, as a reloaded page does before it resumes.

        With the policy ``auto`` the chat's run then goes on as if its stream had been asked for.
        """
        if self.readers.disconnect == "auto" and self.readers.asking:
            # While the log is away, no run is stopped for want of readers.
            with suppress(RunError):
                await self.log.note_asked(chat_id, 2 * self.readers.asking)

    async def stop_left(self, chat_id: str, owner: str | None = None) -> None:
        """Stop the chat's run, in any process, if its readers have left and nobody has asked for its stream.

        For a client that goes on with the chat: a plain ``useChat`` stops an answer by leaving it.
        """
        if self.readers.disconnect != "auto":
            return
        with suppress(RunError):
            info = await self.find(chat_id, owner)
            if info is not None and info.state == "running":
                await self.log.stop_left(info, "disconnected")

    async def _find_running(self, chat_id: str, owner: str | None) -> RunInfo | None:
        states = ("running", "lost") if self.lost.on_resume else ("running",)  # that one may go on
        info = await self.log.find(chat_id)
        if info is None or info.state not in states or await self._is_over(info):
            info = await self._find_open(chat_id, owner)
        return info if info is not None and info.state in states else None

    async def _is_over(self, info: RunInfo) -> bool:
        return self.is_saved is not None and await self.is_saved(info)

    async def find(self, chat_id: str, owner: str | None = None) -> RunInfo | None:
        """Return the newest run of a chat that the log knows, while it is kept.

        Args:
            chat_id: The chat.
            owner: Its owner, if the caller knows one: then that chat alone is looked up.

        Raises:
            RunError: ``unavailable``.
            ChatError: The chat is another owner's.
        """
        return await self.log.find(chat_id) or await self._find_open(chat_id, owner)

    async def _find_open(self, chat_id: str, owner: str | None) -> RunInfo | None:
        # A Redis that has lost a key, or its last second, knows no run of the chat, or an earlier one.
        if self.find_open is None or not self.log.is_shared:
            return None
        return await self.find_open(chat_id, owner)

    async def stop(self, chat_id: str, reason: str | None = None, *, owner: str | None = None) -> bool:
        """End the chat's run now, in any process. Return whether there was one.

        Args:
            chat_id: The chat.
            reason: Told to the run's readers.
            owner: Whose run it must be; None for anybody's.

        Raises:
            RunError: ``unavailable``; never for a run of this process. ``missing``: the run is another owner's.
            ChatError: The chat is another owner's.
        """
        handles = self.handles.values()
        own = [handle for handle in handles if handle.info.chat_id == chat_id and not handle.writer.is_taken]
        for handle in own:
            refuse_others_run(owner, handle.info)
            handle.stop(reason)
        if own:
            return True
        # At once, before the database is asked whether it is this one that runs.
        info = await self.log.find(chat_id)
        has_stopped = await self._stop_unended(info, reason, owner)
        if info is None or not has_stopped or await self._is_over(info):
            info = await self._find_open(chat_id, owner)
            has_stopped = await self._stop_unended(info, reason, owner) or has_stopped
        return has_stopped

    async def _stop_unended(self, info: RunInfo | None, reason: str | None, owner: str | None) -> bool:
        # One that was taken from a dead process may go on in another one.
        if info is None or info.state not in ("running", "lost"):
            return False
        refuse_others_run(owner, info)
        if info.id in self.handles and not self.log.is_shared:
            # It was taken from this process, where alone it is known.
            return False
        return await self.log.stop(info.id, reason)

    async def stop_run(self, run_id: str, reason: str | None = None) -> bool:
        """End this run now, in any process. Return whether it was still running.

        Raises:
            RunError: ``unavailable``; never for a run of this process.
        """
        handle = self.handles.get(run_id)
        if handle is None:
            return await self.log.stop(run_id, reason)
        handle.stop(reason)
        return True

    async def hurry(self, run_id: str) -> None:
        """Have a run that has ended be saved now, in any process, if its saving failed and is to be tried again."""
        if not self.saves.hurry(run_id):
            with suppress(RunError):
                await self.log.hurry(run_id)

    async def take_over(self, chat_id: str, owner: str | None = None) -> bool:
        """Free a chat from a dead producer, which may take some seconds. Return False when a living one holds it.

        Raises:
            RunError: ``unavailable``.
        """
        return await self.lost.take_over(chat_id, owner)

    def close(self) -> None:
        """Refuse new runs. Cut readers of other processes' runs that can resume in another process."""
        self.is_closing = self.lost.is_closing = True
        self._closed_at = self._closed_at or time.monotonic()
        self.readers.cut_those_who_come_back()

    def release_readers(self) -> None:
        """Cut readers of other processes' runs that can resume elsewhere. Give the others a legal end.

        Readers of this process' runs wait no longer for the database and the log: it is about to end.
        """
        self.saves.leave()
        if self.on_release is not None:
            self.readers.spawn(self._release_readers(self.on_release))

    async def _release_readers(self, end: OnRelease) -> None:
        try:
            await self.log.release_readers(end)
        except RunError as error:
            logger.warning("readers of other processes' runs may be cut without an end: %s", describe_outage(error))

    async def shutdown(self) -> None:
        """Refuse new runs, let running ones end or stop them, and close the log. What hangs is left.

        Readers of this process' runs get a legal end; those of others' get `RunError` ``unavailable``.
        """
        self.close()
        if self._watching is not None:
            self._watching.cancel()
        assert self._closed_at is not None
        # The time since `close` counts: runs may have been told to stop already.
        left = max(self._closed_at + self.shutdown_timeout - time.monotonic(), 0.0)
        await ending.end_runs(self.handles, self.saves, left)
        deciding = list(self.readers.tasks)
        for task in deciding:
            task.cancel()
        await asyncio.gather(*deciding, return_exceptions=True)
        await self.log.aclose()
