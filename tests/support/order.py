"""In which order pytest runs the files of a folder, where that decides how long several processes take for them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

__all__ = ["begin_with"]


def begin_with(files: Sequence[str], items: list[pytest.Item]) -> None:
    """Sort tests so that those of these files come first, in this order; the order of all others stays.

    Args:
        files: Their names without ``.py``, the one that takes longest first: whoever takes a file when all others are
            done has everybody wait for it.
        items: What pytest has collected.
    """
    places = {name: place for place, name in enumerate(files)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))
