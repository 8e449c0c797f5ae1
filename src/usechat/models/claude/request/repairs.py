"""Histories that the Messages API would refuse, put in order.

A client stops an answer in the middle, abandons a question, drops a message or sends nonsense; what it then posts is
still answered. Each function repairs one rule and leaves a history that keeps it as it is. The rules themselves are in
`usechat.testing.messages_api_rules`. Nothing here knows model messages.

Source: Anthropic's API reference and the error texts of the Messages API; block order and callers as
``moveToolUseBlocksToEnd`` and its caller in ``@ai-sdk/anthropic/src/convert-to-anthropic-prompt.ts`` (4.0.105).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

__all__ = ["arrange", "is_orderly", "put_in_order", "repair_messages"]

Block: TypeAlias = dict[str, Any]
Message: TypeAlias = dict[str, Any]

_THINKING: Final = ("thinking", "redacted_thinking")
_SEGMENT_ENDS: Final = (*_THINKING, "fallback")
_SERVER_USES: Final = ("server_tool_use", "mcp_tool_use")
_RESULT_TYPES: Final[Mapping[str, str]] = {
    "web_search": "web_search_tool_result",
    "web_fetch": "web_fetch_tool_result",
    "code_execution": "code_execution_tool_result",
    "bash_code_execution": "bash_code_execution_tool_result",
    "text_editor_code_execution": "text_editor_code_execution_tool_result",
    "tool_search_tool_regex": "tool_search_tool_result",
    "tool_search_tool_bm25": "tool_search_tool_result",
    "advisor": "advisor_tool_result",
}
_ALL_RESULT_TYPES: Final = frozenset({*_RESULT_TYPES.values(), "mcp_tool_result"})
_SERVER_BLOCKS: Final = frozenset({*_SERVER_USES, *_ALL_RESULT_TYPES})
_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_SERVER_ID: Final = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")
_MAX_NAME_LENGTH: Final = 128

_NOT_CARRIED_OUT: Final = "The tool call was not carried out."
_MARK: Final = "\0"
"""Stands in no legal id."""
_OPENING: Final = "(The assistant spoke first.)"
_CONTINUE: Final = "Continue."


def repair_messages(
    messages: Iterable[Message], *, takes_prefill: bool = True, takes_repeated_ids: bool = False
) -> list[Message]:
    """Return the history as the Messages API takes it.

    Args:
        messages: Wire messages with lists of blocks; they may be changed.
        takes_prefill: Whether the model goes on with an assistant's text at the end. Where it does not, it is asked to.
        takes_repeated_ids: Whether a later turn may use a call's id again. Anthropic refuses that; other servers that
            speak its API give such ids themselves, and may look them up.
    """
    turns = arrange(messages)
    if not is_orderly(turns):
        turns = put_in_order(turns, takes_repeated_ids=takes_repeated_ids)
    return _finish(turns, takes_prefill=takes_prefill)


def arrange(messages: Iterable[Message]) -> list[Message]:
    """Return the messages as turns, each of whose calls stand behind its text."""
    turns = _merge_turns(messages)
    for turn in turns:
        if turn["role"] == "assistant" and len(turn["content"]) > 1:
            turn["content"] = _move_tool_uses_to_end(turn["content"])
    return turns


def is_orderly(turns: Sequence[Message]) -> bool:
    """Return whether arranged turns, as of most chats, are in order already, so that `put_in_order` changes nothing.

    The user begins and has the last word, and every call is followed by its result; there is nothing else but text
    and what the user sent.
    """
    seen: set[str] = set()
    calls: list[str] = []
    is_users = False
    for turn in turns:
        is_users, blocks = not is_users, turn["content"]
        if turn["role"] != ("user" if is_users else "assistant") or not blocks:
            return False
        if is_users:
            is_text = not calls and len(blocks) == 1 and blocks[0]["type"] == "text"
            if not is_text and not _begins_with_results(blocks, calls):
                return False
            continue
        calls = []
        for block in blocks:
            if block["type"] == "text":
                continue
            if not _is_ordinary_call(block) or block["id"] in seen:
                return False
            seen.add(block["id"])
            calls.append(block["id"])
    return is_users


def _begins_with_results(blocks: Sequence[Block], calls: Sequence[str]) -> bool:
    """Return whether the user's blocks are the results of the calls, in their order, and then none."""
    count = len(calls)
    for block in blocks[count:]:
        if block["type"] == "tool_result":
            return False
    return not calls or calls == [block["tool_use_id"] for block in blocks[:count] if block["type"] == "tool_result"]


