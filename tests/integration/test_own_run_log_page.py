"""The programs of docs/your-own-run-log.md: the suite for run logs on the log there, and chats with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient

from tests.integration.own_app import body_of
from tests.integration.test_readme import programs
from usechat import Agent, Chats
from usechat.runs.log import Limits
from usechat.testing.models import ScriptedModel, saying

PAGE = "docs/your-own-run-log.md"
NAMES: dict[str, Any] = {"__name__": __name__}
for program in programs(PAGE):
    exec(compile(program, PAGE, "exec", dont_inherit=True), NAMES)

TestOneProcessLog = NAMES["TestOneProcessLog"]


def test_chats_are_answered_with_the_log_of_the_page(tmp_path: Path):
    log = NAMES["OneProcessLog"](Limits())
    chats = Chats(f"sqlite:///{tmp_path / 'chats.db'}", run_log=log)
    app = FastAPI(lifespan=chats.lifespan)
    app.include_router(chats.router(Agent(ScriptedModel(saying("Hi"))), user=lambda: "ada"), prefix="/api")
    with TestClient(app) as client:
        whole = client.post("/api/chat", json=body_of("c")).text
        assert whole.endswith("data: [DONE]\n\n")
        [run] = log.runs.values()
        assert run.info.state == "finished"
        assert b"".join(run.entries).decode() in whole
