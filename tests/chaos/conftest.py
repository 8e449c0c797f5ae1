"""How long and how hard the failure test is: ``make chaos`` has it longer than ``make test``."""

from __future__ import annotations

import secrets
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--seed", default=secrets.token_hex(4), help="decides what goes wrong; printed by each run")
    group.addoption("--seeds", type=int, default=1, help="how many runs there are, each with a seed of its own")
    group.addoption("--conversations", type=int, default=20, help="how many users there are")
    group.addoption("--failing-seconds", type=float, default=6.0, help="for how long things are broken")
    group.addoption("--longest-stall", type=float, default=3.0, help="the most seconds that something stalls")
    group.addoption("--turns", type=int, default=1, help="questions of each user")
    group.addoption("--counts", default=None, help="a file to which each run adds a line; tests.chaos.summary reads it")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seed" in metafunc.fixturenames:
        count: Any = metafunc.config.getoption("--seeds")
        metafunc.parametrize("seed", range(count), indirect=True)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> str:
    """Decides what goes wrong; the first is the one that was given."""
    given: Any = request.config.getoption("--seed")
    return f"{given}-{request.param}" if request.param else given


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
