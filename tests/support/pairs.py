"""Fewer combinations of three lists, among which each pair of values still comes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

__all__ = ["share"]

_SHARES = 3

ValueT = TypeVar("ValueT")


def share(values: Iterable[ValueT], first: int, second: int, *, is_thorough: bool) -> list[ValueT]:
    """Return a third of the values; all of them if the tests are to be thorough.

    Which third is decided by the places that are tried with them in two other lists. Where one of these has three
    places or more, each place of the other comes with each value.

    Args:
        values: Those of one list.
        first: A place in another one.
        second: A place in the third one.
        is_thorough: What ``--thorough`` says.
    """
    return [value for place, value in enumerate(values) if is_thorough or (place + first + second) % _SHARES == 0]
