"""Everything fails at once, and nothing is lost.

Users talk through nginx to three servers over Redis and PostgreSQL, while servers are killed and stopped, Redis is
killed, the database's connections are dropped, and the users themselves leave, come back and stop what they asked for.
``make chaos`` has it longer; ``make chaos ARGS=--seed=…`` has a run again, as far as time can be had again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.failures import Failures
from tests.chaos.stalls import Stalls
from tests.chaos.upstream import CALLS_PATH
from tests.chaos.user import SILENCE, User
from tests.chaos.verdict import Verdict
from tests.chaos.wire import WIRES
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SETTLING = 60.0
"""Seconds after which nothing may be open any more: a lease, the search for lost runs, and the database's retries."""


SETTINGS = {"USECHAT_GRACE_SECONDS": "5", "USECHAT_LEASE_SECONDS": "6"}
LONGEST_RETRY = 60.0
"""Seconds between two tries to save an answer, once a database has been away for long."""
PAUSE = 1.5
"""Seconds from one failure to the next, on average."""


@pytest.fixture
def option(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    """How long and how hard it is."""
    return request.config.getoption


@pytest.fixture
def say(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Tell people something, whatever is captured."""
    line = request.config.get_terminal_writer().line

    def say(text: str) -> None:
        with capsys.disabled():
            line(text)

    return say


async def test_whatever_fails_every_answer_ends_and_nothing_of_it_is_lost(
    tmp_path: Path, seed: str, option: Callable[[str], Any], say: Callable[[str], None]
):
    say(f"\nchaos: --seed={seed}")
    async with Deployment(tmp_path, SETTINGS) as deployment:
        verdict = await talk_while_all_fails(
            Failures(deployment, seed, PAUSE), seed, option, option("--failing-seconds"), SETTLING
        )
    say(verdict.table())
    assert not verdict.faults, "\n".join(verdict.faults)


async def test_whatever_stalls_every_answer_ends_and_nothing_that_was_seen_is_lost(
    tmp_path: Path, seed: str, option: Callable[[str], Any], say: Callable[[str], None]
):
    say(f"\nstalls: --seed={seed}")
    async with Deployment(tmp_path, SETTINGS, has_holes=True) as deployment:
        stalls = Stalls(deployment, seed, PAUSE, option("--longest-stall"))
        # One after the other they take longer.
        seconds = 3 * option("--failing-seconds")
        verdict = await talk_while_all_fails(stalls, seed, option, seconds, SETTLING + LONGEST_RETRY)
    say(verdict.table())
    assert not verdict.faults, "\n".join(verdict.faults)


async def talk_while_all_fails(
    failures: Failures, seed: str, option: Callable[[str], Any], seconds: float, settling: float
) -> Verdict:
    deployment, conversations, turns = failures.deployment, option("--conversations"), option("--turns")
    timeout = aiohttp.ClientTimeout(total=None, sock_read=SILENCE)
    calm_at = asyncio.get_running_loop().time() + seconds
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(deployment.proxy.url, timeout=timeout, connector=connector) as session:
        users = [
            User(session, f"chat-{number}", WIRES[number % len(WIRES)], f"{seed}-{number}", calm_at)
            for number in range(conversations)
        ]
        async with asyncio.TaskGroup() as group:
            group.create_task(failures.go_on(seconds))
            for number, user in enumerate(users):
                group.create_task(begin_later(user, turns, seconds * number / conversations))
        verdict = Verdict(deployment, users)
        verdict.counts.update(failures.counts)
        await eventually(lambda: is_settled(deployment), within=settling)
        verdict.judge_readers()
        for user in users:
            async with session.get(f"/api/chats/{user.chat_id}/export") as response:
                # Of a user who was not even heard there is nothing; the verdict knows.
                nothing: Any = {"messages": [], "details": []}
                verdict.judge_chat(user, await response.json() if response.status == 200 else nothing)
        verdict.judge_rest(await count_calls(deployment))
    return verdict


async def begin_later(user: User, turns: int, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await user.talk(turns)


async def is_settled(deployment: Deployment) -> bool:
    await asyncio.sleep(0.5)
    calls = await count_calls(deployment)
    return calls["open"] == 0 and await asyncio.to_thread(deployment.row_count, "turns", "status IS NULL") == 0


async def count_calls(deployment: Deployment) -> Any:
    async with aiohttp.ClientSession(deployment.upstream.url) as session, session.get(CALLS_PATH) as response:
        return await response.json(content_type=None)
