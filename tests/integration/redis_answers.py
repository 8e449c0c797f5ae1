"""Answers that run on a Redis of the test's own, and what of them is seen and saved."""

from __future__ import annotations

import asyncio
import json

from tests.integration.test_turn_ends import Process
from tests.support.waiting import PATIENCE
from usechat.testing.models import Step, saying


class Answering:
    """An answer that has said ``Hello`` and goes on when it may."""

    def __init__(self, process: Process) -> None:
        self.said = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.task = asyncio.create_task(process.ask(self.step()))
        self.runs = process.conversations.runs

    def step(self) -> Step:
        said = saying("Hello", " you", " there")

        async def hold() -> None:
            self.said.set()
            await self.may_go_on.wait()

        return [*said[:2], hold, *said[2:]]

    async def end(self) -> bytes:
        """Go on; what its own reader got."""
        self.may_go_on.set()
        response = await asyncio.wait_for(self.task, PATIENCE)
        return response.content

    async def leave(self) -> None:
        """Read no more of it, and wait until its process has decided what becomes of it."""
        self.task.cancel()
        await asyncio.wait({self.task})
        # That is asked of Redis, by a connection that must be there to be closed.
        if deciding := self.runs.readers.tasks:
            await asyncio.wait(set(deciding))


async def begin_to_answer(process: Process) -> Answering:
    answering = Answering(process)
    await asyncio.wait_for(answering.said.wait(), PATIENCE)
    return answering


def deltas(seen: str) -> str:
    frames = [json.loads(line[6:]) for line in seen.splitlines() if line.startswith("data: {")]
    return "".join(frame["delta"] for frame in frames if frame["type"] == "text-delta")
