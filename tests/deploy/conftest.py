"""One build of the deployment for all tests, and for all sessions as long as nothing of it changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.deployment import current_build
from tests.support.shared_servers import postgres_server, redis_server

__all__ = ["postgres_server", "redis_server"]


@pytest.fixture(scope="session")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Vercel's builder makes of this checkout."""
    return current_build(tmp_path_factory.mktemp("deployment") / "build.log")


@pytest.fixture(scope="session")
def function(output: Path) -> Path:
    [found] = (output / "services" / "api" / "functions").glob("*.func")
    return found
