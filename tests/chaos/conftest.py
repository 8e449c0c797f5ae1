"""How long and how hard the failure test is: ``make chaos`` has it longer than ``make test``."""

from __future__ import annotations

import secrets

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("chaos")
    group.addoption("--seed", default=secrets.token_hex(4), help="decides what goes wrong; printed by each run")
    group.addoption("--conversations", type=int, default=20, help="how many users there are")
    group.addoption("--failing-seconds", type=float, default=6.0, help="for how long things are broken")
    group.addoption("--turns", type=int, default=1, help="questions of each user")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
