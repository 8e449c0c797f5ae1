"""What an answer was made of is freed with it: there is nothing for the garbage collector to find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "tests.support.leftovers"


@pytest.mark.parametrize("database", ["sqlite", "off"])
def test_ended_answers_leave_nothing_for_the_garbage_collector(database: str, tmp_path: Path):
    kept = {
        "USECHAT_MODEL": "demo",
        "USECHAT_DATABASE_URL": f"sqlite:///{tmp_path / 'chats.db'}" if database == "sqlite" else "off",
    }
    questions = ["hello", "reasoning", "tool", "sources", "approval", "progress", "error", "leave:long"]
    run = subprocess.run(
        [sys.executable, "-m", PROGRAM, *questions],
        env={**os.environ, **kept},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {}
