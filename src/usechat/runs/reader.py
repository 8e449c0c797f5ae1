"""A run as one reader sees it: entries from a cursor to the end.

A response and a WebSocket read every run in this way, wherever its log is and whatever becomes of it without readers.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from usechat.runs.log import Entry
from usechat.runs.service import RunService

__all__ = ["STOPPED", "LogReader", "RunReader"]

STOPPED = "stopped"
"""The reason of an abort that the user asked for."""


class RunReader(Protocol):
    """One reader of a run."""

    @property
    def run_id(self) -> str:
        """Return the run's id; empty where nobody can come back to it."""
        ...

    def read(self) -> AsyncGenerator[Entry]:
        """Yield the run's entries, as they come, to its end. Can be called once.

        Raises:
            RunError: The log went away.
            AnswerFailedError: The run failed, and its client is to see the connection break.
        """
        ...

    async def stop(self, reason: str) -> None:
        """Have the run end now, for all its readers.

        Raises:
            RunError: The log cannot be reached.
        """
        ...

    async def leave(self) -> None:
        """Read no more. Return once whatever ends with this reader has ended."""
        ...


class LogReader:
    """A reader of a run that is kept in a log. Its leaving ends the run only where the service's policy says so.

    Args:
        runs: Where the run is read.
        run_id: The run.
        after: How many of its entries the reader has.
        comes_back: Whether the client goes on from its cursor, in another process too, when this response is cut.
        breaks_on_error: Whether `read` raises at the end of a run that has failed.
    """

    __slots__ = ("after", "breaks_on_error", "comes_back", "run_id", "runs")

    def __init__(
        self, runs: RunService, run_id: str, after: int = 0, *, comes_back: bool = False, breaks_on_error: bool = False
    ) -> None:
        self.runs = runs
        self.run_id = run_id
        self.after = after
        self.comes_back = comes_back
        self.breaks_on_error = breaks_on_error

    def read(self) -> AsyncGenerator[Entry]:
        """Yield the run's entries; see `RunReader`."""
        return self.runs.read(self.run_id, self.after, comes_back=self.comes_back, raises_failure=self.breaks_on_error)

    async def stop(self, reason: str) -> None:
        """Have the run end now, wherever it is made."""
        await self.runs.stop_run(self.run_id, reason)

    async def leave(self) -> None:
        """Do nothing: `read` has told the service when it was closed."""
