"""What integration tests share."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.load_clients import close_all
from tests.support.order import begin_with
from tests.support.shared_servers import own_redis, pgbouncer, postgres_server, redis_server

__all__ = ["own_redis", "pgbouncer", "postgres_server", "redis_server"]

_LONGEST = (
    "test_production",
    *("test_doctor", "test_storage_hangs", "test_run_log_redis", "test_server_attacks", "test_run_log_model"),
    *("test_server_start", "test_shared_chats", "test_server_conversations", "test_local_model", "test_answers_end"),
    *("test_redis_failures", "test_hostile_bodies", "test_server_process", "test_redis_drops_keys", "test_leftovers"),
    *("test_what_is_kept", "test_chat_store", "test_anthropic_clouds", "test_mcp_tools"),
    *("test_chat_migrations", "test_provider_limits", "test_anthropic_model", "test_server_socket", "test_examples"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    begin_with(_LONGEST, items)


@pytest.fixture
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keeps the `anthropic` package from the keys and profiles of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """What is closed after a test, however it ends."""
    sockets: list[socket.socket] = []
    yield sockets
    close_all(sockets)