def _is_ordinary_call(block: Block) -> bool:
    if block["type"] != "tool_use" or "caller" in block:
        return False
    return block["id"] == _legal(block["id"]) and block["name"] == _legal_name(block["name"])


def put_in_order(turns: Sequence[Message], *, takes_repeated_ids: bool) -> list[Message]:
    """Arranged turns of any kind as the API takes them, but for the last one's end; they may be changed."""
    _make_ids_legal(turns, takes_repeated_ids=takes_repeated_ids)
    turns = _merge_turns(_pair_tools(turns))
    if _has_server_tools(turns):
        turns = _merge_turns(_forget_marks(_pair_server_tools(_tell_apart(turns))))
    else:
        turns = _merge_turns(_without_trailing_thinking(turns))
    turns = _start_with_user(_without_empty(turns))
    _drop_dangling_callers(turns)
    return turns


def _has_server_tools(turns: Sequence[Message]) -> bool:
    return any(
        block["type"] in _SERVER_BLOCKS for turn in turns if turn["role"] == "assistant" for block in turn["content"]
    )


def _merge_turns(messages: Iterable[Message]) -> list[Message]:
    """Neighbours of one role become one turn; system messages stay alone, empty messages of the user go.

    An empty answer stays for now: what the user said before and after it stays apart, as the AI SDK has it.
    """
    turns: list[Message] = []
    is_ours = False
    for message in messages:
        if not message["content"] and message["role"] == "user":
            continue
        if turns and message["role"] == turns[-1]["role"] != "system":
            if not is_ours:
                # Copied once: what is added to it later is added to our own list.
                turns[-1] = {**turns[-1], "content": [*turns[-1]["content"]]}
                is_ours = True
            turns[-1]["content"] += message["content"]
        else:
            turns.append(message)
            is_ours = False
    return turns


def _without_empty(turns: Sequence[Message]) -> list[Message]:
    return [turn for turn in turns if turn["content"] or turn["role"] == "system"]


def _move_tool_uses_to_end(blocks: Sequence[Block]) -> list[Block]:
    # Text after a tool_use is refused; thinking keeps its place, so the move is within what lies between.
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


# Ids and names


def _make_ids_legal(turns: Sequence[Message], *, takes_repeated_ids: bool) -> None:
    """Ids match their patterns and are used once, in one turn or in all; results follow their call's new id."""
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
        if block["type"] == "tool_use" or block["type"] in _SERVER_USES:
            if block["id"] in used:
                continue  # the same call twice in one answer
            used.add(block["id"])
            legal = _take_id(block, taken)
            (renamed if block["type"] == "tool_use" else server_renamed)[block["id"]] = legal
            kept.append({**block, "id": legal, "name": _legal_name(block["name"])})
        else:
            kept.append(_rename_result(block, server_renamed))
    return kept


def _rename_result(block: Block, renamed: Mapping[str, str]) -> Block:
    if "tool_use_id" not in block:
        return block
    return {**block, "tool_use_id": renamed.get(block["tool_use_id"], "")}


