"""Approvals that have been used: one allows one run of a tool, however often its message comes.

A signature says that this server asked; only a memory says that the tool has run since. A client can send an old
message again, with the tool's output taken out of it. Knows no tool and no message; `usechat.runs.redis.approvals`
is the memory that several processes share.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import Protocol

__all__ = ["ProcessUsedApprovals", "UsedApprovals", "process_used_approvals"]

MAX_REMEMBERED = 100_000
"""Approvals, of some 100 bytes each; the oldest are forgotten first."""


class UsedApprovals(Protocol):
    """What remembers the approvals by which a tool was run."""

    async def claim(self, approval_id: str) -> bool:
        """Note that an approval is being used; whether it was not used before.

        Args:
            approval_id: Of a request whose signature has been checked.

        Raises:
            RunError: It cannot be known; the tool must not run.
        """
        ...


class ProcessUsedApprovals:
    """The approvals that one process has seen used.

    Args:
        limit: How many are remembered.
    """

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self.limit = limit
        self.used: OrderedDict[str, None] = OrderedDict()

    async def claim(self, approval_id: str) -> bool:
        """See `UsedApprovals.claim`."""
        if approval_id in self.used:
            return False
        self.used[approval_id] = None
        if len(self.used) > self.limit:
            self.used.popitem(last=False)
        return True


@lru_cache(maxsize=1)
def process_used_approvals() -> ProcessUsedApprovals:
    """Return what answers share that are given no memory of their own, as they share `process_secret`."""
    return ProcessUsedApprovals()
