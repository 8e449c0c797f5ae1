"""What an answer was made of is freed with it: there is nothing for the garbage collector to find."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

pytestmark = pytest.mark.timeout(300)

PROGRAM = "tests.support.leftovers"


def replayed(request: ReplayedRequest) -> Reply:
    """The stream that the last words name; the one of a reader who leaves goes on until then."""
    content = request.json["messages"][-1]["content"]
    name = content if isinstance(content, str) else content[-1]["text"]
    return Reply("text", hold_after=4) if name == "held" else Reply(name)


def find_leftovers(questions: Sequence[str], **variables: str) -> dict[str, int]:
    run = subprocess.run(
        [sys.executable, "-m", PROGRAM, *questions],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@pytest.mark.parametrize("database", ["sqlite", "off"])
def test_ended_answers_leave_nothing_for_the_garbage_collector(database: str, tmp_path: Path):
    url = f"sqlite:///{tmp_path / 'chats.db'}" if database == "sqlite" else "off"
    questions = ["hello", "reasoning", "tool", "sources", "approval", "progress", "error", "leave:long"]
    assert find_leftovers(questions, USECHAT_MODEL="demo", USECHAT_DATABASE_URL=url) == {}


def test_ended_streams_of_a_provider_leave_nothing_for_the_garbage_collector():
    questions = ["text", "thinking", "citations-web", "web-search", "error-midway", "leave:held"]
    with ReplayServer(replayed) as upstream:
        variables = {
            "ANTHROPIC_BASE_URL": upstream.url,
            "ANTHROPIC_API_KEY": "none",
            "USECHAT_MODEL": "claude-sonnet-4-6",
        }
        assert find_leftovers(questions, USECHAT_DATABASE_URL="off", **variables) == {}
        assert len(upstream.requests) == 2 * len(questions)
