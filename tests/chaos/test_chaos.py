"""Everything fails at once, and nothing is lost.

Users talk through nginx to three servers over Redis and PostgreSQL, while servers are killed and stopped, Redis is
killed, the database's connections are dropped, and the users themselves leave, come back and stop what they asked for.
``make chaos`` has it longer; ``make chaos ARGS=--seed=…`` has a run again, as far as time can be had again.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.chaos.deployment import Deployment
from tests.chaos.failures import Failures
from tests.chaos.upstream import CALLS_PATH
from tests.chaos.user import SILENCE, User
from tests.chaos.verdict import Verdict
from tests.chaos.wire import WIRES
from tests.support.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SETTLING = 60.0
"""Seconds after which nothing may be open any more: a lease, the search for lost runs, and the database's retries."""


PAUSE = 1.5
"""Seconds from one failure to the next, on average."""


async def test_whatever_fails_every_answer_ends_and_nothing_of_it_is_lost(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    option: Any = request.config.getoption
    seed = option("--seed")
    say = request.config.get_terminal_writer().line
    with capsys.disabled():
        say(f"\nchaos: --seed={seed}")
    async with Deployment(tmp_path, {"USECHAT_GRACE_SECONDS": "5", "USECHAT_LEASE_SECONDS": "6"}) as deployment:
        verdict = await talk_while_all_fails(
            deployment, seed, option("--conversations"), option("--turns"), option("--failing-seconds")
        )
    with capsys.disabled():
        say(verdict.table())
    assert not verdict.faults, "\n".join(verdict.faults)


async def talk_while_all_fails(
    deployment: Deployment, seed: str, conversations: int, turns: int, seconds: float
) -> Verdict:
    failures = Failures(deployment, seed, pause=PAUSE)
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
        await eventually(lambda: is_settled(deployment), within=SETTLING)
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
