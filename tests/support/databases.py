"""Empty databases for tests, of each kind that chats can be kept in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from usechat.chats.sql.migrations.migrate import migrate

__all__ = ["DATABASES", "make_migrated_url", "make_url"]

DATABASES = ("sqlite", "postgresql")


def make_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a new database; a server is started when the first is asked for."""
    make: dict[str, Callable[[], str]] = {
        "sqlite": lambda: f"sqlite:///{folder}/kept/chats.db",
        "postgresql": lambda: postgres(request).make_database(),
    }
    return make[kind]()


def make_migrated_url(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of a new database with usechat's tables; a server makes SQLite's file itself."""
    url = make_url(kind, request, folder)
    if kind != "sqlite":
        asyncio.run(migrate(url))
    return url


def postgres(request: pytest.FixtureRequest) -> PostgresServer:
    """The session's server."""
    return request.getfixturevalue("postgres_server")
