"""A disk that is full when an answer ends, and has room again later."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.running_server import RunningServer, serving
from tests.support.disks import fill, small_disk
from tests.support.scripted_upstream import ScriptedUpstream
from tests.support.waiting import PATIENCE
from usechat.testing.replay import Reply

pytestmark = pytest.mark.timeout(120)

WORDS = [f"word-{number} " for number in range(60)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder, 2) as is_mounted:
        if not is_mounted:
            pytest.skip("whoever runs this may not mount a disk")
        yield folder


def answer() -> Reply:
    """An answer of a second or two."""
    message: dict[str, Any] = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "x"}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": {"input_tokens": 3, "output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in WORDS),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
    ]
    return Reply(events=events, delay=0.03)


def question(chat_id: str, text: str) -> dict[str, Any]:
    message = {"id": text, "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": chat_id, "trigger": "submit-message", "message": message}


class Asking(threading.Thread):
    """Asks a question, and reads its answer."""

    def __init__(self, server: RunningServer) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.has_begun = threading.Event()
        self.seen = ""

    def run(self) -> None:
        """Read."""
        with self.server.client.stream("POST", "/api/chat", json=question("c", "one")) as response:
            for line in response.iter_lines():
                self.seen += f"{line}\n"
                if "text-delta" in line:
                    self.has_begun.set()


def texts(server: RunningServer) -> list[str]:
    messages = server.client.get("/api/chats/c").json()["messages"]
    return ["".join(part.get("text", "") for part in message["parts"]) for message in messages]


def test_answer_that_ends_while_the_disk_is_full_is_saved_when_there_is_room(disk: Path, tmp_path: Path):
    with ScriptedUpstream() as upstream:
        upstream.will(answer())
        variables = {
            "ANTHROPIC_API_KEY": "k",
            "ANTHROPIC_BASE_URL": upstream.url,
            "USECHAT_MODEL": "a-model",
            "USECHAT_HISTORY": "server",
            "USECHAT_DATABASE_URL": f"sqlite:///{disk}/chats.db",
        }
        with serving(tmp_path, **variables) as server:
            asking = Asking(server)
            asking.start()
            assert asking.has_begun.wait(PATIENCE)
            filler = fill(disk)
            asking.join(PATIENCE)

            # Its reader has all of it and a legal end; whoever asks anew is told.
            frames = [json.loads(line[6:]) for line in asking.seen.splitlines() if line.startswith("data: {")]
            assert "".join(frame["delta"] for frame in frames if frame["type"] == "text-delta") == "".join(WORDS)
            assert asking.seen.rstrip().endswith("data: [DONE]")
            refused = server.client.post("/api/chat", json=question("other", "two"), timeout=PATIENCE)
            assert refused.status_code == 503, refused.text

            filler.unlink()
            await_room(server)
            assert texts(server) == ["one", "".join(WORDS), "two", "".join(WORDS)]
            log = server.log.read_text()
    assert "could not be saved; it is tried again" in log
    assert "Traceback" not in log


def await_room(server: RunningServer) -> None:
    """Ask the next question of the chat: it has the answer before it saved first."""
    until = time.monotonic() + PATIENCE
    while True:
        with httpx.Client(base_url=server.client.base_url, timeout=PATIENCE) as client:
            response = client.post("/api/chat", json=question("c", "two"))
        if response.status_code == 200:
            assert "[DONE]" in response.text
            return
        assert response.status_code in (409, 503), response.text
        assert time.monotonic() < until
        time.sleep(0.2)
