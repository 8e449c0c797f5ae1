from __future__ import annotations

import asyncio
import logging

import pytest

from tests.support.waiting import eventually
from usechat.runs.log import RunInfo
from usechat.runs.saving import OnEnd, Saves

pytestmark = pytest.mark.anyio

INFO = RunInfo(id="run", chat_id="chat", created_at=0.0)
LONG = 3600.0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Database:
    """Is away for some calls."""

    def __init__(self, away: int) -> None:
        self.away = away
        self.calls = 0

    async def save(self, info: RunInfo) -> None:
        self.calls += 1
        if self.calls <= self.away:
            raise ConnectionError("away")


async def test_what_could_be_saved_is_saved_once():
    saves, database = Saves([0.0]), Database(away=0)
    assert await saves.save(INFO, database.save)
    await saves.aclose(1)
    assert database.calls == 1


async def test_what_could_not_be_saved_is_tried_until_it_is(caplog: pytest.LogCaptureFixture):
    saves, database = Saves([0.0, 0.0, 0.0, 0.0]), Database(away=3)
    assert not await saves.save(INFO, database.save)
    await eventually(lambda: database.calls == 4)
    await saves.aclose(1)
    assert database.calls == 4
    assert "was not saved" not in caplog.text


async def test_at_some_time_it_is_given_up(caplog: pytest.LogCaptureFixture):
    saves, database = Saves([0.0, 0.0]), Database(away=99)
    with caplog.at_level(logging.WARNING):
        await saves.save(INFO, database.save)
        await eventually(lambda: "was not saved" in caplog.text)
    assert database.calls == 3


async def test_at_the_processes_end_it_is_tried_once_more():
    saves, database = Saves([LONG, LONG]), Database(away=1)
    await saves.save(INFO, database.save)
    await saves.aclose(5)
    assert database.calls == 2


async def test_a_last_try_does_not_hold_up_the_processes_end():
    saves, database = Saves([LONG]), Database(away=1)
    await saves.save(INFO, database.save)
    hanging = asyncio.Event()

    async def hang(info: RunInfo) -> None:
        hanging.set()
        await asyncio.Event().wait()

    await saves.save(INFO, fail_then(hang))
    await saves.aclose(0.01)
    assert hanging.is_set()


def fail_then(work: OnEnd) -> OnEnd:
    calls: list[RunInfo] = []

    async def save(info: RunInfo) -> None:
        calls.append(info)
        if len(calls) == 1:
            raise ConnectionError("away")
        await work(info)

    return save
