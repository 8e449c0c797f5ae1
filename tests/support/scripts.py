"""Scripts of turns, performed as the driver performs them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

from usechat.answers.loop.asks import Script
from usechat.answers.loop.deadline import Deadline
from usechat.answers.loop.driver import execute_in_time
from usechat.answers.loop.time_limits import TimeLimits

__all__ = ["follow"]

T = TypeVar("T")


async def follow(script: Script[T]) -> T:
    """Do what a script asks for; return what it returns."""
    streams: list[AsyncIterator[Any]] = []
    limits = TimeLimits(None, asyncio.get_running_loop().time)
    deadline = Deadline()
    try:
        ask = next(script)
        while True:
            try:
                answer = await execute_in_time(ask, streams, limits, deadline)
            except Exception as error:  # noqa: BLE001 - the script says what follows
                ask = script.throw(error)
            else:
                ask = script.send(answer)
    except StopIteration as end:
        return end.value
