"""Runs and the protocol of a run log, which the logs in memory and on Redis implement.

A run is one answer in the making: it has an id, a chat, an owner and a fencing token, and a log of frames that only
grows. One producer writes it; the first response, a resume after a reload and a second tab are all readers of it.

Rule 1: a run ends once, in one of `END_STATES`, and nothing is written after that.
Rule 2: a producer writes only while it holds the run's token. A producer that was paused for longer than its lease has
lost the run to another process, and cannot write once it learns so.
Rule 3: a reader sees every entry after its cursor once, in order, and then the last frames of a lost run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from usechat.errors import RunError
from usechat.runs.line import Line

__all__ = [
    "END_STATES",
    "EndState",
    "Entry",
    "Limits",
    "OnRelease",
    "RunInfo",
    "RunLog",
    "RunState",
    "RunWriter",
    "Save",
    "refuse_others_run",
]

EndState: TypeAlias = Literal["finished", "aborted", "failed", "lost"]
RunState: TypeAlias = Literal["running"] | EndState

Save: TypeAlias = Callable[[], Awaitable[bool]]
"""Saves the answer of a run. Returns whether it was saved."""

END_STATES: tuple[EndState, ...] = ("finished", "aborted", "failed", "lost")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of what a log keeps, and for how long."""

    max_entries: int = 200_000
    """Entries of one run; each write is one entry. At the limit the producer is asked to stop."""
    max_bytes: int = 32 * 2**20
    """Bytes of one run. At the limit the producer is asked to stop."""
    slack_entries: int = 1_000
    """Entries that may still be written after a limit, so that the run gets its legal end."""
    slack_bytes: int = 2**20
    """Bytes that may still be written after a limit."""
    lease: float = 15.0
    """Seconds without a renewal after which a producer counts as dead and another process ends its run."""
    silence: float = 5.0
    """Seconds without a renewal after which a process that needs the chat may take the run.

    At most ``lease``. A producer renews five times in this time.
    """
    keep: float = 600.0
    """Seconds that an ended run can still be read."""
    max_ended: int = 20_000
    """The most ended runs that are kept; those that ended first go first. Running ones are always kept."""
    max_ended_bytes: int = 128 * 2**20
    """The most bytes of all ended runs' frames. The last one to end is kept even if it is larger."""
    retain: float = 86_400.0
    """Seconds that a run is kept whose producer died, until another process ends it, or that could not be saved."""
    remember: float = 30 * 86_400.0
    """Seconds for which a chat's client counts as one that resumes."""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run without its frames."""

    id: str
    chat_id: str
    owner: str = ""
    token: int = 0
    """Grows with each run of a chat, and when a run is taken from its producer; only its holder may write."""
    state: RunState = "running"
    created_at: float
    """Seconds since the epoch."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """The response's headers, for later readers."""
    meta: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """The application's data for ending the run in its producer's place; plain JSON."""


def refuse_others_run(owner: str | None, info: RunInfo) -> None:
    """Refuse a run that is another owner's; None refuses no run.

    Raises:
        RunError: ``missing``: as if it were not there, in the words for a chat that is not.
    """
    if owner is not None and info.owner != owner:
        raise RunError("There is no such chat.", code="missing")


class Entry(msgspec.Struct, frozen=True):
    """Some frames, and the reader's place after them."""

    cursor: int
    """The number of entries up to here."""
    data: bytes
    is_end: bool = False
    """Whether these are last frames by another process than the producer."""
    is_cut: bool = False
    """Whether the rest of a large entry follows. Its reader's place is before it until the rest has come."""


class RunWriter(Protocol):
    """A producer's hold on its run.

    Implemented by: `usechat.runs.memory.run.MemoryRun`, `usechat.runs.redis.own_run.RedisRun`.
    """

    @property
    def info(self) -> RunInfo:
        """The run."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether the producer must stop: it was asked to, a limit is met, or it has lost the run.

        After that it may only append the run's legal end.
        """
        ...

    on_stop: Callable[[], None] | None
    """Called once when `is_stopped` becomes true or the run ends, if it is set by then."""

    @property
    def stop_reason(self) -> str | None:
        """The reason to stop: the one of the request, ``full`` at a limit, or ``lost``."""
        ...

    @property
    def is_taken(self) -> bool:
        """Whether another process is known to have the run now. It ends it."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the producer must call no model and no tool before it has awaited `room`.

        So it is after a process stood still: the run may be another one's by now.
        """
        ...

    async def room(self) -> None:
        """Wait until it is known whose the run is, for some seconds at most."""
        ...

    def append(self, data: bytes) -> None:
        """Append frames without waiting. Readers of this process see them at once, others with the next flush.

        Raises:
            RunError: ``fenced``: another process has the run, or it has ended; ``full``: the slack after a limit is
                used up.
        """
        ...

    async def finish(self, state: EndState, save: Save | None = None) -> bool:
        """End the run. Return whether this producer ended it.

        Args:
            state: How it ended.
            save: Awaited before any reader sees the end. It may run although another process has ended this run: it
                must check that itself. When it returns False, the log keeps the run for longer.
        """
        ...


