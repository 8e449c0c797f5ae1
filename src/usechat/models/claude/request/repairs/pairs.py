"""Repair the pairs of calls and results of the application's tools: each turn with calls is followed by their results.

The calls that Anthropic runs are in `usechat.models.claude.request.repairs.server_pairs`.
"""

from __future__ import annotations

from collections.abc import Sequence

from usechat.messages.call_words import INTERRUPTED
from usechat.models.claude.request.repairs.turns import Block, Message

__all__ = ["pair_tools"]


def pair_tools(turns: Sequence[Message]) -> list[Message]:
    """Return turns in which each turn with calls is followed by a user turn that begins with exactly their results.

    A missing result becomes an error. Nothing tells here whether the call has begun, so it may have taken effect.
    """
    paired: list[Message] = []
    calls: list[str] = []
    for turn in turns:
        if turn["role"] == "user":
            paired.append({**turn, "content": _with_results(calls, turn["content"])})
        else:
            paired += [{"role": "user", "content": _with_results(calls, [])}] if calls else []
            paired.append(turn)
        calls = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
    return [*paired, {"role": "user", "content": _with_results(calls, [])}] if calls else paired


def _with_results(calls: Sequence[str], blocks: Sequence[Block]) -> list[Block]:
    results: dict[str, Block] = {}
    known = frozenset(calls)
    for block in blocks:
        if block["type"] == "tool_result" and block["tool_use_id"] in known:
            results.setdefault(block["tool_use_id"], block)
    missing = [
        {"type": "tool_result", "tool_use_id": call, "content": INTERRUPTED, "is_error": True}
        for call in calls
        if call not in results
    ]
    return [*results.values(), *missing, *(block for block in blocks if block["type"] != "tool_result")]
