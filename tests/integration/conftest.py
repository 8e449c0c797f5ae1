"""What integration tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.order import begin_with
from tests.support.shared_servers import postgres_server, redis_server

__all__ = ["postgres_server", "redis_server"]

_LONGEST = (
    *("test_shared_chats", "test_hostile_bodies", "test_server_start", "test_server_conversations"),
    *("test_what_is_kept", "test_server_process", "test_server_socket", "test_chat_store", "test_redis_failures"),
    *("test_redis_drops_keys", "test_chat_store_lists"),
    *("test_local_model", "test_mcp_tools", "test_examples", "test_turn_ends"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    begin_with(_LONGEST, items)


@pytest.fixture
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keeps the `anthropic` package from the keys and profiles of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("ANTHROPIC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