OnRelease: TypeAlias = Callable[[RunInfo, bytes], Awaitable[bytes]]
"""Gets a run of another process and the frames that its readers here have. Returns a legal end for them."""


class RunLog(Protocol):
    """A log of runs. All methods but ``aclose`` raise `RunError` ``unavailable`` when the log cannot be reached.

    Implemented by: `usechat.runs.memory.log.MemoryLog`, `usechat.runs.redis.log.RedisLog`.
    """

    @property
    def limits(self) -> Limits:
        """The limits of what is kept."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether the log has the runs of all processes and outlives them."""
        ...

    @property
    def line(self) -> Line:
        """Who waits for a chat."""
        ...

    on_gone: OnRelease | None
    """Returns the end of a run whose remaining frames are lost, in the log and in every process.

    Without it, reading such a run fails as ``missing``.
    """

    async def open(
        self,
        chat_id: str,
        *,
        owner: str,
        headers: Mapping[str, str],
        meta: Mapping[str, Any],
        run_id: str | None = None,
    ) -> RunWriter:
        """Begin a run. The arguments are kept as they are: many runs can share ``headers``.

        A ``run_id`` of the caller's making finds the run even when the log no longer knows it by its chat. Without one
        the log makes an id.

        Raises:
            RunError: ``exists``: the chat has a running run.
        """
        ...

    async def find(self, chat_id: str) -> RunInfo | None:
        """Return the newest run of a chat, while it is kept."""
        ...

    async def get(self, run_id: str) -> RunInfo | None:
        """Return a run, while its frames are kept."""
        ...

    def read(self, run_id: str, after: int = 0) -> AsyncGenerator[Entry]:
        """Read the run's frames after ``after``, as they come, to its end. Wait while the log is away.

        Args:
            run_id: The run.
            after: The cursor to read from.

        Raises:
            RunError: ``missing``: there is no such run, or it is not kept any more; ``unavailable``: this process
                shuts down.
        """
        ...

    async def frames(self, run_id: str) -> bytes:
        """Return all frames that the run has now, without waiting for more; empty when it is not kept any more."""
        ...

    async def stop(self, run_id: str, reason: str | None = None) -> bool:
        """Ask the run's producer, in any process, to stop. Return whether the run was still running."""
        ...

    on_hurry: Callable[[str], object] | None
    """Called with the id of a run that ended here and that somebody waits for to be saved."""

    async def hurry(self, run_id: str) -> None:
        """Tell the other processes that somebody waits for this run to be saved."""
        ...

    async def note_resume(self, chat_id: str) -> None:
        """Remember that a reader asked for this chat's stream, so its client resumes."""
        ...

    async def note_asked(self, chat_id: str, seconds: float) -> None:
        """Remember for some seconds that somebody asked for this chat, so its client may resume."""
        ...

    async def was_asked(self, chat_id: str) -> bool:
        """Return whether somebody is known to have asked for this chat's stream, or for the chat a short time ago."""
        ...

    async def note_left(self, run_id: str) -> None:
        """Remember that the run's readers have left it."""
        ...

    async def stop_left(self, info: RunInfo, reason: str | None = None) -> bool:
        """Stop the run, as `stop` does, if its readers have left and nobody has asked for the chat's stream."""
        ...

    async def seconds_unread(self, run_id: str) -> float:
        """Return the seconds since another process read the run, or up to a third of a lease less."""
        ...

    async def seconds_silent(self, run_id: str) -> float | None:
        """Return the seconds since the run's producer last renewed its lease; None when no producer holds the run."""
        ...

    async def living(self) -> Collection[str]:
        """Return the ids of all runs that a process holds: it makes them, or ends them in a dead producer's place."""
        ...

    async def take_lost(self, run_id: str | None = None) -> Sequence[RunInfo]:
        """Take the runs whose producers have died, or the named run when it is silent, and mark them ``lost``.

        Each run goes to one caller, which has the time of a lease to end it with `end_lost`. When that caller dies, the
        run goes to another one, with a new token.
        """
        ...

    async def end_lost(self, info: RunInfo, data: bytes = b"") -> bool:
        """End a run of `take_lost`, with last frames for its readers. Return False when another process has it."""
        ...

    async def resume(self, info: RunInfo, meta: Mapping[str, Any]) -> RunWriter | None:
        """Go on with a run of `take_lost` in this process. Return None when it must be ended with `end_lost`.

        Readers in all processes then get what the new producer writes after what they have.

        Args:
            info: The run.
            meta: Replaces the run's own.
        """
        ...

    async def release_readers(self, end: OnRelease) -> None:
        """Give readers here of other processes' runs a legal end. The runs go on."""
        ...

    async def aclose(self) -> None:
        """Close connections and end tasks. Waiting readers get `RunError` ``unavailable``."""
        ...
