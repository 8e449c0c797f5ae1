"""Finds out which processes use a database server: each counts up a number in its own row, and the others watch it.

Clocks of two processes are never compared. A process is dead when its number has not changed for a lease (the longer
one of both), by the clock of the watching process. The watching process must have looked often enough in that time to
know that it was not paused itself. One statement checks the number and removes the row of the dead process. If that
process still lives, it notices with its next count.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

import msgspec
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import SQLAlchemyError

from usechat.chats.sql.database import Database
from usechat.chats.sql.tables import processes
from usechat.guard import describe_outage

__all__ = ["RowPresence"]

logger = logging.getLogger(__name__)

_LEASE: Final = 15.0
"""The lease, in seconds, of a process that watches without having joined."""
_BEATS: Final = 5
"""How many times in a lease a process counts."""
_LONGEST_GAP: Final = 0.75
"""The longest gap between two looks of one watch, as a share of the lease. After a longer gap, the watching process may
have been paused, and all others with it."""

_LEAVE_SECONDS: Final = 1.0
"""Seconds that a process takes to leave, at most."""


class _Watch(msgspec.Struct):
    """A number, and the time since which it has not changed."""

    beats: int
    since: float
    last: float


class RowPresence:
    """A `Presence` by signs of life.

    Args:
        database: The database that holds the rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lease = _LEASE
        self._on_lost: Callable[[], None] | None = None
        self._id: str | None = None
        self._beating: asyncio.Task[None] | None = None
        self._entering = asyncio.Lock()
        self._watched: dict[str, _Watch] = {}

    @property
    def process_id(self) -> str | None:
        """See `Presence.process_id`."""
        return self._id

    async def join(self, lease: float, on_lost: Callable[[], None]) -> None:
        """See `Presence.join`."""
        self._lease = lease
        self._on_lost = on_lost
        await self._enter()
        self._beating = asyncio.create_task(self._beat_for_ever())

    async def confirm(self) -> None:
        """See `Presence.confirm`."""
        await self._beat()

    async def is_dead(self, process_id: str) -> bool:
        """See `Presence.is_dead`."""
        if process_id == self._id:
            return False
        found = await self._database.read(lambda connection: _find(connection, process_id))
        if found is None:
            self._watched.pop(process_id, None)
            return True
        beats, lease = found
        lease = max(lease, self._lease)
        now = asyncio.get_running_loop().time()
        watch = self._watched.get(process_id)
        if watch is None or watch.beats != beats or now - watch.last > lease * _LONGEST_GAP:
            self._watched[process_id] = _Watch(beats, now, now)
            return False
        watch.last = now
        if now - watch.since < lease:
            return False
        return await self._database.write(lambda connection: _bury(connection, process_id, beats))

    async def leave(self) -> None:
        """See `Presence.leave`."""
        process_id, self._id = self._id, None
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.gather(self._beating, return_exceptions=True)
        if process_id is not None:
            try:
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self._database.write(lambda connection: _remove(connection, process_id))
            except (SQLAlchemyError, OSError) as error:
                reason = describe_outage(error)
                logger.warning("this process' row could not be removed; others will after its lease: %s", reason)

    async def _enter(self) -> None:
        process_id = secrets.token_hex(8)
        await self._database.write(lambda connection: _add(connection, process_id, self._lease))
        self._id = process_id

    async def _beat_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._lease / _BEATS)
            try:
                await self._beat()
            except (SQLAlchemyError, OSError) as error:
                logger.warning(
                    "the database does not learn that this process lives; it is tried again in %g s: %s",
                    self._lease / _BEATS,
                    describe_outage(error),
                )

    async def _beat(self) -> None:
        process_id = self._id
        if process_id is None or await self._database.write(lambda connection: _count(connection, process_id)):
            return
        async with self._entering:
            if self._id != process_id:
                # Another beat has noticed it, or this process has left.
                return
            logger.error("this process was paused, or cut off, and taken for dead: its answers are ended by others")
            await self._enter()
            if self._on_lost is not None:
                self._on_lost()


def _find(connection: Connection, process_id: str) -> tuple[int, float] | None:
    row = connection.execute(
        select(processes.c.beats, processes.c.lease).where(processes.c.id == process_id)
    ).one_or_none()
    return None if row is None else (row.beats, row.lease)


def _add(connection: Connection, process_id: str, lease: float) -> None:
    # The work may be run again after it was done.
    if _find(connection, process_id) is None:
        connection.execute(insert(processes).values(id=process_id, beats=0, lease=lease))


def _count(connection: Connection, process_id: str) -> bool:
    counted = update(processes).where(processes.c.id == process_id).values(beats=processes.c.beats + 1)
    return connection.execute(counted).rowcount > 0


def _bury(connection: Connection, process_id: str, beats: int) -> bool:
    connection.execute(delete(processes).where(processes.c.id == process_id, processes.c.beats == beats))
    return _find(connection, process_id) is None


def _remove(connection: Connection, process_id: str) -> None:
    connection.execute(delete(processes).where(processes.c.id == process_id))
