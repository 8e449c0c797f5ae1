"""What the failure test breaks: three servers behind nginx, Redis, PostgreSQL, and a model service."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.support.black_hole import BlackHole
from tests.support.pausing import paused
from tests.support.postgres import PostgresServer
from tests.support.programs import ROOT, Program, hold_port, nginx, usechat_serve
from tests.support.redis_server import RedisServer
from usechat.chats.sql.migrations.migrate import migrate

__all__ = ["SERVERS", "Deployment", "Server"]

SERVERS = 3
END_SECONDS = 20.0


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
        self.program = usechat_serve(folder=self.folder, port=self.held.getsockname()[1], **self.variables)

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

    def close(self) -> None:
        """End it, if it runs."""
        if self.program is not None:
            self.program.kill()
        self.held.close()

    def log(self) -> str:
        """All that its processes have said."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log")))


class Deployment:
    """All of it, in one folder; use it as an asynchronous context manager.

    Args:
        folder: For what the programs write.
        settings: Further ones of the servers.
        has_holes: Whether the servers reach their stores through holes that can be made to say nothing.
    """

    def __init__(self, folder: Path, settings: dict[str, str], *, has_holes: bool = False) -> None:
        self._has_holes = has_holes
        self._stack = ExitStack()
        self._folder = folder
        self._settings = settings
        self.redis = RedisServer(self._made("redis"), keeps=True)
        self.postgres = PostgresServer()
        self.redis_hole: BlackHole
        self.database_hole: BlackHole
        self.servers: list[Server] = []

    async def __aenter__(self) -> Self:
        """Start everything."""
        try:
            await self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End everything."""
        self._stack.close()

    async def _start(self) -> None:
        self._stack.callback(self.postgres.close)
        self.postgres.start()
        self._stack.callback(self.redis.close)
        self.redis.start()
        self.upstream = self._stack.enter_context(
            Program(
                [sys.executable, "-m", "tests.chaos.upstream"],
                ready=r"listens on (http://\S+)",
                folder=ROOT,
                log=self._folder / "upstream.log",
            )
        )
        self.database = self.postgres.make_database()
        await migrate(self.database)
        self.redis_hole = self._stack.enter_context(closing(BlackHole(self.redis.port)))
        self.database_hole = self._stack.enter_context(closing(BlackHole(self.postgres.port)))
        redis_url, database = self.redis.url, self.database
        if self._has_holes:
            redis_url = redis_url.replace(str(self.redis.port), str(self.redis_hole.port))
            database = database.replace(str(self.postgres.port), str(self.database_hole.port))
        variables = {
            "ANTHROPIC_API_KEY": "none",
            "ANTHROPIC_BASE_URL": self.upstream.url,
            "USECHAT_MODEL": "chaos",
            "USECHAT_REDIS_URL": redis_url,
            "USECHAT_DATABASE_URL": database,
            "USECHAT_APPROVAL_SECRET": "the same in every process",
            **self._settings,
        }
        self.servers = [Server(self._made(f"server-{number}"), variables) for number in range(SERVERS)]
        for server in self.servers:
            self._stack.callback(server.close)
        await asyncio.gather(*(asyncio.to_thread(server.start) for server in self.servers))
        addresses = [f"http://{server.address}" for server in self.servers]
        self.proxy = self._stack.enter_context(nginx(*addresses, folder=self._made("nginx"), http_version="1.1"))

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder

    def refuse_writes(self) -> None:
        """Have PostgreSQL take no writes, on connections that are made from now on."""
        self.postgres.ask(f"ALTER DATABASE {self.database.rpartition('/')[2]} SET default_transaction_read_only = on")
        self.postgres.drop_connections()

    def take_writes(self) -> None:
        """Have new connections take writes again."""
        self.postgres.ask(f"ALTER DATABASE {self.database.rpartition('/')[2]} RESET default_transaction_read_only")

    def row_count(self, table: str, condition: str) -> int:
        """How many rows of one of the chats' tables are so."""
        database = self.database.rpartition("/")[2]
        return int(self.postgres.ask(f"SELECT count(*) FROM usechat_{table} WHERE {condition}", database=database))
