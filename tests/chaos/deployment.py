"""What the failure test breaks: three servers behind nginx, Redis, PostgreSQL, and a model service."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import redis

from tests.support.black_hole import BlackHole
from tests.support.clocks import HAS_CLOCKS, own_clock, set_clock
from tests.support.pausing import paused
from tests.support.postgres import PostgresServer
from tests.support.programs import ROOT, Program, hold_port, nginx, usechat_serve
from tests.support.redis_server import RedisServer
from usechat.chats.sql.migrations.migrate import migrate

__all__ = ["SERVERS", "Deployment", "Server", "Site"]

SERVERS = 3
END_SECONDS = 20.0
STARTS = 5
"""How often a server is started that ends because a store is away at that moment: who runs it starts it again, too."""


@dataclass(eq=False)
class Server:
    """A place where ``usechat serve`` runs, time and again."""

    folder: Path
    variables: dict[str, str]
    held: socket.socket = field(default_factory=hold_port)
    program: Program | None = None
    ends: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """From when to when it was being ended, on `time.monotonic`'s clock."""
    pauses: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """From when to when it was paused."""

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.held.getsockname()[1]}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        for attempt in range(STARTS):
            try:
                self.program = usechat_serve(
                    folder=self.folder,
                    port=self.held.getsockname()[1],
                    is_forked=False,
                    **self.variables,
                    **own_clock(self.folder),
                )
            except AssertionError:
                if attempt == STARTS - 1:
                    raise
            else:
                return

    def kill(self) -> None:
        """End it at once."""
        assert self.program is not None
        with self.ending():
            self.program.kill()

    def stop(self) -> None:
        """Tell it to stop, and wait until it has."""
        assert self.program is not None
        with self.ending():
            self.program.terminate()
            self.program.wait(END_SECONDS)

    @contextmanager
    def pausing(self) -> Generator[None]:
        """While it is paused."""
        assert self.program is not None
        began = time.monotonic()
        with paused(self.program.pid):
            yield
        self.pauses.append((began, time.monotonic()))

    @contextmanager
    def ending(self) -> Generator[None]:
        """While it is being ended."""
        began = time.monotonic()
        yield
        self.ends.append((began, time.monotonic()))

    def set_clock(self, seconds: int) -> None:
        """Have its clock be off by so much, now and when it is started anew."""
        set_clock(self.folder, seconds)

    def close(self) -> None:
        """End it, if it runs."""
        if self.program is not None:
            self.program.kill()
        self.held.close()

    def log(self) -> str:
        """All that its processes have said."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


class Site(ABC):
    """Servers behind nginx, and a model service, in one folder; use it as an asynchronous context manager.

    Args:
        folder: For what the programs write.
        settings: Further ones of the servers.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.settings = settings
        self.stack = ExitStack()
        self.servers: list[Server] = []
        self.upstream: Program
        self.proxy: Program

    async def __aenter__(self) -> Self:
        """Start everything."""
        try:
            await self._start()
        except BaseException:
            self.stack.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything."""
        self.stack.close()

    @abstractmethod
    async def start_stores(self) -> Mapping[str, str]:
        """Start what the servers need, and return the settings that name it."""

    @abstractmethod
    def row_count(self, table: str, condition: str) -> int:
        """How many rows of one of the chats' tables are so."""

    @abstractmethod
    def left_behind(self) -> Mapping[str, int]:
        """What is left outside the database when all is over."""

    def logs(self) -> Sequence[str]:
        """All that the processes of each server have said."""
        return [server.log() for server in self.servers]

    async def _start(self) -> None:
        stores = await self.start_stores()
        self.upstream = self.stack.enter_context(
            Program(
                [sys.executable, "-m", "tests.chaos.upstream"],
                ready=r"listens on (http://\S+)",
                folder=ROOT,
                log=self.folder / "upstream.log",
            )
        )
        self.variables = {
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_BASE_URL": self.upstream.url,
            "USECHAT_MODEL": "chaos",
            "USECHAT_APPROVAL_SECRET": "the same in every process",
            **stores,
            **self.settings,
        }
        self.servers = [self.make_server(f"server-{number}") for number in range(SERVERS)]
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self.servers))
        addresses = [f"http://{server.address}" for server in self.servers]
        self.proxy = self.stack.enter_context(nginx(*addresses, folder=self.made("nginx"), http_version="1.1"))

    def make_server(self, name: str) -> Server:
        """Return one that is not started yet, and is ended with everything."""
        server = Server(self.made(name), dict(self.variables))
        self.stack.callback(server.close)
        return server

    def made(self, name: str) -> Path:
        """Make a folder."""
        folder = self.folder / name
        folder.mkdir()
        return folder


class Deployment(Site):
    """Three servers over Redis and PostgreSQL.

    Args:
        folder: For what the programs write.
        settings: Further ones of the servers.
        can_stall: Whether the servers reach their stores through holes that can be made to say nothing, and have
            clocks that can be set.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str], *, can_stall: bool = False) -> None:
        super().__init__(folder, settings)
        self._can_stall = can_stall
        self.redis = RedisServer(self.made("redis"), keeps=True)
        self.postgres = PostgresServer(keeps=True)
        self.redis_hole: BlackHole
        self.database_hole: BlackHole

    async def start_stores(self) -> Mapping[str, str]:
        """Start both, with a hole before each."""
        self.stack.callback(self.postgres.close)
        self.postgres.start()
        self.stack.callback(self.redis.close)
        self.redis.start()
        self.database = self.postgres.make_database()
        await migrate(self.database)
        self.redis_hole = self.stack.enter_context(closing(BlackHole(self.redis.port)))
        self.database_hole = self.stack.enter_context(closing(BlackHole(self.postgres.port)))
        redis_url, database = self.redis.url, self.database
        if self._can_stall:
            redis_url = redis_url.replace(str(self.redis.port), str(self.redis_hole.port))
            database = database.replace(str(self.postgres.port), str(self.database_hole.port))
        return {"USECHAT_REDIS_URL": redis_url, "USECHAT_DATABASE_URL": database}

    def make_server(self, name: str) -> Server:
        """See `Site.make_server`."""
        server = super().make_server(name)
        if self._can_stall and HAS_CLOCKS:
            server.set_clock(0)
        return server

    def refuse_writes(self) -> None:
        """Have PostgreSQL take no writes, on connections that are made from now on."""
        self.postgres.ask(f"ALTER DATABASE {self.database.rpartition('/')[2]} SET default_transaction_read_only = on")
        self.postgres.drop_connections()

    def take_writes(self) -> None:
        """Have new connections take writes again."""
        self.postgres.ask(f"ALTER DATABASE {self.database.rpartition('/')[2]} RESET default_transaction_read_only")

    def row_count(self, table: str, condition: str) -> int:
        """See `Site.row_count`."""
        database = self.database.rpartition("/")[2]
        return int(self.postgres.ask(f"SELECT count(*) FROM usechat_{table} WHERE {condition}", database=database))

    def left_behind(self) -> Mapping[str, int]:
        """Runs that Redis believes to be running, and keys that would stay for ever."""
        eternal = sum(self._in_redis("PTTL", key) == -1 for key in self._in_redis("KEYS", "*"))
        return {
            "leases in Redis": len(self._in_redis("ZRANGE", "usechat:leases", 0, -1)),
            "keys in Redis without an end": eternal,
        }

    def _in_redis(self, *command: Any) -> Any:
        redis_module: Any = redis
        client = redis_module.Redis.from_url(self.redis.url)
        with client:
            return client.execute_command(*command)
