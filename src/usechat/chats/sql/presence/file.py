"""Finds out which processes use an SQLite file. Each process locks its own small file beside the database.

The system releases a lock when its process ends, however it ends, and not while it is paused. So no clock, process id
or sign of life is needed. The lock is taken by SQLite itself, so it works wherever the database does.

Source: https://www.sqlite.org/lockingv3.html.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from usechat.errors import ConfigurationError

__all__ = ["FilePresence"]

_ID: Final = re.compile(r"[0-9a-f]{16}")


class FilePresence:
    """A `Presence` by locks.

    Args:
        file: The database.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock: sqlite3.Connection | None = None
        self._id: str | None = None
        self.has_others = False
        """Whether another process was alive when this one joined."""

    @property
    def process_id(self) -> str | None:
        """See `Presence.process_id`."""
        return self._id

    async def join(self, lease: float, on_lost: Callable[[], None]) -> None:
        """See `Presence.join`."""
        try:
            await asyncio.to_thread(self._join)
        except (sqlite3.Error, OSError) as error:
            raise ConfigurationError(f"no file can be made beside {self._file}: {error}") from error

    async def confirm(self) -> None:
        """Return at once: a process that stood still has kept its lock."""

    async def is_dead(self, process_id: str) -> bool:
        """See `Presence.is_dead`."""
        if process_id == self._id or _ID.fullmatch(process_id) is None:
            return False
        return await asyncio.to_thread(_is_dead, self._path(process_id))

    async def leave(self) -> None:
        """See `Presence.leave`."""
        lock, process_id = self._lock, self._id
        self._lock = self._id = None
        if lock is not None and process_id is not None:
            await asyncio.to_thread(_let_go, lock, self._path(process_id))

    def _join(self) -> None:
        while self._lock is None:
            process_id = secrets.token_hex(8)
            path = self._path(process_id)
            # Like SQLite's own files: users who may use the database may use these. The journal gets the same mode.
            mode = self._file.stat().st_mode & 0o777
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
            lock = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
            # Another process that looks for dead ones may remove the file before it is locked.
            if _try_to_lock(lock) and path.exists():
                with suppress(OSError):
                    # Also the permissions that the process's mask took away.
                    path.chmod(mode)
                self._lock, self._id = lock, process_id
            else:
                lock.close()
        for path in self._path("").parent.glob(f"{_escape(self._path('').name)}*"):
            if path != self._path(self._id or "") and _ID.fullmatch(path.name[-16:]):
                self.has_others |= not _is_dead(path)

    def _path(self, process_id: str) -> Path:
        # Links are resolved, so that processes that know the file by different names use the same lock files.
        return Path(f"{os.path.realpath(self._file)}-process-{process_id}")


def _escape(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _try_to_lock(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        return False
    return True


def _is_dead(path: Path) -> bool:
    """Return whether nobody holds the lock on a file. Remove the file then."""
    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=0)
        with closing(connection):
            if not _try_to_lock(connection):
                return False
            path.unlink(missing_ok=True)
    except (sqlite3.Error, OSError):
        # A file that cannot be opened may belong to another user, who may hold its lock.
        return not path.exists()
    return True


def _let_go(lock: sqlite3.Connection, path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
    lock.close()
