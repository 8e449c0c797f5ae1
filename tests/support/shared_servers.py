"""The servers that many tests share, as fixtures: a ``conftest.py`` that imports them has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pgbouncer import PgBouncer
from tests.support.postgres import PostgresServer
from tests.support.redis_server import RedisServer

__all__ = ["own_redis", "pgbouncer", "postgres_server", "redis_server"]


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One Redis for all; tests keep to keys with prefixes of their own."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.close()


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may pause and kill."""
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One PostgreSQL for all; each test makes a database of its own."""
    server = PostgresServer()
    server.start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def pgbouncer(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    """One pooler before the server."""
    pooler = PgBouncer(postgres_server.port)
    yield pooler
    pooler.close()
