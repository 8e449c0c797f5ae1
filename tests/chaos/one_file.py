"""Servers that share one file of SQLite and no Redis, and what comes and goes beside them.

Two by mistake, an old one beside a new one, one that was started by hand: each keeps its own answers, leaves those of
the others alone, and saves what its readers saw. No server is killed here that answers anybody: without Redis, what it
was saying goes with it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from tests.chaos.deployment import Server, Site
from tests.chaos.failures import Kinds
from tests.chaos.stalls import OneByOne
from tests.support.disks import fill, small_disk

__all__ = ["OneFile", "SecondProcesses"]

DISK_MEGABYTES = 64


class OneFile(Site):
    """Three servers over one file.

    Args:
        folder: For what the programs write, and the file.
        settings: Further ones of the servers.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        super().__init__(folder, settings)
        self.disk = self.made("disk")
        self.has_disk = self.stack.enter_context(small_disk(self.disk, DISK_MEGABYTES))
        """Whether the file is on a disk that can be full: only root may mount one."""
        self.others: list[Server] = []
        """Those that nginx does not know."""

    async def start_stores(self) -> Mapping[str, str]:
        """Name the file: the first server makes it."""
        return {"USECHAT_DATABASE_URL": f"sqlite:///{self._file}"}

    def row_count(self, table: str, condition: str) -> int:
        """See `Site.row_count`."""
        with closing(sqlite3.connect(self._file)) as database:
            return database.execute(f"SELECT count(*) FROM usechat_{table} WHERE {condition}").fetchone()[0]

    def left_behind(self) -> Mapping[str, int]:
        """Nothing is kept anywhere else."""
        return {}

    def logs(self) -> Sequence[str]:
        """See `Site.logs`."""
        return [server.log() for server in (*self.servers, *self.others)]

    def start_other(self) -> Server:
        """Start one more on the same file."""
        server = self.make_server(f"other-{len(self.others)}")
        self.others.append(server)
        server.start()
        return server

    @property
    def _file(self) -> Path:
        return self.disk / "chats.db"


class SecondProcesses(OneByOne):
    """Lets servers on one file pause and stop, and others come and go.

    Args:
        site: The servers.
        seed: Decides what, and when.
        pause: Seconds from one to the next, on average.
        longest: Seconds that one lasts at most.
    """

    def __init__(self, site: OneFile, seed: str, pause: float, longest: float) -> None:
        super().__init__(site.servers, seed, pause, longest)
        self.site = site

    def kinds(self) -> Kinds:
        """What there is."""
        full: Kinds = {"SQLite: disk full": self.fill_disk}
        return {
            "SQLite: server paused": self.pause_server,
            "SQLite: all servers paused": self.pause_all,
            "SQLite: server stopped": self.stop_server,
            "SQLite: another process stopped": self.stop_other,
            "SQLite: another process killed": self.kill_other,
            "SQLite: another process paused": self.pause_other,
            **(full if self.site.has_disk else {}),
        }

    async def stop_other(self) -> None:
        """One comes, and is told to stop."""
        await self.with_other(Server.stop)

    async def kill_other(self) -> None:
        """One comes, and is killed."""
        await self.with_other(Server.kill)

    async def pause_other(self) -> None:
        """One comes, sleeps, and is told to stop when it has waked."""
        other = await asyncio.to_thread(self.site.start_other)
        with other.pausing():
            await self.for_some_time()
        await self.in_thread(other.stop)

    async def fill_disk(self) -> None:
        """Until there is room again."""
        filler = await asyncio.to_thread(fill, self.site.disk)
        try:
            await self.for_some_time()
        finally:
            filler.unlink()

    async def with_other(self, end: Callable[[Server], None]) -> None:
        """Start one, and end it."""
        other = await asyncio.to_thread(self.site.start_other)
        await asyncio.sleep(self.chance.random() * 3)
        await self.in_thread(lambda: end(other))
