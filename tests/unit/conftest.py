"""Which tests count for the coverage of the sources."""

from __future__ import annotations

import pytest
from hypothesis import is_hypothesis_test

_COUNTING = frozenset({"test_every_client_takes_a_legal_answer", "test_strict_raises_for_what_would_be_mended"})
"""Those that show what the package's own strategies for tests reach."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with random examples do not: each run reaches something else, and tracing them takes as long as they do."""
    for item in items:
        if isinstance(item, pytest.Function) and is_hypothesis_test(item.obj) and item.originalname not in _COUNTING:
            item.add_marker(pytest.mark.no_cover)
