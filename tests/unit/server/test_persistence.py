"""What keeps a server's chats, as its settings and its platform have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from usechat.server.persistence import open_conversations
from usechat.server.settings import Settings


def test_function_without_redis_is_warned_and_gives_no_sign_of_life(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    conversations = open_conversations(Settings(), f"sqlite:///{tmp_path}/chats.db", is_public=True)

    assert conversations is not None
    assert not conversations.is_lasting
    assert "USECHAT_REDIS_URL is not set" in caplog.text


def test_one_process_is_seen_by_others_and_waits_for_no_platform(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    conversations = open_conversations(Settings(), f"sqlite:///{tmp_path}/chats.db")

    assert conversations is not None
    assert conversations.is_lasting
    assert conversations.runs.keep_alive is None
    assert caplog.text == ""


def test_function_without_vercels_package_is_warned(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    # It is in the deployment alone; there `tests/deploy` has it.
    conversations = open_conversations(Settings(), f"sqlite:///{tmp_path}/chats.db", is_public=True)

    assert conversations is not None
    assert conversations.runs.keep_alive is None
    assert "vercel is not installed" in caplog.text
