"""Several worker processes on one socket, restarted when they die, but not for ever.

Upstream: ``uvicorn.supervisors.Multiprocess`` (uvicorn 0.54), which starts a worker that dies anew each half second,
and ends with 0 when none can start.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Callable
from typing import Final

import uvicorn
from uvicorn.supervisors.multiprocess import Multiprocess, Process

from usechat.errors import ConfigurationError

__all__ = ["Workers"]

TRIES_AT_START: Final = 3
"""How many workers in a row may die before the first one is ready."""
TRIES_LATER: Final = 10
"""The same, once the server has answered: two minutes' worth, enough for a database to come back."""
FIRST_PAUSE_SECONDS: Final = 0.5
LAST_PAUSE_SECONDS: Final = 30.0
READY_SECONDS: Final = 1.0
"""Seconds that a worker may take to say whether it is ready. A starting one is asked again."""

logger = logging.getLogger(__name__)


class Workers(Multiprocess):
    """The workers of a server.

    Args:
        config: As for uvicorn; says how many.
        listeners: The sockets that they accept from.
        on_ready: Called once, when the first worker answers requests.
    """

    def __init__(self, config: uvicorn.Config, listeners: list[socket.socket], on_ready: Callable[[], None]) -> None:
        super().__init__(config, sockets=listeners)
        self._on_ready = on_ready
        self._has_answered = False
        self._ready: set[int | None] = set()
        self._deaths = 0
        self._resume_at = 0.0

    def run(self) -> None:
        """Serve until told to stop.

        Raises:
            ConfigurationError: The workers die before they are ready, time and again.
        """
        try:
            super().run()
        except BaseException:
            # This process waits for its workers when it ends, and nobody else would tell them to.
            self.terminate_all()
            self.join_all()
            raise
        if self._deaths >= self._tries:
            raise ConfigurationError("the workers do not start: the lines above say why.")

    def terminate_all(self) -> None:
        """Tell the workers to stop, and close the sockets."""
        super().terminate_all()
        # As long as any process holds one, the system goes on taking connections, which wait for a worker until the
        # last answer has ended. Refused ones go to another server at once.
        for listener in self.sockets:
            listener.close()

    def keep_subprocess_alive(self) -> None:
        """Look at each worker, and replace those that are gone."""
        for index, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.pid in self._ready:
                if not process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                    process.kill()
                    process.join()
                    logger.warning("worker %s died; another one takes its place", process.pid)
                    self._ready.discard(process.pid)
                    self._replace(index)
            elif process.exitcode is None:
                self._look_at_start(process)
            else:
                self._count_death(index)

    @property
    def _tries(self) -> int:
        return TRIES_LATER if self._has_answered else TRIES_AT_START

    def _look_at_start(self, process: Process) -> None:
        if not process.is_ready(timeout=READY_SECONDS):
            return
        self._ready.add(process.pid)
        self._deaths = 0
        if not self._has_answered:
            self._has_answered = True
            self._on_ready()

    def _count_death(self, index: int) -> None:
        if self._resume_at == 0.0:
            self._deaths += 1
            if self._deaths >= self._tries:
                self.should_exit.set()
                return
            pause = min(FIRST_PAUSE_SECONDS * 2**self._deaths, LAST_PAUSE_SECONDS)
            self._resume_at = time.monotonic() + pause
        elif time.monotonic() >= self._resume_at:
            self._resume_at = 0.0
            self._replace(index)

    def _replace(self, index: int) -> None:
        self.processes[index] = Process(self.config, self.sockets)
        self.processes[index].start()
