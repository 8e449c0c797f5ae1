"""What `make fuzz` begins with, and all that it has found, leaves everything that reads bytes in order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.seeds import PIECE_SIZES, seeds
from tests.fuzz.targets import TARGETS, run

# All that they run is run by other tests: tracing each of the many cuts takes longer than they do.
pytestmark = pytest.mark.no_cover

CASES = Path(__file__).parents[1] / "fuzz" / "cases"


@pytest.mark.parametrize("name", TARGETS)
def test_well_formed_bytes_are_read_however_they_are_cut(name: str) -> None:
    fed = [data for target, data in seeds() if target == name]
    assert fed
    for data in fed:
        for size in PIECE_SIZES:
            TARGETS[name](data, size)
            TARGETS[name](data[: len(data) // 2], size)


def test_what_a_fuzzer_has_found_is_in_order() -> None:
    for case in sorted(CASES.glob("*")):
        run(case.read_bytes())
