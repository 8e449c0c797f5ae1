"""The programs of docs/frameworks.md, as they stand there, on the servers that they name."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.forks import fork_server
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

ROOT = Path(__file__).resolve().parents[2]
SECTION = re.compile(r"^## (\S+)\n.*?^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAMS = dict(SECTION.findall((ROOT / "docs/frameworks.md").read_text()))
SERVERS = {
    "Starlette": "uvicorn",
    "Litestar": "uvicorn",
    "Django": "uvicorn",
    "Quart": "hypercorn",
    "aiohttp": "aiohttp",
}
HOLD = "hold"


def body(text: str) -> dict[str, Any]:
    message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {"id": "c", "messages": [message], "trigger": "submit-message"}


def reply(request: ReplayedRequest) -> Reply:
    asked = json.dumps(request.json["messages"])
    return Reply("text", hold_after=4) if HOLD in asked else Reply("text")


@pytest.fixture(scope="module")
def upstream() -> Iterator[ReplayServer]:
    with ReplayServer(reply) as server:
        yield server


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest, upstream: ReplayServer, tmp_path_factory: pytest.TempPathFactory):
    name: str = request.param
    program = tmp_path_factory.mktemp(name) / "app.py"
    program.write_text(PROGRAMS[name])
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    environment = {**os.environ, "ANTHROPIC_BASE_URL": upstream.url, "ANTHROPIC_API_KEY": "test"}
    address = f"http://127.0.0.1:{listening.getsockname()[1]}/api/chat"
    # Its own folder, so that the program is all that it can import beside installed packages.
    arguments = [SERVERS[name], str(program)]
    with listening, program.with_name("log").open("w") as log:
        process = fork_server("tests.support.serve_framework", arguments, listening, environment, log)
    yield address
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def test_every_framework_has_its_program():
    assert set(PROGRAMS) == set(SERVERS)


@pytest.mark.parametrize("version", [(4, 3, 19), (5, 0, 0), (6, 0, 0), (7, 0, 173)])
def test_answer_is_what_the_client_reads(url: str, version: tuple[int, int, int]):
    sdk = ".".join(map(str, version))
    answer = httpx.post(url, json=body("Hi"), headers={"x-usechat-sdk": sdk}, timeout=60)
    assert answer.status_code == 200
    if version[0] == 4:
        assert answer.headers["x-vercel-ai-data-stream"] == "v1"
        assert find_data_stream_refusals(answer.content, version) == []
        assert '0:"' in answer.text
    else:
        assert answer.headers["x-vercel-ai-ui-message-stream"] == "v1"
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert find_refusals(answer.content, version) == []
        assert '"type":"text-delta"' in answer.text
        assert answer.text.endswith("data: [DONE]\n\n")


def test_wrong_body_gets_one_short_error(url: str):
    answer = httpx.post(url, json={"messages": 1}, timeout=60)
    assert answer.status_code in (400, 422)
    assert "messages" in answer.json()["detail"]


def test_unknown_version_is_refused_by_the_answer(url: str):
    answer = httpx.post(url, json=body("Hi"), headers={"x-usechat-sdk": "1000"}, timeout=60)
    assert answer.status_code == 400
    assert "x-usechat-sdk" in answer.json()["detail"]


def test_leaving_reader_ends_the_models_call(url: str, upstream: ReplayServer):
    with httpx.stream("POST", url, json=body(HOLD), timeout=60) as answer:
        for piece in answer.iter_text():
            if "text-delta" in piece:
                break
    held = upstream.requests[-1]
    held.wait()
    assert held.is_aborted
