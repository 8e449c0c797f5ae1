"""Repair the pairs of calls and results of the tools that Anthropic runs; both blocks are in assistant turns.

The calls that the application runs are in `usechat.models.claude.request.repairs.pairs`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from usechat.models.claude.request.repairs.turns import (
    SERVER_USES,
    Block,
    Message,
    ends_in_text,
    last_spoken_turn,
    without_trailing_thinking,
)

__all__ = ["drop_dangling_callers", "has_server_tools", "pair_server_tools"]

_RESULT_TYPE_OF_TOOL: Final[Mapping[str, str]] = {
    "web_search": "web_search_tool_result",
    "web_fetch": "web_fetch_tool_result",
    "code_execution": "code_execution_tool_result",
    "bash_code_execution": "bash_code_execution_tool_result",
    "text_editor_code_execution": "text_editor_code_execution_tool_result",
    "tool_search_tool_regex": "tool_search_tool_result",
    "tool_search_tool_bm25": "tool_search_tool_result",
    "advisor": "advisor_tool_result",
}
_CODE_TOOLS: Final[Mapping[str, str]] = {
    type_: name for name, type_ in _RESULT_TYPE_OF_TOOL.items() if name.endswith("code_execution")
}
"""The tools that run code, by the type of their results. The AI SDK has one tool for all of them."""
_RESULT_TYPES: Final = frozenset({*_RESULT_TYPE_OF_TOOL.values(), "mcp_tool_result"})
_SERVER_BLOCKS: Final = frozenset({*SERVER_USES, *_RESULT_TYPES})
_MARK: Final = "\0"
"""A separator that no legal id contains."""


def has_server_tools(turns: Sequence[Message]) -> bool:
    """Return whether the turns have a call or a result of a tool that Anthropic runs."""
    return any(
        block["type"] in _SERVER_BLOCKS for turn in turns if turn["role"] == "assistant" for block in turn["content"]
    )


def pair_server_tools(turns: Sequence[Message]) -> list[Message]:
    """Return the turns with only complete pairs of calls and results, and without an answer that ends in thinking.

    An id may be used several times, so each use is paired on its own.
    """
    return _remove_marks(_drop_halves(_mark_ids(turns)))


def _mark_ids(turns: Sequence[Message]) -> list[Message]:
    """Put a mark and a count behind the id of each provider-executed call and of its result.

    So two calls with the same id have different ids while they are paired.
    """
    used: dict[str, int] = {}

    def marked(block: Block) -> Block:
        if block["type"] in SERVER_USES:
            used[block["id"]] = count = used.get(block["id"], 0) + 1
            return {**block, "id": f"{block['id']}{_MARK}{count}"}
        if block["type"] in _RESULT_TYPES:
            id_ = block["tool_use_id"]
            return {**block, "tool_use_id": f"{id_}{_MARK}{used[id_]}" if id_ in used else id_}
        return block

    return [
        {**turn, "content": [marked(block) for block in turn["content"]]} if turn["role"] == "assistant" else turn
        for turn in turns
    ]


def _remove_marks(turns: Sequence[Message]) -> list[Message]:
    def unmarked(block: Block) -> Block:
        ids = {key: block[key] for key in ("id", "tool_use_id") if _MARK in block.get(key, "")}
        return {**block, **{key: value.partition(_MARK)[0] for key, value in ids.items()}}

    return [
        {**turn, "content": [unmarked(block) for block in turn["content"]]} if turn["role"] == "assistant" else turn
        for turn in turns
    ]


def _drop_halves(turns: Sequence[Message]) -> list[Message]:
    """Drop the provider's calls without a result and results without a call. The result may be in a later answer.

    A call without a result stays at the end of the history: the model continues it (``pause_turn``).
    """
    while True:
        ended = without_trailing_thinking(turns)
        paired = [*_without_halves(ended)]
        if paired == turns:
            return paired
        turns = paired  # the new end of an answer may be thinking, which is dropped next


def _without_halves(turns: Sequence[Message]) -> Iterator[Message]:
    results = _server_results(turns)
    open_from = len(turns) if ends_in_text(turns) else last_spoken_turn(turns)
    kept: set[str] = set()
    for index, turn in enumerate(turns):
        if turn["role"] != "assistant":
            yield turn
            continue
        is_open = index > open_from
        repaired = (_keep_paired(block, results, kept, is_open=is_open) for block in turn["content"])
        yield {**turn, "content": [block for blocks in repaired for block in blocks]}


def _server_results(turns: Sequence[Message]) -> dict[str, Block]:
    results: dict[str, Block] = {}
    expected: dict[str, str] = {}
    calls: dict[str, Block] = {}
    for block in (block for turn in turns if turn["role"] == "assistant" for block in turn["content"]):
        if block["type"] in SERVER_USES:
            calls[block["id"]] = block
            is_mcp = block["type"] == "mcp_tool_use"
            expected[block["id"]] = "mcp_tool_result" if is_mcp else _RESULT_TYPE_OF_TOOL.get(block["name"], "")
        elif block["type"] in _RESULT_TYPES and block["tool_use_id"] in expected:
            fitting = _fit_result(block, expected[block["tool_use_id"]])
            call = calls[block["tool_use_id"]]
            if fitting is None and block["type"] in _CODE_TOOLS and call.get("name") in _CODE_TOOLS.values():
                # The input does not say which tool was called, but the result does. `_mark_ids` has copied the call.
                call["name"], fitting = _CODE_TOOLS[block["type"]], block
            if fitting is not None:
                results.setdefault(block["tool_use_id"], fitting)
    return results


def _fit_result(block: Block, expected: str) -> Block | None:
    if block["type"] == expected:
        return block
    content = block["content"]
    is_error = isinstance(content, dict) and "error_code" in content
    # A chat stores a failure without its sub-tool, so the block may have the result type of another sub-tool.
    return {**block, "type": expected, "content": {**content, "type": f"{expected}_error"}} if is_error else None


def _keep_paired(block: Block, results: Mapping[str, Block], kept: set[str], *, is_open: bool) -> list[Block]:
    if block["type"] in SERVER_USES:
        return [block] if block["id"] in results or is_open else []
    if block["type"] not in _RESULT_TYPES:
        return [block]
    tool_use_id = block["tool_use_id"]
    if tool_use_id in kept or tool_use_id not in results:
        return []
    kept.add(tool_use_id)
    return [{**results[tool_use_id], **({"cache_control": block["cache_control"]} if "cache_control" in block else {})}]


def drop_dangling_callers(turns: Sequence[Message]) -> None:
    """Drop ``caller`` from the calls of past turns when it names a code execution that is no longer in the history."""
    blocks = [block for turn in turns if turn["role"] == "assistant" for block in turn["content"]]
    if not any("caller" in block for block in blocks):
        return
    runs = {block["id"] for block in blocks if block["type"] == "server_tool_use" and block["name"] == "code_execution"}
    for turn in turns[: max(last_spoken_turn(turns), 0)]:
        if turn["role"] == "assistant":
            turn["content"] = [_without_dangling_caller(block, runs) for block in turn["content"]]


def _without_dangling_caller(block: Block, runs: set[str]) -> Block:
    caller = block.get("caller")
    if caller is None or caller["type"] == "direct" or caller["tool_id"] in runs:
        return block
    return {key: value for key, value in block.items() if key != "caller"}
