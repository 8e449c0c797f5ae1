"""An answer, and what its callbacks are told."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from tests.support.waiting import PATIENCE
from usechat import FinishEvent, stream_text
from usechat.answers import driven
from usechat.answers.answer import Answer, Callbacks
from usechat.parts import Part
from usechat.testing.models import ScriptedModel


class Heard:
    """An answer's callbacks, and what they heard. Made before anything runs."""

    def __init__(self) -> None:
        self.tasks = asyncio.all_tasks()
        self.finished: list[FinishEvent] = []
        self.aborted: list[Any] = []
        self.parts: list[Part] = []
        self.errors: list[BaseException] = []
        self.over = asyncio.Event()

    async def on_finish(self, event: FinishEvent) -> None:
        self.finished.append(event)
        await asyncio.sleep(0)
        self.over.set()

    def options(self) -> dict[str, Any]:
        """For `stream_text`."""
        return {
            "on_finish": self.on_finish,
            "on_abort": self.aborted.append,
            "on_part": self.parts.append,
            "on_error": self._on_error,
        }

    def callbacks(self) -> Callbacks:
        """For an answer of one's own."""
        return Callbacks(on_finish=self.on_finish, on_abort=self.aborted.append)

    def _on_error(self, error: BaseException) -> None:
        self.errors.append(error)

    async def once(self) -> FinishEvent:
        """The only end that was told; after it nothing is left running."""
        async with asyncio.timeout(PATIENCE):
            await self.over.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() <= self.tasks
        assert not driven.DRIVERS
        (event,) = self.finished
        return event


def ask(model: ScriptedModel, heard: Heard | None = None, **options: Any) -> Answer:
    callbacks: dict[str, Any] = {} if heard is None else heard.options()
    arguments: dict[str, Any] = {"prompt": "Hi", **callbacks, **options}
    return stream_text(model, **arguments)


def texts(event: FinishEvent) -> list[str]:
    return [part["text"] for part in event.ui_message["parts"] if part["type"] == "text"]


async def read_until(result: Answer, kind: type) -> None:
    """Read until a part of this kind came, then go away."""
    async with aclosing(result.batches()) as batches:
        async for batch in batches:
            if any(isinstance(part, kind) for part in batch):
                return


async def reading(result: Answer, parts: list[Part]) -> None:
    async for part in result:
        parts.append(part)  # noqa: PERF401 - what was read counts although it is cut off
