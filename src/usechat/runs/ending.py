"""Ends the runs of a process that shuts down: each gets a legal end and is saved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from usechat.runs.handle import RunHandle
from usechat.runs.log import EndState
from usechat.runs.saving import Saves

__all__ = ["ABORT_SECONDS", "end_runs"]

ABORT_SECONDS = 5.0
"""Seconds that a run may take for its legal end at shutdown."""
LOG_SECONDS = 1.0
"""Seconds that the log may then take to record ends that are saved."""
SAVE_SECONDS = 3.0
"""Seconds that what is not saved then may take to be saved."""
LOOK_SECONDS = 0.05
"""Seconds between two looks at whether the runs are made."""


async def end_runs(handles: Mapping[str, RunHandle], saves: Saves, seconds: float) -> None:
    """Let runs end, then stop them, then cancel what is left.

    Args:
        handles: The runs. Those that end are removed by others.
        saves: The runs that are not saved yet.
        seconds: Seconds that they may go on.
    """
    await wait_until_made(handles, seconds)
    for handle in list(handles.values()):
        handle.stop("shutdown")
    saves.leave()
    await wait_until_made(handles, ABORT_SECONDS)
    # A log that is away may never record their ends, but they are saved.
    if tasks := tasks_of(handles):
        await asyncio.wait(tasks, timeout=LOG_SECONDS)
    await saves.aclose(SAVE_SECONDS)
    left = tasks_of(handles)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def wait_until_made(handles: Mapping[str, RunHandle], seconds: float) -> None:
    """Wait until the runs are made, for at most some seconds."""
    until = time.monotonic() + seconds
    while (tasks := tasks_of(handles, is_made=False)) and (left := until - time.monotonic()) > 0:
        await asyncio.wait(tasks, timeout=min(left, LOOK_SECONDS))


def tasks_of(handles: Mapping[str, RunHandle], *, is_made: bool | None = None) -> list[asyncio.Task[EndState]]:
    chosen = [handle for handle in handles.values() if is_made is None or handle.is_made == is_made]
    return [handle.task for handle in chosen if handle.task is not None]
