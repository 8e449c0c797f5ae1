"""The runs that a process makes: each in a task of its own, whoever reads it.

Knows when a run ends early (somebody stops it, all its readers have left, the process shuts down) and that it always
ends legally: the frames' generator is asked to stop and what it yields then is the end. Knows the frames as bytes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import aclosing, contextmanager
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import msgspec

from usechat.errors import RunError
from usechat.guard import Contained
from usechat.runs.base import EndState, Entry, OnRelease, RunInfo, RunLog, RunWriter
from usechat.runs.cursor import Cursor
from usechat.runs.lost import LostRuns, OnLost
from usechat.runs.saving import OnEnd, Saves

__all__ = ["DisconnectPolicy", "Make", "OnEnd", "OnLost", "RunHandle", "RunService"]

logger = logging.getLogger(__name__)

DisconnectPolicy: TypeAlias = Literal["auto", "cancel", "finish", "grace"]
"""What becomes of a run when the last reader in its own process has left. ``cancel``: it is stopped at once;
``finish``: it goes on; ``grace``: it is stopped when nobody, in any process, has come back for some time; ``auto``:
``grace`` if anybody ever asked for the chat's stream, as clients do that come back, and ``cancel`` otherwise."""

Make: TypeAlias = Callable[["RunHandle"], Awaitable[None]]
"""Makes a run: appends its frames to the handle, and returns after the last ones."""

IsSaved: TypeAlias = Callable[[RunInfo], Awaitable[bool]]
FindRun: TypeAlias = Callable[[str], Awaitable[RunInfo | None]]

ABORT_SECONDS = 5.0
"""How long a run may take for its legal end when the process shuts down."""
LOG_SECONDS = 1.0
"""How long the log may then take to take note of ends that are saved."""
LOOK_SECONDS = 0.05
"""How often a process that shuts down looks whether its runs are made."""


