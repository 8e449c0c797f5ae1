"""The turns of a history: their types, and functions that merge, trim and inspect them.

Knows the blocks of the Messages API, and no rule about tool calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias

__all__ = [
    "SERVER_USES",
    "THINKING",
    "Block",
    "Message",
    "ends_in_text",
    "last_spoken_turn",
    "merge_turns",
    "without_empty",
    "without_trailing_thinking",
]

Block: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]
THINKING: Final = ("thinking", "redacted_thinking")
SERVER_USES: Final = ("server_tool_use", "mcp_tool_use")


def merge_turns(messages: Iterable[Message]) -> list[Message]:
    """Merge neighbouring messages of one role into a turn. Drop empty user messages; leave system messages as they are.

    An empty answer stays for now, so that the user messages before and after it stay separate, as in the AI SDK.
    """
    turns: list[Message] = []
    is_ours = False
    for message in messages:
        if not message["content"] and message["role"] == "user":
            continue
        if turns and message["role"] == turns[-1]["role"] != "system":
            if not is_ours:
                # Copy the caller's turn once; later messages are added to the copy.
                turns[-1] = {**turns[-1], "content": [*turns[-1]["content"]]}
                is_ours = True
            turns[-1]["content"] += message["content"]
        else:
            turns.append(message)
            is_ours = False
    return turns


def without_empty(turns: Sequence[Message]) -> list[Message]:
    """Return the turns without empty ones. An empty system message stays: its fields may still have an effect."""
    return [turn for turn in turns if turn["content"] or turn["role"] == "system"]


def without_trailing_thinking(turns: Sequence[Message]) -> list[Message]:
    """Return the turns with the thinking at the end of each answer removed, because the API refuses it there."""
    return [{**turn, "content": _strip_end(turn["content"])} if turn["role"] == "assistant" else turn for turn in turns]


def _strip_end(blocks: Sequence[Block]) -> list[Block]:
    end = len(blocks)
    while end and blocks[end - 1]["type"] in THINKING:
        end -= 1
    return list(blocks[:end])


def ends_in_text(turns: Sequence[Message]) -> bool:
    """Return whether the history ends with a text of the assistant."""
    if not turns or turns[-1]["role"] != "assistant":
        return False
    blocks: list[Block] = turns[-1]["content"]
    return bool(blocks) and blocks[-1]["type"] == "text"


def last_spoken_turn(turns: Sequence[Message]) -> int:
    """Return the index of the last turn with content of the user other than tool results; -1 if there is none."""
    for index in range(len(turns) - 1, -1, -1):
        turn = turns[index]
        if turn["role"] == "user" and any(block["type"] != "tool_result" for block in turn["content"]):
            return index
    return -1
