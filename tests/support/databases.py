"""Empty databases for tests, of each kind that chats can be kept in."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from usechat.chats.sql.migrations.migrate import migrate

__all__ = ["DATABASES", "make_migrated_file", "make_migrated_url", "make_url"]

DATABASES = ("sqlite", "postgresql")


def make_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a new database; a server is started when the first is asked for."""
    make: dict[str, Callable[[], str]] = {
        "sqlite": lambda: f"sqlite:///{folder}/kept/chats.db",
        "postgresql": lambda: postgres(request).make_database(),
    }
    return make[kind]()


def make_migrated_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a new database with usechat's tables, which are copied."""
    if kind == "postgresql":
        return postgres(request).make_migrated_database()
    kept = folder / "kept"
    kept.mkdir()
    return make_migrated_file(kept)


def make_migrated_file(folder: Path) -> str:
    """The URL of a new file of SQLite, ``chats.db``, with usechat's tables, which are copied."""
    file = folder / "chats.db"
    file.write_bytes(_tables())
    return f"sqlite:///{file}"


@cache
def _tables() -> bytes:
    """What SQLite's file holds when it is new."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as threads:
        file = Path(folder) / "chats.db"
        # A thread of its own has no event loop yet.
        threads.submit(asyncio.run, migrate(f"sqlite:///{file}")).result()
        return file.read_bytes()


def postgres(request: pytest.FixtureRequest) -> PostgresServer:
    """The session's server."""
    return request.getfixturevalue("postgres_server")
