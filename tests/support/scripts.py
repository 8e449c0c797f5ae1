"""Scripts of turns, performed as the driver performs them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, TypeVar

from usechat.answers.loop.asks import Script
from usechat.answers.loop.driver import execute

__all__ = ["follow"]

T = TypeVar("T")


async def follow(script: Script[T]) -> T:
    """Do what a script asks for; return what it returns."""
    streams: list[AsyncIterator[Any]] = []
    try:
        ask = next(script)
        while True:
            try:
                result = await execute(ask, streams)
            except Exception as error:  # noqa: BLE001 - the script says what follows
                ask = script.throw(error)
            else:
                ask = script.send(result)
    except StopIteration as end:
        return end.value
