"""Everything fails at once, and nothing is lost.

Users talk through nginx to three servers over Redis and PostgreSQL, while servers are killed and stopped, Redis and
PostgreSQL are killed, and the users themselves leave, come back and stop what they asked for; then while things stall;
then to three servers on one file of SQLite.
``make chaos`` has it longer; ``make chaos ARGS=--seed=…`` has a run again, as far as time can be had again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from tests.chaos.deployment import Deployment, Site
from tests.chaos.failures import Failures, Faults
from tests.chaos.one_file import OneFile, SecondProcesses
from tests.chaos.stalls import Stalls
from tests.chaos.summary import note_run
from tests.chaos.upstream import CALLS_PATH
from tests.chaos.user import SILENCE, User
from tests.chaos.verdict import Verdict
from tests.chaos.wire import WIRES
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

SETTLING = 60.0
"""Seconds after which nothing may be open any more: a lease, the search for lost runs, and the database's retries."""


SETTINGS = {"USECHAT_GRACE_SECONDS": "5", "USECHAT_LEASE_SECONDS": "6"}
LONGEST_RETRY = 60.0
"""Seconds between two tries to save an answer, once a database has been away for long."""
PAUSE = 1.5
"""Seconds from one failure to the next, on average."""


@dataclass(frozen=True)
class Scale:
    """How much there is of everything."""

    seed: str
    conversations: int
    turns: int
    seconds: float
    """For how long things are broken."""


class Talk(Protocol):
    """Let users talk while things are broken, tell people what came of it, and demand that nothing is wrong."""

    async def __call__(self, name: str, site: Site, faults: Faults, *, settling: float, times: float = 1) -> None: ...


@pytest.fixture
def option(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """How long and how hard it is."""
    return request.config.getoption


@pytest.fixture
def say(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Tell people something, whatever is captured; beside other processes only what goes wrong is shown."""
    if not request.config.pluginmanager.has_plugin("terminalreporter"):
        return print
    line = request.config.get_terminal_writer().line

    def say(text: str) -> None:
        with capsys.disabled():
            line(text)

    return say


@pytest.fixture
def talk(seed: str, option: Callable[[str], Any], say: Callable[[str], None]) -> Talk:
    async def talk(name: str, site: Site, faults: Faults, *, settling: float, times: float = 1) -> None:
        say(f"\n{name}: --seed={seed}")
        scale = Scale(seed, option("--conversations"), option("--turns"), times * option("--failing-seconds"))
        verdict = await talk_while_all_fails(site, faults, scale, settling)
        say(verdict.table())
        note_run(option("--counts"), name, seed, verdict, faults.spans)
        assert not verdict.faults, "\n".join(verdict.faults)

    return talk


async def test_whatever_fails_every_answer_ends_and_nothing_of_it_is_lost(tmp_path: Path, seed: str, talk: Talk):
    async with Deployment(tmp_path, SETTINGS) as deployment:
        await talk("failures", deployment, Failures(deployment, seed, PAUSE), settling=SETTLING)


async def test_whatever_stalls_every_answer_ends_and_nothing_that_was_seen_is_lost(
    tmp_path: Path, seed: str, option: Callable[[str], Any], talk: Talk
):
    async with Deployment(tmp_path, SETTINGS, can_stall=True) as deployment:
        stalls = Stalls(deployment, seed, PAUSE, option("--longest-stall"))
        # One after the other they take longer.
        await talk("stalls", deployment, stalls, times=3, settling=SETTLING + LONGEST_RETRY)


async def test_whatever_processes_share_a_file_every_answer_ends_and_nothing_that_was_seen_is_lost(
    tmp_path: Path, seed: str, option: Callable[[str], Any], talk: Talk
):
    async with OneFile(tmp_path, SETTINGS) as site:
        others = SecondProcesses(site, seed, PAUSE, option("--longest-stall"))
        await talk("one file", site, others, times=2, settling=SETTLING)


async def talk_while_all_fails(site: Site, faults: Faults, scale: Scale, settling: float) -> Verdict:
    timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(site.proxy.url, timeout=timeout, connector=connector) as session:
        users = [
            User(session, f"chat-{number}", WIRES[number % len(WIRES)], f"{scale.seed}-{number}")
            for number in range(scale.conversations)
        ]
        async with asyncio.TaskGroup() as group:
            group.create_task(break_things(faults, scale.seconds, users))
            for number, user in enumerate(users):
                group.create_task(begin_later(user, scale.turns, scale.seconds * number / scale.conversations))
        verdict = Verdict(site, users)
        verdict.counts.update(faults.counts)
        await eventually(lambda: is_settled(site), within=settling)
        verdict.judge_readers()
        for user in users:
            async with session.get(f"/api/chats/{user.chat_id}/export") as response:
                # Of a user who was not even heard there is nothing; the verdict knows.
                nothing: Any = {"messages": [], "details": []}
                verdict.judge_chat(user, await response.json() if response.status == 200 else nothing)
        verdict.judge_rest(await count_calls(site))
    return verdict


async def break_things(faults: Faults, seconds: float, users: Sequence[User]) -> None:
    await faults.go_on(seconds)
    for user in users:
        user.expect_answers()


async def begin_later(user: User, turns: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await user.talk(turns)


async def is_settled(site: Site) -> bool:
    await asyncio.sleep(0.5)
    calls = await count_calls(site)
    return calls["open"] == 0 and await asyncio.to_thread(site.row_count, "turns", "status IS NULL") == 0


async def count_calls(site: Site) -> Any:
    async with aiohttp.ClientSession(site.upstream.url) as session, session.get(CALLS_PATH) as response:
        return await response.json(content_type=None)
