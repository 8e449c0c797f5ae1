from __future__ import annotations

import asyncio
import os
import time

import pytest

from tests.support.waiting import PATIENCE
from usechat.runs.heartbeat import Heartbeat

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_gap_is_noticed_before_a_task_goes_on_with_what_came_meanwhile() -> None:
    loop, order = asyncio.get_running_loop(), list[str]()
    heartbeat = Heartbeat(0.1, lambda: order.append("gap"))
    heartbeat.start()
    heartbeat.start()
    reading, writing = os.pipe()
    has_come = asyncio.Event()
    loop.add_reader(reading, has_come.set)
    task = asyncio.create_task(has_come.wait())
    task.add_done_callback(lambda _task: order.append("task"))
    await asyncio.sleep(0)
    order.clear()
    os.write(writing, b"x")
    time.sleep(0.2)  # noqa: ASYNC251 - the loop stands still
    await asyncio.wait_for(task, PATIENCE)
    await asyncio.sleep(0)
    loop.remove_reader(reading)
    # A busy machine may leave more gaps.
    assert order[0] == "gap"
    assert "task" in order
    assert heartbeat.seconds_awake < PATIENCE
    heartbeat.close()
    heartbeat.close()
    os.close(reading)
    os.close(writing)


async def test_code_that_held_up_the_loop_itself_finds_the_gap_at_once() -> None:
    gaps: list[None] = []
    heartbeat = Heartbeat(0.1, lambda: gaps.append(None))
    heartbeat.check()
    assert gaps == []
    heartbeat.start()
    time.sleep(0.2)  # noqa: ASYNC251 - the loop stands still
    heartbeat.check()
    assert len(gaps) == 1
    heartbeat.close()
