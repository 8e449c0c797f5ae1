"""What keeps a server's chats, as its settings and its platform have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from usechat.server.persistence import open_chats
from usechat.server.settings import Settings


def test_function_without_redis_is_warned_and_gives_no_sign_of_life(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    chats = open_chats(Settings(), f"sqlite:///{tmp_path}/chats.db", is_public=True)

    assert not chats.options.get("is_lasting")
    assert "USECHAT_REDIS_URL is not set" in caplog.text


def test_one_process_is_seen_by_others_and_waits_for_no_platform(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    chats = open_chats(Settings(), f"sqlite:///{tmp_path}/chats.db")

    assert chats.options.get("is_lasting")
    assert chats.options.get("keep_alive") is None
    assert caplog.text == ""


def test_function_without_vercels_package_is_warned(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    # It is in the deployment alone; there `tests/deploy` has it.
    chats = open_chats(Settings(), f"sqlite:///{tmp_path}/chats.db", is_public=True)

    assert chats.options.get("keep_alive") is None
    assert "vercel is not installed" in caplog.text
