"""A check: its name, its run against a backend, and a cure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from usechat.doctor.backend import Backend

__all__ = ["Check", "Run", "Unseen", "Verdict"]


class Unseen(Exception):  # noqa: N818 - it is no error: the check has no answer
    """Raised by a check that cannot see what it looks for; its text says why."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of a check."""

    findings: Sequence[str] = ()
    """What is wrong, one sentence each; empty if nothing is."""
    note: str = ""
    """What people want to know besides."""


Run: TypeAlias = "Callable[[Backend], Awaitable[Verdict]]"


@dataclass(frozen=True)
class Check:
    """One thing to look at."""

    name: str
    run: Run
    """Returns a `Verdict`, or raises `Unseen`."""
    cure: str
    """What to do about its findings, in one sentence."""
