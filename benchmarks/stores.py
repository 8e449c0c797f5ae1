"""PostgreSQL and Redis for servers of several processes, with what each of their processes spends."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.programs import BenchmarkError
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer
from usechat.chats.sql.migrations.migrate import migrate

__all__ = ["Stores", "shared_stores"]


@dataclass(frozen=True)
class Stores:
    """Both, at work."""

    postgres: PostgresServer
    redis: RedisServer

    def variables(self, number: int = 0) -> dict[str, str]:
        """Return a server's settings, with a new database and the one of Redis that has the number."""
        url = self.postgres.make_database()
        asyncio.run(migrate(url))
        return {"USECHAT_DATABASE_URL": url, "USECHAT_REDIS_URL": f"{self.redis.url.rpartition('/')[0]}/{number}"}


@contextmanager
def shared_stores() -> Generator[Stores]:
    """A PostgreSQL that does not wait for its disk, and a Redis that keeps nothing on it.

    Raises:
        BenchmarkError: One of them is not on this machine, or does not start.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            stores = Stores(PostgresServer(), RedisServer(Path(folder)))
        except (OSError, ValueError, RuntimeError) as error:
            raise BenchmarkError(f"there is no PostgreSQL on this machine: {error}") from error
        try:
            stores.postgres.start()
            stores.redis.start()
            yield stores
        except FileNotFoundError as error:
            raise BenchmarkError(f"there is no Redis on this machine: {error}") from error
        finally:
            stores.redis.close()
            stores.postgres.close()