def _take_id(block: Block, taken: dict[str, int]) -> str:
    """Return an id that is not taken; ``taken`` says of each that is from which number on to look for another one."""
    legal = _legal(block["id"])
    if block["type"] == "server_tool_use" and not _SERVER_ID.fullmatch(legal):
        legal = "srvtoolu_" + legal.replace("-", "_")
    numbered, number = legal, taken.get(legal, 2)
    while numbered in taken:
        numbered, number = f"{legal}_{number}", number + 1
    taken[numbered] = 2
    taken[legal] = number
    return numbered


def _legal(id_: str) -> str:
    return _NOT_IN_IDS.sub("_", id_) or "call"


def _legal_name(name: str) -> str:
    return _NOT_IN_IDS.sub("_", name)[:_MAX_NAME_LENGTH] or "unknown"


# Calls and results


def _pair_tools(turns: Sequence[Message]) -> list[Message]:
    """Return each turn of calls is followed by a user's turn that begins with exactly their results."""
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
        {"type": "tool_result", "tool_use_id": call, "content": _NOT_CARRIED_OUT, "is_error": True}
        for call in calls
        if call not in results
    ]
    return [*results.values(), *missing, *(block for block in blocks if block["type"] != "tool_result")]


def _tell_apart(turns: Sequence[Message]) -> list[Message]:
    """Mark the id of a provider-executed call that was used before, in the call and in its result."""
    used: dict[str, int] = {}

    def mark(block: Block) -> Block:
        if block["type"] in _SERVER_USES:
            used[block["id"]] = count = used.get(block["id"], 0) + 1
            return {**block, "id": f"{block['id']}{_MARK}{count}"}
        if block["type"] in _ALL_RESULT_TYPES:
            id_ = block["tool_use_id"]
            return {**block, "tool_use_id": f"{id_}{_MARK}{used[id_]}" if id_ in used else id_}
        return block

    return [
        {**turn, "content": [mark(block) for block in turn["content"]]} if turn["role"] == "assistant" else turn
        for turn in turns
    ]


def _forget_marks(turns: Sequence[Message]) -> list[Message]:
    def forget(block: Block) -> Block:
        marked = {key: block[key] for key in ("id", "tool_use_id") if _MARK in block.get(key, "")}
        return {**block, **{key: value.partition(_MARK)[0] for key, value in marked.items()}}

    return [
        {**turn, "content": [forget(block) for block in turn["content"]]} if turn["role"] == "assistant" else turn
        for turn in turns
    ]


def _pair_server_tools(turns: Sequence[Message]) -> list[Message]:
    """Return calls that Anthropic ran keep their results, in this answer or a later one; halves of pairs go.

    A call without a result stays where the history ends with it: the model goes on with it (``pause_turn``).
    """
    while True:
        ended = _without_trailing_thinking(turns)
        paired = [*_with_paired_server_tools(ended)]
        if paired == turns:
            return paired
        turns = paired  # what is now at the end may have to go as well


def _with_paired_server_tools(turns: Sequence[Message]) -> Iterator[Message]:
    results = _server_results(turns)
    open_from = len(turns) if _ends_in_text(turns) else _last_spoken_turn(turns)
    kept: set[str] = set()
    for index, turn in enumerate(turns):
        if turn["role"] != "assistant":
            yield turn
            continue
        is_open = index > open_from
        repaired = (_keep_paired(block, results, kept, is_open=is_open) for block in turn["content"])
        yield {**turn, "content": [block for blocks in repaired for block in blocks]}


def _ends_in_text(turns: Sequence[Message]) -> bool:
    if not turns or turns[-1]["role"] != "assistant":
        return False
    blocks: list[Block] = turns[-1]["content"]
    return bool(blocks) and blocks[-1]["type"] == "text"


