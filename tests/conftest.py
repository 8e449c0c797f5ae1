"""What holds for all tests."""

from __future__ import annotations

import gc
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

from tests.support import forks

# How long an example takes says more of the machine than of what is tested: other tests run at the same time.
_FOR_ALL = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Each run draws the same examples, so that a run fails for a change and not by chance.
# `make unit ARGS=--hypothesis-profile=thorough` draws many others.
settings.register_profile("usechat", _FOR_ALL, max_examples=30, derandomize=True)
settings.register_profile("thorough", _FOR_ALL, max_examples=500)
# `make fuzz-routes`: some 100,000 requests.
settings.register_profile("long", _FOR_ALL, max_examples=12_500, database=None)
settings.load_profile("usechat")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--thorough",
        action="store_true",
        help="run what is marked as thorough, too, and all combinations",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked as thorough, unless that is asked for."""
    if config.getoption("--thorough"):
        return
    left_out = [item for item in items if item.get_closest_marker("thorough")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


@pytest.fixture(scope="session")
def is_thorough(request: pytest.FixtureRequest) -> bool:
    """Whether all combinations are tried: see `tests.support.pairs`."""
    return bool(request.config.getoption("--thorough"))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect without the garbage collector: all that the tests import stays, and it takes as long as the rest."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_sessionfinish() -> None:
    """End the process that starts servers."""
    forks.close()
