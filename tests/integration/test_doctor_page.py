"""The programs of docs/doctor.md, run as they stand there, against backends that answer as they are told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.test_readme import programs
from tests.support.programs import REFUSING_PORT
from tests.support.scripted_backend import EVENT_HEADERS, Behaviour, ScriptedBackend
from usechat.doctor import Report

pytestmark = pytest.mark.anyio

IN_A_TEST, OF_ONES_OWN = programs("docs/doctor.md")
ADDRESS = "http://127.0.0.1:8000/api/chat"
NAMED = Behaviour().answering(headers={**EVENT_HEADERS, "server": "mine"})
UNCACHED = {name: value for name, value in EVENT_HEADERS.items() if name != "cache-control"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def run_against(url: str, program: str) -> dict[str, Any]:
    """Run a program with another address in place of the page's. Return its names."""
    assert program.count(ADDRESS) == 1
    names: dict[str, Any] = {"__name__": "page"}
    exec(compile(program.replace(ADDRESS, url), "docs/doctor.md", "exec", dont_inherit=True), names)
    return names


def run_the_test(url: str) -> None:
    run_against(url, IN_A_TEST)["test_page_can_read_the_backend"]()


async def test_test_of_the_page_passes_with_a_right_backend_and_with_what_one_lives_with() -> None:
    for headers in (EVENT_HEADERS, UNCACHED):
        async with ScriptedBackend(Behaviour().answering(headers=headers)) as backend:
            await asyncio.to_thread(run_the_test, backend.url)


async def test_test_of_the_page_fails_with_a_wrong_backend_and_shows_the_report() -> None:
    async with ScriptedBackend(Behaviour().answering(headers={"content-type": "text/event-stream"})) as backend:
        with pytest.raises(AssertionError, match="FOUND   protocol-header"):
            await asyncio.to_thread(run_the_test, backend.url)


async def status_of_own_check(url: str) -> str:
    report: Report = (await asyncio.to_thread(run_against, url, OF_ONES_OWN))["report"]
    return report.results[-1].status


async def test_check_of_ones_own_runs_after_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    async with ScriptedBackend(NAMED) as backend:
        assert await status_of_own_check(backend.url) == "found"
    printed = capsys.readouterr().out
    assert "        The response names its server.\n        Cure: Leave the header server out.\n" in printed
    assert printed.endswith("1 finding\n")
    async with ScriptedBackend(Behaviour()) as backend:
        assert await status_of_own_check(backend.url) == "ok"


async def test_check_of_ones_own_sees_nothing_where_nobody_answers() -> None:
    assert await status_of_own_check(f"http://127.0.0.1:{REFUSING_PORT}/api/chat") == "unseen"
