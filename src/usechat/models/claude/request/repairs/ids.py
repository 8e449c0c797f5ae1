"""Repair the ids and names of tool calls: legal characters, legal length, and each id used once.

Knows nothing of the order of blocks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from usechat.models.claude.request.repairs.turns import SERVER_USES, Block, Message

__all__ = ["legal_id", "legal_name", "make_ids_legal"]

_ILLEGAL_CHARACTERS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_SERVER_ID: Final = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")
_MAX_NAME_LENGTH: Final = 128


def make_ids_legal(turns: Sequence[Message], *, takes_repeated_ids: bool) -> None:
    """Rename illegal and repeated ids, and illegal names. Results get the new id of their call.

    Args:
        turns: Arranged turns; their content is replaced.
        takes_repeated_ids: Whether a later turn may use an id again.
    """
    taken: dict[str, int] = {}
    renamed: dict[str, str] = {}
    server_renamed: dict[str, str] = {}
    for turn in turns:
        if turn["role"] == "assistant":
            renamed = {}
            taken = {} if takes_repeated_ids else taken
            turn["content"] = _rename_in_answer(turn["content"], taken, renamed, server_renamed)
        elif turn["role"] == "user":
            turn["content"] = [_rename_result(block, renamed) for block in turn["content"]]


def _rename_in_answer(
    blocks: Sequence[Block], taken: dict[str, int], renamed: dict[str, str], server_renamed: dict[str, str]
) -> list[Block]:
    kept: list[Block] = []
    used: set[str] = set()
    for block in blocks:
        if block["type"] == "tool_use" or block["type"] in SERVER_USES:
            if block["id"] in used:
                continue  # a repeated call in one answer is dropped
            used.add(block["id"])
            legal = _unused_id(block, taken)
            (renamed if block["type"] == "tool_use" else server_renamed)[block["id"]] = legal
            kept.append({**block, "id": legal, "name": legal_name(block["name"])})
        else:
            kept.append(_rename_result(block, server_renamed))
    return kept


def _rename_result(block: Block, renamed: Mapping[str, str]) -> Block:
    if "tool_use_id" not in block:
        return block
    return {**block, "tool_use_id": renamed.get(block["tool_use_id"], "")}


def _unused_id(block: Block, taken: dict[str, int]) -> str:
    """Return an unused id for a call, and add it to ``taken``.

    ``taken`` maps each used id to the next number to try as its suffix, so that the search stays short.
    """
    legal = legal_id(block["id"])
    if block["type"] == "server_tool_use" and not _SERVER_ID.fullmatch(legal):
        legal = "srvtoolu_" + legal.replace("-", "_")
    numbered, number = legal, taken.get(legal, 2)
    while numbered in taken:
        numbered, number = f"{legal}_{number}", number + 1
    taken[numbered] = 2
    taken[legal] = number
    return numbered


def legal_id(id_: str) -> str:
    """Return the id with illegal characters replaced by ``_``."""
    return _ILLEGAL_CHARACTERS.sub("_", id_) or "call"


def legal_name(name: str) -> str:
    """Return the name with illegal characters replaced by ``_``, cut to the legal length."""
    return _ILLEGAL_CHARACTERS.sub("_", name)[:_MAX_NAME_LENGTH] or "unknown"
