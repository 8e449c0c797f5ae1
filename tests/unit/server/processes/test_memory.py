"""What was used for a while is given back to the system."""

from __future__ import annotations

import asyncio
import sys

import pytest

from tests.support.waiting import eventually
from usechat.server.processes import memory
from usechat.server.processes.memory import MUCH, find_trim, give_back_for_ever, resident_bytes

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.skipif(sys.platform != "linux" or find_trim() is None, reason="only glibc can give memory back")
async def test_memory_between_what_stays_is_given_back() -> None:
    before = resident_bytes()
    giving_back = asyncio.create_task(give_back_for_ever(0.01))
    await asyncio.sleep(0)
    # Too large for Python's own allocator, too small for pages of their own; each tenth stays.
    pieces = [bytes(60_000) for _ in range(4 * MUCH // 60_000)]
    for piece in range(len(pieces)):
        pieces[piece] = pieces[piece] if piece % 10 == 0 else b""
    await eventually(lambda: resident_bytes() < before + 2 * MUCH)
    assert not giving_back.done()
    giving_back.cancel()


async def test_other_systems_keep_what_they_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "find_trim", lambda: None)
    await give_back_for_ever()
