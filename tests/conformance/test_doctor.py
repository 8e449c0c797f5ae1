"""`usechat doctor` against the AI SDK's own servers, which set the measure."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.scenario import MAJORS
from tests.conformance.sides import JS
from tests.support.node import NodeProgram
from usechat.doctor import Report, Target, examine
from usechat.testing.replay import ReplayServer, Reply

MODEL = {"model": "claude-sonnet-4-6"}
OLD: dict[str, Any] = {**MODEL, "messages": [{"role": "user", "content": "When is high water?"}]}
NEW: dict[str, Any] = {
    **MODEL,
    "id": "c1",
    "trigger": "submit-message",
    "messages": [{"id": "m1", "role": "user", "parts": [{"type": "text", "text": "When is high water?"}]}],
}


def look(major: int, folder: Path, sdk: str | None) -> Report:
    body = folder / "body.json"
    body.write_text(json.dumps(OLD if major == 4 else NEW))
    with ReplayServer(Reply("text", delay=0.1)) as upstream:
        arguments = ["--major", str(major), "--upstream", upstream.url]
        program = NodeProgram(JS / "oracle" / "main.mjs", *arguments, log=folder / "oracle.log")
        try:
            url = f"{program.ask('address')}/api/chat"
            return asyncio.run(examine(Target.make(url, body=body, sdk=sdk)))
        finally:
            program.close()


def releases() -> list[str]:
    """The installed release of each major."""
    packages = json.loads((JS / "package.json").read_text())["dependencies"]
    return [packages[f"ai-{major}"].rpartition("@")[2] for major in MAJORS]


@pytest.mark.parametrize("release", releases())
def test_server_of_the_ai_sdk_has_one_finding_by_its_own_client(release: str, tmp_path: Path) -> None:
    report = look(int(release.partition(".")[0]), tmp_path, release)
    assert {result.check.name: result.findings for result in report.results if result.findings} == {
        # The program around the SDK, not the SDK, answers what it cannot read.
        "unreadable-body": ["A body that is no JSON gets status 500."]
    }


def test_server_of_ai_sdk_7_is_seen_to_be_read_by_its_own_clients_alone(tmp_path: Path) -> None:
    frames = next(result for result in look(7, tmp_path, None).results if result.check.name == "frames")
    assert frames.note == "read by AI SDK 7"
    assert any("custom is unknown. It breaks AI SDK 5, AI SDK 6" in finding for finding in frames.findings)
