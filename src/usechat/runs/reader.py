"""A reader of a run: entries from a cursor to the end.

Responses and WebSockets read every run in this way, whatever its log and its policy.
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
    """One reader of a run.

    Implemented by: `usechat.runs.pipe.OnlyReader`, `LogReader`.
    """

    @property
    def run_id(self) -> str:
        """The run's id; empty when it cannot be read again."""
        ...

    def read(self) -> AsyncGenerator[Entry]:
        """Yield the run's entries, as they come, to its end. Call this once.

        Raises:
            RunError: The log cannot be reached any more.
            AnswerFailedError: The run failed, and its client is to see the connection break.
        """
        ...

    async def stop(self, reason: str) -> None:
        """End the run now, for all its readers.

        Raises:
            RunError: The log cannot be reached.
        """
        ...

    async def leave(self) -> None:
        """Stop reading. Return once everything that ends with this reader has ended."""
        ...


class LogReader:
    """A reader of a run in a log. When it leaves, the service's policy decides whether the run ends.

    Args:
        runs: The service that reads the run.
        run_id: The run.
        after: How many of its entries the reader has.
        comes_back: Whether the client resumes from its cursor, in any process, when this response is cut.
        breaks_on_error: Whether `read` raises at the end of a failed run.
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
        """End the run now, in any process."""
        await self.runs.stop_run(self.run_id, reason)

    async def leave(self) -> None:
        """Do nothing: `read` has told the service when it was closed."""
