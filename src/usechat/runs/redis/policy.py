"""Checks what Redis does when memory is short: it should refuse writes, not drop answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

from usechat.errors import RunError
from usechat.runs.redis.client import ScriptClient

__all__ = ["warn_of_eviction"]

logger = logging.getLogger(__name__)

WANTED = "noeviction"


async def warn_of_eviction(client: ScriptClient) -> None:
    """Log a warning when Redis is set up to drop keys. Do nothing when it does not say."""
    policy = await find_policy(client)
    if policy is not None and policy != WANTED:
        logger.warning(
            "Redis drops keys when it is short of memory (maxmemory-policy %s), running answers among them: "
            "set maxmemory-policy to %s",
            policy,
            WANTED,
        )


async def find_policy(client: ScriptClient) -> str | None:
    """Return the eviction policy; None when Redis does not tell it. A hosted Redis may hide the setting."""
    for words, name in (("CONFIG GET", "maxmemory-policy"), ("INFO", "memory")):
        try:
            answer = await client.command(*words.split(), name)
        except RunError:
            continue
        policy = read_policy(answer)
        if policy is not None:
            return policy
    return None


def read_policy(answer: Any) -> str | None:
    if isinstance(answer, Mapping):
        # The client has read it already.
        known = cast("Mapping[Any, Any]", answer)
        values = {text_of(name): value for name, value in known.items()}
        policy = values.get("maxmemory-policy", values.get("maxmemory_policy"))
        return None if policy is None else text_of(policy)
    if isinstance(answer, list):
        words = [text_of(word) for word in cast("list[Any]", answer)]
        return words[1] if len(words) == 2 else None
    if isinstance(answer, bytes):
        pairs = (line.split(":", 1) for line in text_of(answer).splitlines() if ":" in line)
        policies = [value for name, value in pairs if name == "maxmemory_policy"]
        return policies[0] if policies else None
    return None


def text_of(word: Any) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
