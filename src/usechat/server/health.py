"""The health of this process: it should get requests while its database and Redis answer, and it does not end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

__all__ = ["Health", "Probe"]

Probe = Callable[[], Awaitable[Any]]

PROBE_SECONDS: Final = 0.7
"""Seconds that a probe may take: who asks has an answer within one."""
FRESH_SECONDS: Final = 1.0
"""Seconds for which an answer counts: those who ask need no key, and must not keep the database busy."""

logger = logging.getLogger(__name__)


class Health:
    """The state of what a process needs.

    Args:
        probes: What asks each of them for a sign of life, by its name.
    """

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self.probes = probes
        self.is_draining = False
        self.asked: dict[str, asyncio.Task[Any]] = {}
        self.found: dict[str, str] = {}
        self.fresh_until = 0.0

    async def check(self) -> tuple[bool, dict[str, str]]:
        """Return whether the process is ready, and the state of each thing that it needs: ``ok`` or ``away``."""
        if time.monotonic() >= self.fresh_until:
            tasks = [self._ask(name) for name in self.probes]
            if tasks:
                await asyncio.wait(tasks, timeout=PROBE_SECONDS)
            self.found = {name: self._read(name) for name in self.probes}
            self.fresh_until = time.monotonic() + FRESH_SECONDS
        return not self.is_draining and all(found == "ok" for found in self.found.values()), self.found

    def _ask(self, name: str) -> asyncio.Task[Any]:
        # One that has not answered yet is not asked again: what hangs would gather questions.
        task = self.asked.get(name)
        if task is None or task.done():
            task = self.asked[name] = asyncio.ensure_future(self._probe(name))
        return task

    async def _probe(self, name: str) -> bool:
        try:
            await self.probes[name]()
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it cannot be used
            logger.debug("%s does not answer: %s", name, type(error).__name__)
            return False
        return True

    def _read(self, name: str) -> str:
        task = self.asked[name]
        return "ok" if task.done() and not task.cancelled() and task.result() else "away"
