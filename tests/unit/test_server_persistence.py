"""What keeps a server's chats, as its settings and its platform have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from usechat.server.persistence import open_conversations
from usechat.server.settings import Settings


def test_function_without_redis_is_warned_and_takes_no_run_for_lost(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    conversations = open_conversations(Settings(), f"sqlite:///{tmp_path}/chats.db", is_public=True)

    assert conversations is not None
    assert not conversations.ends.knows_all_runs
    assert "USECHAT_REDIS_URL is not set" in caplog.text


def test_one_process_knows_all_runs_and_waits_for_none(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    conversations = open_conversations(Settings(), f"sqlite:///{tmp_path}/chats.db")

    assert conversations is not None
    assert conversations.ends.knows_all_runs
    assert conversations.runs.keep_alive is None
    assert caplog.text == ""


def test_function_without_vercels_package_is_warned(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    # It is in the deployment alone; there `tests/deploy` has it.
    conversations = open_conversations(Settings(), f"sqlite:///{tmp_path}/chats.db", is_public=True)

    assert conversations is not None
    assert conversations.runs.keep_alive is None
    assert "vercel is not installed" in caplog.text
