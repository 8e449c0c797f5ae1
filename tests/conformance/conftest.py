"""The programs that a session of comparisons needs, each started when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.sides import Sides


@pytest.fixture(scope="session")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    """Both backends and the clients."""
    made = Sides(logs=Path(tmp_path_factory.mktemp("logs")))
    yield made
    made.close()
