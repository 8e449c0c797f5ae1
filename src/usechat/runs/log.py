"""A run and its log: what the in-memory log and the one on Redis both are.

A run is one answer in the making: it has an id, a chat, an owner and a fencing token, and a log of frames that only
grows. One producer writes it; the first response, a resume after a reload and a second tab are all readers of it.

Rule 1: a run ends once, in one of `END_STATES`, and nothing is written after that.
Rule 2: a producer writes only while it holds the run's token. One that was paused for longer than its lease has lost
the run to whoever noticed, and can write no more once it learns so.
Rule 3: a reader sees every entry once, in order, from wherever it begins, and then the last frames of a lost run.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

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
]

EndState: TypeAlias = Literal["finished", "aborted", "failed", "lost"]
RunState: TypeAlias = Literal["running"] | EndState

Save: TypeAlias = Callable[[], Awaitable[bool]]
"""Saves what a run has made; whether it could."""

END_STATES: tuple[EndState, ...] = ("finished", "aborted", "failed", "lost")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much a log keeps, and for how long."""

    max_entries: int = 200_000
    """Of one run; an entry is what one write brought. At the limit the producer is asked to stop."""
    max_bytes: int = 32 * 2**20
    """Of one run, likewise."""
    slack_entries: int = 1_000
    """What may still be written after a limit is met, so that the run gets its legal end."""
    slack_bytes: int = 2**20
    """Likewise."""
    lease: float = 15.0
    """Seconds without a sign of life after which a producer counts as dead, and its run is ended by who notices."""
    silence: float = 5.0
    """Seconds without one after which somebody who needs the chat may take the run already. No more than the lease; a
    producer gives its sign at a fifth of them."""
    keep: float = 60.0
    """Seconds that an ended run can still be read, for readers that are on their way."""
    max_ended: int = 5_000
    """How many ended runs the log in memory keeps for them; with more, the ones that ended first go earlier. Running
    ones are always kept."""
    max_ended_bytes: int = 64 * 2**20
    """Of all ended runs, likewise; the last one to end is kept even if it is larger."""
    retain: float = 86_400.0
    """Seconds that a run is kept whose producer died, until somebody notices and ends it; likewise one that has ended
    and could not be saved."""
    remember: float = 30 * 86_400.0
    """Seconds for which a chat counts as one whose client comes back."""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a run beside its frames."""

    id: str
    chat_id: str
    owner: str = ""
    token: int = 0
    """Grows with each run of a chat, and when a run is taken from its producer; only its holder may write."""
    state: RunState = "running"
    created_at: float
    """Seconds since the epoch."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """Of the response, for whoever reads the run later."""
    meta: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """What the application needs to end the run in its producer's place; plain JSON."""


class Entry(msgspec.Struct, frozen=True):
    """Some frames, and where a reader stands after them."""

    cursor: int
    """The number of entries up to here."""
    data: bytes
    is_end: bool = False
    """Whether these are the last frames, given to a run by whoever ended it in its producer's place."""


class RunWriter(Protocol):
    """A producer's hold on its run."""

    @property
    def info(self) -> RunInfo:
        """The run."""
        ...

    @property
    def is_stopped(self) -> bool:
        """Whether somebody asked the producer to stop, a limit is met, or the run is not its own any more.

        What it still appends after that is the run's legal end.
        """
        ...

    on_stop: Callable[[], None] | None
    """Called once when it becomes so, or the run has ended, if it is set by then."""

    @property
    def stop_reason(self) -> str | None:
        """Why: what the one who asked said; ``full`` at a limit, ``lost`` when the run was taken away."""
        ...

    def append(self, data: bytes) -> None:
        """Add frames. Readers of this process see them at once, others with the next flush; never waits.

        Raises:
            RunError: ``fenced``: the run belongs to somebody else by now, or has ended; ``full``: the slack after a
                limit is used up too.
        """
        ...

    async def finish(self, state: EndState, save: Save | None = None) -> bool:
        """End the run; whether it was this producer that ended it.

        Args:
            state: How.
            save: Awaited before any reader sees the end: what a reader looks for after the end is there. It is awaited
                also while the log is away and when the run was taken from this producer, and has to find out itself
                whether somebody else has saved the run. What it could not save is kept for longer.
        """
        ...


OnRelease: TypeAlias = Callable[[RunInfo, bytes], Awaitable[bytes]]
"""Gets a run that goes on elsewhere and the frames that its readers have; returns a legal end for them."""


class RunLog(Protocol):
    """Where runs are kept. All methods but ``aclose`` raise `RunError` ``unavailable`` when that cannot be reached."""

    @property
    def limits(self) -> Limits:
        """How much is kept, and for how long."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether it has the runs of other processes too, and outlives them."""
        ...

    on_gone: OnRelease | None
    """Returns the end of a run that other processes' readers cannot read any further, though it is not over for them:
    the log has lost its frames, and nobody is left who has them. Without it their reading fails as ``missing``."""

    async def open(
        self,
        chat_id: str,
        *,
        owner: str,
        headers: Mapping[str, str],
        meta: Mapping[str, Any],
        run_id: str | None = None,
    ) -> RunWriter:
        """Begin a run. What is given is kept as it is: many runs can have the same ``headers``.

        Without a ``run_id`` of the caller's making, by which he finds it when the log does not know it by its chat any
        more, it gets one.

        Raises:
            RunError: ``exists``: the chat has one that is still running.
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
            after: The cursor to go on from.

        Raises:
            RunError: ``missing``: there is no such run, or it is not kept any more; ``unavailable``: this process goes.
        """
        ...

    async def frames(self, run_id: str) -> bytes:
        """Return all frames that the run has now, without waiting for more; empty when it is not kept any more."""
        ...

    async def stop(self, run_id: str, reason: str | None = None) -> bool:
        """Ask the run's producer, wherever it is, to stop; whether the run was still running."""
        ...

    async def note_resume(self, chat_id: str) -> None:
        """Remember that a reader asked for this chat's stream: its client can come back."""
        ...

    async def was_resumed(self, chat_id: str) -> bool:
        """Return whether a reader ever asked for this chat's stream, as far as is remembered."""
        ...

    async def seconds_unread(self, run_id: str) -> float:
        """For how long no other process has read the run: never too long, too short by a third of a lease at most."""
        ...

    async def seconds_silent(self, run_id: str) -> float | None:
        """For how long the run's producer has given no sign of life, wherever it is; None when it need not."""
        ...

    async def reap(self, run_id: str | None = None) -> Sequence[RunInfo]:
        """Take the runs whose producer has died and mark them ``lost``; of one that is named, when it has been silent.

        Each goes to one caller, which has a lease's time to end it with `adopt`. One that dies over it counts as the
        producer did: the run goes to another, with a new token.
        """
        ...

    async def adopt(self, info: RunInfo, data: bytes = b"") -> bool:
        """End a run that `reap` gave, with last frames for its readers; False when it went to somebody else since."""
        ...

    async def release_readers(self, end: OnRelease) -> None:
        """Give the readers here of other processes' runs a legal end, though the runs go on."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and tasks. Readers that still wait get `RunError` ``unavailable``."""
        ...
