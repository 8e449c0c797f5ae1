"""One backend, one stand-in for the model and one program for each client, all session long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.clients.cases import CASES
from tests.clients.visits import SEED
from tests.conformance.sides import reply_of_turn
from tests.support.backend import Backend
from tests.support.node import NodeProgram
from tests.support.order import begin_with
from tests.support.shared_servers import postgres_server, redis_server
from usechat.testing.replay import ReplayedRequest, ReplayServer, Reply

__all__ = ["postgres_server", "redis_server"]

_DRIVER = Path(__file__).parent / "driver.mjs"
_SCENARIOS = {case.name: case.scenario for case in CASES}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    begin_with(["test_resuming", "test_released_clients"], items)


@pytest.fixture(scope="session")
def upstream() -> Iterator[ReplayServer]:
    """What answers in the model's place."""

    def reply(request: ReplayedRequest) -> Reply:
        body = request.json
        return reply_of_turn(_SCENARIOS[body["model"]], body["messages"])

    with ReplayServer(reply) as server:
        yield server


@pytest.fixture(scope="session")
def backend(upstream: ReplayServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """Our side."""
    log = tmp_path_factory.mktemp("backend") / "log"
    started = Backend("tests.clients.app:app", upstream=upstream.url, log=log)
    yield started
    started.close()


@pytest.fixture(scope="session")
def client_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], NodeProgram]]:
    """The client of a version, started when it is first asked for."""
    logs = tmp_path_factory.mktemp("clients")
    with ExitStack() as stack:

        def start(version: str) -> NodeProgram:
            program = NodeProgram(_DRIVER, "--version", version, log=logs / version)
            stack.callback(program.close)
            return program

        yield cache(start)


def pytest_report_header() -> str:
    """What repeats this session's random cuts."""
    return f"RESUME_SEED={SEED}"
