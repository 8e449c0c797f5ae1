"""The programs that a session of comparisons needs, each started when it is first asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.harness import HarnessRun
from tests.conformance.sides import Sides


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What waits for the harness comes last."""
    items.sort(key=waits_for_harness)


def waits_for_harness(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and "harness_run" in item.fixturenames


@pytest.fixture(scope="session", autouse=True)
def early_start(request: pytest.FixtureRequest) -> None:
    """Has the harness begin with the session, so that its time passes while other tests run."""
    if any(waits_for_harness(item) for item in request.session.items):
        # What goes wrong is told by the tests that need it: pytest keeps the exception for them.
        with contextlib.suppress(Exception):
            request.getfixturevalue("harness_run")


@pytest.fixture(scope="session")
def harness_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HarnessRun]:
    """The harness beside the repository, which compares by itself."""
    started = HarnessRun(tmp_path_factory.mktemp("harness"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both backends and the clients."""
    made = Sides(logs=Path(tmp_path_factory.mktemp("logs")))
    yield made
    made.close()
