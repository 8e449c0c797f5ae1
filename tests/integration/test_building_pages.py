"""The programs of the pages on saving, users, usage, errors, testing and Vercel, run as they stand there."""

from __future__ import annotations

import inspect
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jwt
import pytest
from fastapi import Depends, FastAPI

from tests.integration.pages import ASKED, browsing, post, run_program, running
from tests.integration.test_readme import ROOT, programs
from tests.support.redis_server import RedisServer
from usechat import TurnEnd
from usechat.testing.client_rules import find_refusals
from usechat.testing.replay import ReplayServer

pytestmark = pytest.mark.anyio

SAVING, USERS, USAGE, ERRORS, TESTING, VERCEL = (
    f"docs/{name}.md" for name in ("saving", "users", "usage", "errors", "testing", "vercel")
)
ADA, BOB = {"authorization": "Bearer ada-key"}, {"authorization": "Bearer bob-key"}
BODY = {"id": "c", "trigger": "submit-message", "messages": [ASKED]}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_program_is_run():
    counted = [len(programs(page)) for page in (SAVING, USERS, USAGE, ERRORS, TESTING, VERCEL)]
    assert counted == [1, 2, 2, 2, 5, 1]


async def test_page_sends_its_last_message_and_finds_the_chat_again(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch) as upstream:
        names = await run_program(SAVING, 0)
        async with browsing(names["app"], headers=ADA) as browser:
            assert (await browser.get("/api/chats/c")).status_code == 404
            for number in "12":
                body = {"id": "c", "trigger": "submit-message", "message": {**ASKED, "id": number}}
                assert (await browser.post("/api/chat", json=body)).text.endswith("data: [DONE]\n\n")
            saved = (await browser.get("/api/chats/c")).json()
            assert (len(saved["messages"]), saved["isAnswering"]) == (4, False)
            listed = (await browser.get("/api/chats?limit=20")).json()
            assert ([chat["id"] for chat in listed["chats"]], listed["nextCursor"]) == (["c"], None)
            renamed = await browser.patch("/api/chats/c", json={"title": "Soup"})
            assert renamed.json()["title"] == "Soup"
            for method, path in (("GET", "/chats/c"), ("POST", "/chat/c/stop"), ("DELETE", "/chats/c")):
                assert (await browser.request(method, f"/api{path}", headers=BOB)).status_code == 404
            assert (await browser.delete("/api/chats/c")).is_success
        assert len(upstream.requests[1].json["messages"]) == 3


async def test_user_is_known_by_a_cookie(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch):
        names = await run_program(USERS, 0)
        async with browsing(names["app"]) as browser:
            assert (await browser.get("/api/chats")).status_code == 401
            browser.cookies.set("session", "s-1")
            assert (await browser.post("/api/chat", json=BODY)).is_success
            assert len((await browser.get("/api/chats")).json()["chats"]) == 1


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"sub": "ada", "aud": "chat", "exp": 2**40}, 200),
        ({"sub": "ada", "aud": "chat", "exp": 1}, 401),
        ({"sub": "ada", "aud": "other", "exp": 2**40}, 401),
        ({"aud": "chat", "exp": 2**40}, 401),
    ],
)
async def test_user_is_known_by_a_token(claims: dict[str, Any], status: int):
    names = await run_program(USERS, 1)
    app = FastAPI()
    app.get("/me", dependencies=[Depends(names["current_user"])])(lambda: "me")
    token = jwt.encode(claims, names["SECRET"], algorithm="HS256")
    async with browsing(app) as browser:
        assert (await browser.get("/me", headers={"authorization": f"Bearer {token}"})).status_code == status


async def test_metadata_of_ones_own_reaches_the_page(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch):
        names = await run_program(USAGE, 0)
        answer = await post(names["app"])
    assert find_refusals(answer.content, (7, 0, 173)) == []
    assert '"plan":"free"' in answer.text
    assert '"tokens":42' in answer.text