class RunHandle:
    """A run that this process makes.

    Args:
        writer: The hold on its log.
        abort: Asks the frames' generator for a legal end.
    """

    __slots__ = (
        "_abort",
        "is_made",
        "is_over",
        "is_saved",
        "is_stopped",
        "readers",
        "stop_reason",
        "task",
        "timer",
        "writer",
    )

    def __init__(self, writer: RunWriter, abort: Callable[[str | None], None]) -> None:
        self.writer = writer
        self.readers = 0
        """Of this process."""
        self.is_stopped = False
        self.stop_reason: str | None = None
        self.is_saved: bool | None = None
        """Whether it could be saved, once that was tried."""
        self.task: asyncio.Task[EndState] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.is_made = False
        """Whether it has its end and was saved, or could not be: all that is left is that the log takes note of it."""
        self.is_over = False
        """Whether nothing more comes of it."""
        self._abort = abort
        writer.on_stop = self._heed

    @property
    def info(self) -> RunInfo:
        """The run as it is now."""
        return self.writer.info

    def stop(self, reason: str | None = None) -> None:
        """Have the run end now; does nothing the second time."""
        if self.is_stopped:
            return
        self.is_stopped = True
        self.stop_reason = reason
        try:
            self._abort(reason)
        except Exception:
            logger.exception("stopping a run failed")

    def _heed(self) -> None:
        # Later: who asks may be in the middle of writing.
        asyncio.get_running_loop().call_soon(self._stop_as_asked)

    def _stop_as_asked(self) -> None:
        if not self.is_over:
            self.stop(self.writer.stop_reason)

    is_full = False
    """A log takes whatever comes, whoever reads it."""

    def append(self, data: bytes) -> None:
        """Write frames to the log; what it does not take stops the run."""
        try:
            self.writer.append(data)
        except RunError as error:
            # What does not fit is left out; smaller frames after it, the legal end among them, may fit again.
            self.stop("full" if error.code == "full" else "lost")

    async def room(self) -> None:
        """There always is."""

    def end(self, error: Exception | None = None) -> None:
        """Take note that the frames are all there.

        Raises:
            Exception: ``error``, which makes the run a failed one.
        """
        if error is not None:
            raise error

    async def wait(self) -> EndState:
        """How the run ended, once it has; ``lost`` when it was taken from this process."""
        assert self.task is not None
        return await asyncio.shield(self.task)

    def clear_timer(self) -> None:
        """Somebody reads the run, or it is over."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


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
        self.disconnect: DisconnectPolicy = disconnect
        self.grace = grace
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
        self._coming_back: set[asyncio.Task[Any]] = set()
        self.keep_alive = keep_alive
        self.handles: dict[str, RunHandle] = {}
        """The runs that this process makes now, by their ids."""
        self.is_closing = False
        """Whether new runs are refused."""
        self._tasks: set[asyncio.Task[None]] = set()
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
        if self.disconnect != "finish":
            # A reader that left before it began to read has nobody to tell of it.
            self._wait_for_readers(handle, self.grace)
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
            state = await run(handle, make)
            with Contained():
                is_ours = await handle.writer.finish(state, lambda: self._save(handle, state, on_end))
        except asyncio.CancelledError:
            if not handle.is_made:
                async with asyncio.timeout(ABORT_SECONDS):
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

    async def read(self, run_id: str, after: int = 0) -> AsyncGenerator[Entry]:
        """A run's frames, as they come, to its end; counts as a reader until it is closed.

        Args:
            run_id: The run, of this process or any other.
            after: The cursor to go on from: that of the last entry the reader has.

        Raises:
            RunError: ``missing``: it is not kept any more; ``unavailable``: the log, or this process, is going away.
        """
        handle = self.reader_comes(run_id)
        try:
            async with aclosing(self.log.read(run_id, after)) as entries:
                async for entry in entries:
                    yield entry
        finally:
            self.reader_leaves(handle)

    def reader_comes(self, run_id: str) -> RunHandle | None:
        """Count a reader who takes the run from the log by himself; the handle that `reader_leaves` wants."""
        handle = self.handles.get(run_id)
        if handle is not None:
            handle.readers += 1
            handle.clear_timer()
        return handle

    def reader_leaves(self, handle: RunHandle | None) -> None:
        """He reads no more."""
        if handle is not None:
            handle.readers -= 1
            self._reader_left(handle)

    async def resume(self, chat_id: str, cursor: Cursor | None = None) -> RunInfo | None:
        """The run that a client which asks for its chat's stream is to read; None when there is nothing to read.

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
        """The newest run of a chat, while it is kept.

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

    def _reader_left(self, handle: RunHandle) -> None:
        if handle.readers or handle.info.state != "running":
            return
        match self.disconnect:
            case "cancel":
                handle.stop("disconnected")
            case "grace":
                self._wait_for_readers(handle, self.grace)
            case "auto":
                self._spawn(self._choose(handle))
            case "finish":
                pass

    async def _choose(self, handle: RunHandle) -> None:
        try:
            comes_back = await self.log.was_resumed(handle.info.chat_id)
        except RunError:
            comes_back = True
        if handle.readers == 0:
            if comes_back:
                self._wait_for_readers(handle, self.grace)
            else:
                handle.stop("disconnected")

    def _wait_for_readers(self, handle: RunHandle, seconds: float) -> None:
        handle.clear_timer()
        loop = asyncio.get_running_loop()
        handle.timer = loop.call_later(seconds, lambda: self._spawn(self._give_up(handle)))

    async def _give_up(self, handle: RunHandle) -> None:
        """Stop the run, unless somebody has come, here or to another process."""
        try:
            unread = await self.log.seconds_unread(handle.info.id)
        except RunError:
            unread = 0.0
        if handle.readers or handle.info.state != "running":
            return
        if unread < self.grace:
            self._wait_for_readers(handle, self.grace - unread)
        else:
            handle.stop("disconnected")

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        for task in list(self._coming_back):
            task.cancel()

    @contextmanager
    def coming_back(self, run_id: str) -> Generator[None]:
        """While the current task reads a run for somebody who, when cut, goes on where that was."""
        task = asyncio.current_task()
        if task is None or run_id in self.handles:
            yield
            return
        self._coming_back.add(task)
        try:
            yield
        finally:
            self._coming_back.discard(task)

    def release_readers(self) -> None:
        """Have who reads other processes' runs here read elsewhere; who cannot gets a legal end."""
        if self.on_release is not None:
            self._spawn(self._release_readers(self.on_release))

    async def _release_readers(self, end: OnRelease) -> None:
        try:
            await self.log.release_readers(end)
        except RunError:
            logger.warning("the run log cannot be reached")

    def stop_all(self) -> None:
        """Stop the runs of this process; each still gets a legal end."""
        for handle in list(self.handles.values()):
            handle.stop("shutdown")

    async def shutdown(self) -> None:
        """Take no new runs, let the running ones end or stop them, and close the log.

        Readers of this process' runs get a legal end; those of others' get `RunError` ``unavailable``.
        """
        self.close()
        if self._reaper is not None:
            self._reaper.cancel()
        await self._wait_for_answers(self.shutdown_timeout)
        self.stop_all()
        await self._wait_for_answers(ABORT_SECONDS)
        # A log that is away may take for ever to know of their ends. They are saved.
        if tasks := self._run_tasks():
            await asyncio.wait(tasks, timeout=LOG_SECONDS)
        await self.saves.aclose(ABORT_SECONDS)
        left: list[asyncio.Task[Any]] = [
            *self._tasks,
            *(handle.task for handle in self.handles.values() if handle.task is not None),
        ]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.log.aclose()

    async def _wait_for_answers(self, seconds: float) -> None:
        """Wait until the runs are made, for so long at most."""
        until = time.monotonic() + seconds
        while (tasks := self._run_tasks(is_made=False)) and (left := until - time.monotonic()) > 0:
            await asyncio.wait(tasks, timeout=min(left, LOOK_SECONDS))

    def _run_tasks(self, *, is_made: bool | None = None) -> list[asyncio.Task[EndState]]:
        handles = [handle for handle in self.handles.values() if is_made is None or handle.is_made == is_made]
        return [handle.task for handle in handles if handle.task is not None]


async def run(handle: RunHandle, make: Make) -> EndState:
    """Have a run made; return how that ended."""
    try:
        with Contained():
            await make(handle)
    except Exception:
        logger.exception("a run failed")
        return "failed"
    return "aborted" if handle.is_stopped else "finished"
