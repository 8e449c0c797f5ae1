"""Nobody uses more than the limits, and a server that is full says so at once. The application is called directly."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from usechat.answers.answer import FinishEvent
from usechat.parts import Usage
from usechat.server.access.asking import Asking
from usechat.server.access.limits.bills import Costs
from usechat.server.access.limits.counters import SWEEP_AT, WindowMemory
from usechat.server.access.limits.quotas import LimitError, Quotas, Slots, holders
from usechat.server.app import create_app
from usechat.server.settings import Settings

pytestmark = pytest.mark.anyio

CHAT = {"id": "c", "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hello"}]}]}
ANN, BOB = Asking("r", user="ann", address="192.0.2.1"), Asking("r", user="bob", address="192.0.2.2")

Asked = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def asked() -> Asked:
    @asynccontextmanager
    async def ask(*, peer: str = "127.0.0.1", **settings: Any) -> AsyncGenerator[httpx.AsyncClient]:
        app = create_app(Settings.model_validate({"model": "demo", "database_url": "off", **settings}))
        transport = httpx.ASGITransport(app, client=(peer, 50000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            yield client

    return ask


class Answer:
    """Whatever is counted."""


async def test_requests_of_an_address_are_counted(asked: Asked) -> None:
    async with asked(requests_per_minute=2) as client:
        assert [(await client.get("/api/info")).status_code for _ in range(3)] == [200, 200, 429]
        refused = await client.post("/api/chat", json=CHAT)
        assert (await client.get("/healthz")).status_code == 200
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.json() == {"detail": "Too many requests. Try again in a minute."}


async def test_one_too_many_is_refused_before_its_body_is_read(asked: Asked) -> None:
    async with asked(requests_per_minute=1) as client:
        await client.get("/api/info")
        assert (await client.post("/api/chat", content=b"no JSON")).status_code == 429


async def test_tokens_of_a_day_are_counted_as_they_are_used(asked: Asked) -> None:
    async with asked(tokens_per_day=1) as client:
        assert (await client.post("/api/chat", json=CHAT)).status_code == 200
        refused = await client.post("/api/chat", json=CHAT)
        # What makes no answer uses none.
        assert (await client.get("/api/info")).status_code == 200
    assert (refused.status_code, refused.json()["detail"][:10]) == (429, "The tokens")


async def test_answers_of_one_holder_are_counted() -> None:
    slots, answers = Slots(0, 1), [Answer(), Answer()]
    release = slots.take(answers[0], ANN)
    with pytest.raises(LimitError) as refused:
        slots.take(answers[1], ANN)
    assert (refused.value.status, refused.value.retry_after) == (429, 2)
    slots.take(answers[1], BOB)
    release()
    release()
    slots.check(ANN)
    assert slots.running == 1
    assert "user:ann" not in slots.by_holder


async def test_full_server_refuses_at_once_and_before_the_body() -> None:
    costs = Costs(Settings.model_validate({"max_answers": 1, "model": "demo"}))
    answer = Answer()
    bill = costs.bill()
    bill.open(answer)
    with pytest.raises(LimitError) as refused:
        await costs.admit(ANN, makes_answer=True)
    assert (refused.value.status, refused.value.retry_after) == (503, 2)
    await costs.admit(ANN, makes_answer=False)
    with pytest.raises(LimitError):
        costs.bill().open(Answer())
    assert costs.meter.limits_hit == {"answers": 2}


async def test_answer_that_never_began_gives_its_place_back() -> None:
    slots, answer = Slots(1, 1), Answer()
    slots.take(answer, ANN)
    del answer
    gc.collect()
    slots.check(ANN)


async def test_answer_gives_its_place_back_and_tells_what_no_step_has_told() -> None:
    costs = Costs(Settings.model_validate({"max_answers": 1, "tokens_per_day": 10, "model": "demo"}))
    answer, bill = Answer(), costs.bill()
    bill.open(answer)
    usage = Usage(input_no_cache=4, output=7)
    event: Any = FinishEvent(ui_message={}, text="", finish_reason=None, usage=usage, steps=())
    ending = bill.note_end(event)
    assert ending is not None
    await ending
    assert costs.slots.running == 0
    assert costs.meter.tokens == {"unfinished": 11}
    with pytest.raises(LimitError):
        await costs.admit(bill.now, makes_answer=True)


@pytest.mark.parametrize(
    ("now", "counted"),
    [
        (Asking(address="192.0.2.1"), ("address:192.0.2.1",)),
        (Asking(user="ann", address="192.0.2.1"), ("user:ann", "address:192.0.2.1")),
        # A customer of an IPv6 provider has a whole network.
        (Asking(address="2001:db8:1:2:3:4:5:6"), ("address:2001:db8:1:2::/64",)),
        (Asking(address="fe80::1%eth0"), ("address:fe80::/64",)),
        (Asking(address="::ffff:192.0.2.1"), ("address:192.0.2.1",)),
        (Asking(address="a:socket"), ("address:a:socket",)),
    ],
)
def test_holders_of_a_counter(now: Asking, counted: tuple[str, ...]) -> None:
    assert holders(now) == counted


async def test_counters_of_ended_windows_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("usechat.server.access.limits.counters.time.time", lambda: now)
    memory = WindowMemory()
    for number in range(SWEEP_AT):
        assert await memory.incr(f"old-{number}", 60) == 1
    now += 61
    assert await memory.get("old-1") == 0
    assert await memory.incr("new", 60) == 1
    assert list(memory.counters) == ["new"]
    assert await memory.get_expiry("new") == now + 60
    assert await memory.check()
    await memory.clear("new")
    await memory.reset()
    assert await memory.get("new") == 0


async def test_redis_that_is_away_lets_the_process_count_by_itself() -> None:
    settings = {"redis_url": "redis://127.0.0.1:1/0", "requests_per_minute": 1, "model": "demo"}
    quotas = Quotas(Settings.model_validate(settings))
    async with asyncio.timeout(20):
        await quotas.admit(ANN)
        with pytest.raises(LimitError) as refused:
            await quotas.admit(ANN)
    assert 1 <= refused.value.retry_after <= 60
