"""What happens once, and who waits for it."""

from __future__ import annotations

import asyncio

import pytest

from usechat.generate.happening import Happening

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def test_who_waits_is_told():
    happening = Happening()
    waiting = asyncio.create_task(happening.event.wait())
    await asyncio.sleep(0)
    assert not happening.has_happened

    happening.set()
    assert await waiting
    assert happening.has_happened


async def test_event_that_is_asked_for_late_is_set():
    happening = Happening()
    happening.set()
    assert happening.event.is_set()
    assert happening.event is happening.event
