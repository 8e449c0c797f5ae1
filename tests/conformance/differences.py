"""Where our backend differs from the real AI SDK's, on purpose, and why.

A row says in which aspects; each aspect named must still differ, and no other may.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.conformance.compare import Aspect

__all__ = ["DIFFERENCES", "Difference"]


@dataclass(frozen=True)
class Difference:
    """Why, and in which aspects."""

    reason: str
    aspects: frozenset[Aspect]


def _rows() -> Iterator[tuple[tuple[int, str], Difference]]:
    yield from ()


DIFFERENCES: Mapping[tuple[int, str], Difference] = dict(_rows())
"""By major and the scenario's name."""
