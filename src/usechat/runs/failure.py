"""Tells the reader of a run that it has failed, where the run's frames do not."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from usechat.errors import AnswerFailedError, RunError
from usechat.runs.handle import RunHandle
from usechat.runs.log import RunInfo, RunLog

__all__ = ["raise_failure"]

PAUSE: Final = 0.5
"""Seconds between two questions to a log that is away."""


class Service(Protocol):
    """What knows of runs. Implemented by: `usechat.runs.service.RunService`."""

    log: RunLog
    is_closing: bool
    """Whether the process shuts down."""


async def raise_failure(service: Service, run_id: str, handle: RunHandle | None) -> None:
    """Raise when a run that was read to its end has failed.

    Args:
        service: Whose log has the run.
        run_id: The run.
        handle: The run's handle, in the process that made it.

    Raises:
        AnswerFailedError: It has.
        RunError: ``unavailable``: the process shuts down before it is known.
    """
    if handle is not None and handle.failure is not None:
        raise handle.failure
    info = await _ask(service, run_id)
    if info is not None and info.state in {"failed", "lost"}:
        raise AnswerFailedError("An error occurred.")


async def _ask(service: Service, run_id: str) -> RunInfo | None:
    # As with what it reads, a reader waits while the log is away.
    while True:
        try:
            return await service.log.get(run_id)
        except RunError as error:
            if error.code != "unavailable" or service.is_closing:
                raise
        await asyncio.sleep(PAUSE)
