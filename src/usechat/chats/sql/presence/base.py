"""The protocol by which processes that share a database know which of them are alive.

Only the turns of a dead process may be ended by another one.

A process that keeps its running answers in its own memory joins, and each turn that it begins names it. Processes on
SQLite share a machine, so a lock of the operating system shows that one is alive (`usechat.chats.sql.presence.file`).
Processes on PostgreSQL may be on several machines, so each gives signs of life (`usechat.chats.sql.presence.row`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Presence"]


class Presence(Protocol):
    """The presence of this process among those that share a database.

    Implemented by: `FilePresence`, `RowPresence`.
    """

    @property
    def process_id(self) -> str | None:
        """This process's id; None before it has joined and after it has left."""
        ...

    async def join(self, lease: float, on_lost: Callable[[], None]) -> None:
        """Show the other processes that this one is alive.

        Args:
            lease: Seconds of silence after which a process counts as dead, where it has to give signs of life.
            on_lost: Called when other processes took this one for dead, as after a pause, and its answers are theirs
                now. This process has joined again by then.

        Raises:
            OSError: The database cannot be reached.
            ConfigurationError: No file can be made beside SQLite's.
        """
        ...

    async def confirm(self) -> None:
        """Return when this process is known to count as alive. If others took it for dead, call ``on_lost`` before.

        Raises:
            OSError: The database cannot be reached.
        """
        ...

    async def is_dead(self, process_id: str) -> bool:
        """Return whether a process is known to have ended.

        Raises:
            OSError: The database cannot be reached.
        """
        ...

    async def leave(self) -> None:
        """Leave. Other processes may end the turns that this one has left open."""
        ...
