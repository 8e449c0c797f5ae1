"""Answers at once of a user are counted by all processes together, and those of a process that died are forgotten."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import httpx
import pytest

from tests.integration.running_server import serving
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually
from usechat.server.access.asking import Asking
from usechat.server.access.limits import shared_slots
from usechat.server.access.limits.bills import Bill, Costs
from usechat.server.access.limits.quotas import LimitError
from usechat.server.access.limits.shared_slots import SharedSlots
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis that is slow since the machine is busy is not away."""
    monkeypatch.setattr(shared_slots, "ANSWER_SECONDS", 60.0)


class Answer:
    """Whatever is counted."""


async def begin(costs: Costs, now: Asking, answer: Answer) -> Bill:
    await costs.admit(now, makes_answer=True)
    await costs.take_place(now)
    bill = Bill(costs, now)
    bill.open(answer)
    return bill


async def until_room(slots: SharedSlots, holder: str) -> None:
    await eventually(lambda: slots.has_room([holder]))


async def test_answers_of_a_user_are_counted_by_all_processes(redis_server: RedisServer) -> None:
    settings = Settings.model_validate({"redis_url": redis_server.url, "answers_each": 2, "model": "demo"})
    one, other = Costs(settings), Costs(settings)
    asked = [Asking(user="in-all", address=f"192.0.2.{number}") for number in range(4)]
    answers = [Answer(), Answer()]
    bills = [await begin(one, asked[0], answers[0]), await begin(other, asked[1], answers[1])]
    for costs in (one, other):
        with pytest.raises(LimitError) as refused:
            await costs.admit(asked[2], makes_answer=True)
        with pytest.raises(LimitError):
            await costs.take_place(asked[2])
        assert (refused.value.status, refused.value.limit) == (429, "answers_each")
        # Nothing is counted of what was refused, and what makes no answer is not refused.
        await costs.admit(asked[2], makes_answer=False)
    assert one.shared is not None
    # One ends, and the other is held by nobody any more.
    close = bills[0].close
    assert close is not None
    close()
    await until_room(one.shared, "user:in-all")
    await other.take_place(asked[3])
    with pytest.raises(LimitError):
        await one.take_place(asked[2])
    # An answer that could not be made gives its place back.
    other.drop_place(asked[3])
    bills.clear()
    answers.clear()
    gc.collect()
    await until_room(one.shared, "user:in-all")
    for costs in (one, other):
        await costs.aclose()


async def test_two_at_once_do_not_share_the_last_place(redis_server: RedisServer) -> None:
    each = [SharedSlots(redis_server.url, 1) for _ in range(4)]
    taken = await asyncio.gather(*(slots.take(["user:at-once"]) for slots in each for _ in range(5)))
    assert sum(name is not None for name in taken) == 1
    for slots in each:
        await slots.aclose()
    last = SharedSlots(redis_server.url, 1)
    assert await last.has_room(["user:at-once"])
    await last.aclose()


async def test_answers_of_a_process_that_died_are_forgotten(redis_server: RedisServer) -> None:
    died, alive, third = (SharedSlots(redis_server.url, 2, lease_seconds=2.0) for _ in range(3))
    assert await died.take(["user:healed"])
    kept = await alive.take(["user:healed"])
    assert not await third.has_room(["user:healed"])
    assert died.keeping is not None
    died.keeping.cancel()
    # By then the other one's would be over as well, were it not renewed.
    await until_room(third, "user:healed")
    assert await third.take(["user:healed"])
    assert kept is not None

    async def both_count() -> bool:
        return not await third.has_room(["user:healed"])

    await eventually(both_count)
    alive.give_back(kept)
    alive.give_back(kept)
    await until_room(third, "user:healed")
    for slots in (died, alive, third):
        await slots.aclose()


async def test_answer_that_goes_on_counts_once_and_is_not_refused(redis_server: RedisServer) -> None:
    settings = Settings.model_validate({"redis_url": redis_server.url, "answers_each": 2, "model": "demo"})
    died, alive = Costs(settings), Costs(settings)
    for run in ("run-1", "run-2"):
        await died.take_place(Asking(user="goes-on"), run)
    goes_on = Asking(user="goes-on", goes_on=True)
    # There is no room, and its own place is still the dead process's.
    await alive.take_place(goes_on, "run-2")
    answers = [Answer() for _ in range(3)]
    bill = Bill(alive, goes_on)
    bill.open(answers[0])
    assert alive.slots.by_holder["user:goes-on"] == 1
    with pytest.raises(LimitError):
        await alive.take_place(Asking(user="goes-on"))
    assert died.shared is not None
    died.shared.give_back("run-1")
    await until_room(died.shared, "user:goes-on")
    # With a place that is over, and none left.
    await died.take_place(Asking(user="goes-on"), "run-3")
    for number, run in enumerate(("run-4", "run-5"), 1):
        await alive.take_place(goes_on, run)
        Bill(alive, goes_on).open(answers[number])
    assert alive.slots.by_holder["user:goes-on"] == 3
    for costs in (died, alive):
        await costs.aclose()


async def test_answers_go_on_without_redis(own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_slots, "AWAY_SECONDS", 0.0)
    slots = SharedSlots(own_redis.url, 1, lease_seconds=0.3)
    own_redis.kill()
    name = await slots.take(["user:away"])
    assert name
    assert await slots.has_room(["user:away"])
    own_redis.start()

    # What began meanwhile counts again.
    async def is_counted() -> bool:
        return not await slots.has_room(["user:away"])

    await eventually(is_counted)
    own_redis.kill()
    slots.give_back(name)
    await slots.aclose()


async def test_servers_with_one_redis_count_together(tmp_path: Path, own_redis: RedisServer) -> None:
    settings = {"USECHAT_MODEL": "demo", "USECHAT_REDIS_URL": own_redis.url, "USECHAT_ANSWERS_EACH": "1"}
    with serving(tmp_path, **settings) as one, serving(tmp_path, **settings) as other:
        async with httpx.AsyncClient(base_url=one.client.base_url, timeout=60) as client:
            message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "Give me the tour."}]}

            async def ask_other(chat: str) -> int:
                url = f"{str(other.client.base_url).rstrip('/')}/api/chat"
                body = {"id": chat, "messages": [message]}
                async with client.stream("POST", url, json=body) as answered:
                    return answered.status_code

            async with client.stream("POST", "/api/chat", json={"id": "c", "messages": [message]}) as answered:
                assert answered.status_code == 200
                await anext(answered.aiter_raw())
                assert await ask_other("refused") == 429
                await client.post("/api/chat/c/stop")

            async def is_let_in() -> bool:
                return await ask_other("d") == 200

            await eventually(is_let_in)
