"""Repair the histories that the Messages API would refuse.

A client may stop an answer in the middle, abandon a question, drop a message or send nonsense. Its next request still
gets an answer. Each repair enforces one rule and does not change a history that keeps the rule. The rules are in
`usechat.testing.messages_api_rules`. Knows no model messages.

Source: Anthropic's API reference and the error texts of the Messages API; block order and callers as
``moveToolUseBlocksToEnd`` and its caller in ``@ai-sdk/anthropic/src/convert-to-anthropic-prompt.ts`` (4.0.105).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from usechat.models.claude.request.repairs.ids import legal_id, legal_name, make_ids_legal
from usechat.models.claude.request.repairs.pairs import pair_tools
from usechat.models.claude.request.repairs.server_pairs import (
    drop_dangling_callers,
    has_server_tools,
    pair_server_tools,
)
from usechat.models.claude.request.repairs.turns import (
    THINKING,
    Block,
    Message,
    ends_in_text,
    merge_turns,
    without_empty,
    without_trailing_thinking,
)

__all__ = ["arrange", "is_orderly", "put_in_order", "repair_messages"]

_SEGMENT_ENDS: Final = (*THINKING, "fallback")
_OPENING: Final = "(The assistant spoke first.)"
_CONTINUE: Final = "Continue."


def repair_messages(
    messages: Iterable[Message], *, takes_prefill: bool = True, takes_repeated_ids: bool = False
) -> list[Message]:
    """Return the history in a form that the Messages API accepts.

    Args:
        messages: Wire messages with lists of blocks. The function may change them.
        takes_prefill: Whether the model continues an assistant's text at the end of the history. If not, a user message
            asks it to continue.
        takes_repeated_ids: Whether a later turn may use a call's id again. Anthropic refuses this. Other servers with
            the same API create such ids themselves, and may look them up.
    """
    turns = arrange(messages)
    if not is_orderly(turns):
        turns = put_in_order(turns, takes_repeated_ids=takes_repeated_ids)
    return _repair_end(turns, takes_prefill=takes_prefill)


def arrange(messages: Iterable[Message]) -> list[Message]:
    """Merge the messages into turns, and move the calls of each assistant turn behind its text."""
    turns = merge_turns(messages)
    for turn in turns:
        if turn["role"] == "assistant" and len(turn["content"]) > 1:
            turn["content"] = _move_tool_uses_to_end(turn["content"])
    return turns


def is_orderly(turns: Sequence[Message]) -> bool:
    """Return whether arranged turns need no repair, as in most chats. Then `put_in_order` can be skipped.

    The user has the first and the last turn, the roles alternate, and each call is followed by its result. Assistant
    turns have only text and calls of the application's tools, with legal and unique ids.
    """
    seen: set[str] = set()
    calls: list[str] = []
    is_users = False
    for turn in turns:
        is_users, blocks = not is_users, turn["content"]
        if turn["role"] != ("user" if is_users else "assistant") or not blocks:
            return False
        if is_users:
            if not _answers(blocks, calls):
                return False
            continue
        used = [block for block in blocks if block["type"] != "text"]
        if not all(map(_is_ordinary_call, used)):
            return False
        calls = [block["id"] for block in used]
        if len({*seen, *calls}) < len(seen) + len(calls):
            return False
        seen.update(calls)
    return is_users


def _answers(blocks: Sequence[Block], calls: Sequence[str]) -> bool:
    """Return whether the user's blocks may follow the calls. Most are one text after no call."""
    is_text = not calls and len(blocks) == 1 and blocks[0]["type"] == "text"
    return is_text or _begins_with_results(blocks, calls)


def _begins_with_results(blocks: Sequence[Block], calls: Sequence[str]) -> bool:
    """Return whether the user's blocks begin with the results of the calls, in order, and have no other results."""
    count = len(calls)
    for block in blocks[count:]:
        if block["type"] == "tool_result":
            return False
    return not calls or calls == [block["tool_use_id"] for block in blocks[:count] if block["type"] == "tool_result"]


def _is_ordinary_call(block: Block) -> bool:
    if block["type"] != "tool_use" or "caller" in block:
        return False
    return block["id"] == legal_id(block["id"]) and block["name"] == legal_name(block["name"])


def put_in_order(turns: Sequence[Message], *, takes_repeated_ids: bool) -> list[Message]:
    """Repair arranged turns of any kind, except for the end of the last turn. The function may change them.

    Args:
        turns: The result of `arrange`.
        takes_repeated_ids: Whether a later turn may use a call's id again.
    """
    make_ids_legal(turns, takes_repeated_ids=takes_repeated_ids)
    turns = merge_turns(pair_tools(turns))
    if has_server_tools(turns):
        turns = merge_turns(pair_server_tools(turns))
    else:
        turns = merge_turns(without_trailing_thinking(turns))
    turns = _start_with_user(without_empty(turns))
    drop_dangling_callers(turns)
    return turns


def _move_tool_uses_to_end(blocks: Sequence[Block]) -> list[Block]:
    # The API refuses text after a tool_use. Thinking must keep its place, so calls move only up to the next thinking.
    ordered: list[Block] = []
    calls: list[Block] = []
    for block in blocks:
        if block["type"] in _SEGMENT_ENDS:
            ordered += [*calls, block]
            calls = []
        elif block["type"] == "tool_use":
            calls.append(block)
        else:
            ordered.append(block)
    return [*ordered, *calls]


def _start_with_user(turns: list[Message]) -> list[Message]:
    first = next((index for index, turn in enumerate(turns) if turn["role"] != "system"), None)
    if first is None or turns[first]["role"] == "user":
        return turns
    opening = {"role": "user", "content": [{"type": "text", "text": _OPENING}]}
    return [*turns[:first], opening, *turns[first:]]


def _repair_end(turns: list[Message], *, takes_prefill: bool) -> list[Message]:
    if not ends_in_text(turns):
        return turns
    if not takes_prefill:
        return [*turns, {"role": "user", "content": [{"type": "text", "text": _CONTINUE}]}]
    # The API refuses a prefill that ends in white space.
    *before, last = turns[-1]["content"]
    return [*turns[:-1], {**turns[-1], "content": [*before, {**last, "text": last["text"].strip()}]}]