async def test_user_is_charged_up_to_a_limit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    async with running(monkeypatch):
        names = await run_program(USAGE, 1)
        async with browsing(names["app"]) as browser:
            await browser.post("/api/chat", json=BODY)
            assert names["bills"] == {"ada": 42}
            await names["charge"](TurnEnd(owner="bob", chat_id="d", turn_id="t", status="aborted", usage={}))
            assert names["bills"].pop("bob") == 0
            names["bills"]["ada"] = names["LIMIT"]
            assert (await browser.post("/api/chat", json={**BODY, "id": "d"})).status_code == 402
            assert len((await browser.get("/api/chats")).json()["chats"]) == 1
    assert capsys.readouterr().out.startswith("25 0 17 ")


async def test_words_of_ones_own_are_shown_for_a_model_that_is_overloaded(monkeypatch: pytest.MonkeyPatch):
    async with ReplayServer("error-overloaded") as upstream:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", upstream.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", "test")
        names = await run_program(ERRORS, 0)
        answer = await post(names["app"])
    assert "Our kitchen is full." in answer.text
    assert find_refusals(answer.content, (7, 0, 173)) == []


async def test_failed_tool_is_told_to_the_model_and_masked_for_the_browser(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch, ("get_weather", {"city": "York"})) as upstream:
        names = await run_program(ERRORS, 0)
        answer = await post(names["app"])
        assert "no route to 10.0.0.7" in str(upstream.requests[1].json)
    assert "The weather service is away." in answer.text
    assert "10.0.0.7" not in answer.text


async def test_refusal_of_ones_own_is_short_json(monkeypatch: pytest.MonkeyPatch):
    async with running(monkeypatch):
        names = await run_program(ERRORS, 1)
        assert (await post(names["app"])).is_success
        refused = await post(names["app"], *[{**ASKED, "id": str(number)} for number in range(501)])
    assert (refused.status_code, refused.json()) == (413, {"detail": "messages: are too many: begin another chat"})
    assert names["read"](b'{"prompt": "Hi"}').prompt == "Hi"
    assert names["read"](b"[]").startswith("4")


@pytest.mark.parametrize("number", range(5))
async def test_tests_of_the_page_pass(number: int):
    names = await run_program(TESTING, number)
    if "check" in names:
        usage = '"usage":{"promptTokens":1,"completionTokens":1}'
        last = f'e:{{"finishReason":"stop",{usage},"isContinued":false}}\nd:{{"finishReason":"stop",{usage}}}\n'
        names["check"](f'f:{{"messageId":"m"}}\n0:"Hi"\n{last}'.encode(), (4, 3, 19))
        with pytest.raises(AssertionError):
            names["check"](b"data: {}\n\n", (7, 0, 0))
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert tests or "check" in names
    for test in tests:
        made = test()
        if inspect.isawaitable(made):
            await made


def test_settings_for_vercel_are_those_of_this_repository_but_for_what_is_left_out():
    [shown] = re.findall(r"^```json\n(.*?)^```", (ROOT / VERCEL).read_text(), re.MULTILINE | re.DOTALL)
    ours, theirs = json.loads((ROOT / "vercel.json").read_text()), json.loads(shown)
    for settings in (ours, theirs):
        del settings["services"]["api"]["functions"]["api/index.py"]["excludeFiles"]
    assert theirs == ours


async def test_application_for_vercel_keeps_its_function_alive(
    monkeypatch: pytest.MonkeyPatch, folder: Path, redis_server: RedisServer
):
    kept: list[Any] = []
    # The platform's package, of which the program takes one function.
    functions = ModuleType("vercel.functions")
    functions.wait_until = kept.append  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "vercel", ModuleType("vercel"))
    monkeypatch.setitem(sys.modules, "vercel.functions", functions)
    for name, value in {
        "APPROVAL_SECRET": "secret",
        "DATABASE_URL": f"sqlite:///{folder / 'chats.db'}",
        "REDIS_URL": redis_server.url,
    }.items():
        monkeypatch.setenv(name, value)
    async with running(monkeypatch):
        names = await run_program(VERCEL, 0)
        async with browsing(names["app"], headers=ADA) as browser, names["chats"]:
            assert (await browser.post("/api/chat", json=BODY)).text.endswith("data: [DONE]\n\n")
            assert len((await browser.get("/api/chats/c")).json()["messages"]) == 2
    assert kept
