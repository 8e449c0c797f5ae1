"""Used approvals in Redis, shared by all processes that sign with one secret."""

from __future__ import annotations

from usechat.ids import generate_id
from usechat.runs.redis.client import ScriptClient

__all__ = ["RedisUsedApprovals"]

KEEP_SECONDS = 90 * 24 * 3600
"""Seconds after which an approval could be used again: longer than a page stays open to answer one."""
PATIENCE_SECONDS = 1.0


class RedisUsedApprovals:
    """`usechat.tools.used_approvals.UsedApprovals` in a Redis.

    Args:
        url: ``redis://…``, ``rediss://…`` or ``unix://…``.
        prefix: Of all keys.
    """

    def __init__(self, url: str, *, prefix: str = "usechat:") -> None:
        self._client = ScriptClient(url, patience=PATIENCE_SECONDS)
        self._prefix = prefix

    async def claim(self, approval_id: str) -> bool:
        """See `UsedApprovals.claim`.

        Raises:
            RunError: ``unavailable``.
        """
        key, mark = f"{self._prefix}approval:{approval_id}", generate_id("use")
        if await self._client.command("SET", key, mark, "NX", "EX", KEEP_SECONDS) is not None:
            return True
        # The command is sent again when its answer was lost. Then it finds its own mark.
        return await self._client.command("GET", key) == mark.encode()

    async def ping(self) -> None:
        """Ask Redis for a sign of life.

        Raises:
            RunError: ``unavailable``.
        """
        await self._client.command("PING")

    async def aclose(self) -> None:
        """Close its connections."""
        await self._client.aclose()