def _server_results(turns: Sequence[Message]) -> dict[str, Block]:
    results: dict[str, Block] = {}
    expected: dict[str, str] = {}
    for block in (block for turn in turns if turn["role"] == "assistant" for block in turn["content"]):
        if block["type"] in _SERVER_USES:
            is_mcp = block["type"] == "mcp_tool_use"
            expected[block["id"]] = "mcp_tool_result" if is_mcp else _RESULT_TYPES.get(block["name"], "")
        elif block["type"] in _ALL_RESULT_TYPES and block["tool_use_id"] in expected:
            fitting = _fit_result(block, expected[block["tool_use_id"]])
            if fitting is not None:
                results.setdefault(block["tool_use_id"], fitting)
    return results


def _fit_result(block: Block, expected: str) -> Block | None:
    if block["type"] == expected:
        return block
    content = block["content"]
    is_error = isinstance(content, dict) and "error_code" in content
    # A failure is kept without the sub-tool it belongs to, so it may have come out as another sub-tool's.
    return {**block, "type": expected, "content": {**content, "type": f"{expected}_error"}} if is_error else None


def _keep_paired(block: Block, results: Mapping[str, Block], kept: set[str], *, is_open: bool) -> list[Block]:
    if block["type"] in _SERVER_USES:
        return [block] if block["id"] in results or is_open else []
    if block["type"] not in _ALL_RESULT_TYPES:
        return [block]
    tool_use_id = block["tool_use_id"]
    if tool_use_id in kept or tool_use_id not in results:
        return []
    kept.add(tool_use_id)
    return [{**results[tool_use_id], **({"cache_control": block["cache_control"]} if "cache_control" in block else {})}]


def _last_spoken_turn(turns: Sequence[Message]) -> int:
    """Return the last turn in which the user said something, not only tools; -1 when there is none."""
    for index in range(len(turns) - 1, -1, -1):
        turn = turns[index]
        if turn["role"] == "user" and any(block["type"] != "tool_result" for block in turn["content"]):
            return index
    return -1


def _drop_dangling_callers(turns: Sequence[Message]) -> None:
    """A call made by code names the run of that code; where that is gone, in a past turn, the name goes too."""
    said = [block for turn in turns if turn["role"] == "assistant" for block in turn["content"]]
    if not any("caller" in block for block in said):
        return
    runs = {block["id"] for block in said if block["type"] == "server_tool_use" and block["name"] == "code_execution"}
    for turn in turns[: max(_last_spoken_turn(turns), 0)]:
        if turn["role"] == "assistant":
            turn["content"] = [_without_dangling_caller(block, runs) for block in turn["content"]]


def _without_dangling_caller(block: Block, runs: set[str]) -> Block:
    caller = block.get("caller")
    if caller is None or caller["type"] == "direct" or caller["tool_id"] in runs:
        return block
    return {key: value for key, value in block.items() if key != "caller"}


# Both ends


def _without_trailing_thinking(turns: Sequence[Message]) -> list[Message]:
    """Return no answer ends in thinking: stopped there, it has said nothing."""
    return [{**turn, "content": _strip_end(turn["content"])} if turn["role"] == "assistant" else turn for turn in turns]


def _strip_end(blocks: Sequence[Block]) -> list[Block]:
    end = len(blocks)
    while end and blocks[end - 1]["type"] in _THINKING:
        end -= 1
    return list(blocks[:end])


def _start_with_user(turns: list[Message]) -> list[Message]:
    first = next((index for index, turn in enumerate(turns) if turn["role"] != "system"), None)
    if first is None or turns[first]["role"] == "user":
        return turns
    opening = {"role": "user", "content": [{"type": "text", "text": _OPENING}]}
    return [*turns[:first], opening, *turns[first:]]


def _finish(turns: list[Message], *, takes_prefill: bool) -> list[Message]:
    if not _ends_in_text(turns):
        return turns
    if not takes_prefill:
        return [*turns, {"role": "user", "content": [{"type": "text", "text": _CONTINUE}]}]
    # A prefill must not end in white space.
    *before, last = turns[-1]["content"]
    return [*turns[:-1], {**turns[-1], "content": [*before, {**last, "text": last["text"].strip()}]}]
