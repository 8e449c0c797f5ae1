"""Used approvals: an approval allows one run of a tool, however often the client sends its message.

A signature proves that this server asked. Only a memory shows that the tool has run since: a client can send an old
message again without the tool's output. Knows no tool and no message; `usechat.runs.redis.approvals`
is the memory for several processes.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import Protocol

__all__ = ["ProcessUsedApprovals", "UsedApprovals", "process_used_approvals"]

MAX_REMEMBERED = 100_000
"""The maximum number of approvals, about 100 bytes each. The oldest are forgotten first."""


class UsedApprovals(Protocol):
    """Memory of the approvals by which a tool was run.

    Implemented by: `ProcessUsedApprovals`, `usechat.runs.redis.approvals.RedisUsedApprovals`.
    """

    async def claim(self, approval_id: str) -> bool:
        """Record that an approval is used. Return whether this is its first use.

        Args:
            approval_id: The id of a request with a checked signature.

        Raises:
            RunError: The memory cannot be read. The tool must not run.
        """
        ...


class ProcessUsedApprovals:
    """Memory of one process for used approvals.

    Args:
        limit: The maximum number of approvals.
    """

    def __init__(self, limit: int = MAX_REMEMBERED) -> None:
        self.limit = limit
        self.used: OrderedDict[str, None] = OrderedDict()

    async def claim(self, approval_id: str) -> bool:
        """Record a use; see `UsedApprovals.claim`."""
        if approval_id in self.used:
            return False
        self.used[approval_id] = None
        if len(self.used) > self.limit:
            self.used.popitem(last=False)
        return True


@lru_cache(maxsize=1)
def process_used_approvals() -> ProcessUsedApprovals:
    """Return the process's memory. Answers without their own memory share it, as they share `process_secret`."""
    return ProcessUsedApprovals()
