"""The type of a rule of the Messages API, and functions that walk a request. Knows wire JSON only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec

__all__ = [
    "RESULT_OF",
    "SERVER_RESULTS",
    "SERVER_USES",
    "THINKING",
    "Check",
    "Json",
    "Rule",
    "blocks",
    "nested",
    "own_blocks",
    "turns",
]

Json: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Json], Iterator[str]]


class Rule(msgspec.Struct, frozen=True):
    """One rule: its name, its source (the API's error text or a page), and a function that yields the bad paths."""

    name: str
    source: str
    check: Check


SERVER_USES: Final = ("server_tool_use", "mcp_tool_use")
THINKING: Final = ("thinking", "redacted_thinking")
RESULT_OF: Final[Mapping[str, str]] = {
    "web_search": "web_search_tool_result",
    "web_fetch": "web_fetch_tool_result",
    "code_execution": "code_execution_tool_result",
    "bash_code_execution": "bash_code_execution_tool_result",
    "text_editor_code_execution": "text_editor_code_execution_tool_result",
    "tool_search_tool_regex": "tool_search_tool_result",
    "tool_search_tool_bm25": "tool_search_tool_result",
    "advisor": "advisor_tool_result",
}
SERVER_RESULTS: Final = frozenset({*RESULT_OF.values(), "mcp_tool_result"})


def turns(body: Json) -> list[tuple[str, Json]]:
    """Return the messages with their paths, without system messages."""
    numbered = enumerate(body["messages"])
    return [(f"messages[{index}]", message) for index, message in numbered if message["role"] != "system"]


def blocks(body: Json, *types: str, role: str | None = None) -> Iterator[tuple[str, Json]]:
    """Yield the blocks with their paths; only of these types and of this role, if given."""
    for index, message in enumerate(body["messages"]):
        if role is None or message["role"] == role:
            yield from own_blocks(f"messages[{index}]", message, types)


def own_blocks(path: str, message: Json, types: Sequence[str] = ()) -> Iterator[tuple[str, Json]]:
    """Yield the blocks of one message with their paths; only of these types, if given."""
    for index, block in enumerate(message["content"]):
        if not types or block["type"] in types:
            yield f"{path}.content[{index}]", block


def nested(value: Any, path: str) -> Iterator[tuple[str, Json]]:
    """Yield every JSON object in the value, at any depth, with its path."""
    if isinstance(value, Mapping):
        members = cast("Json", value)
        yield path, members
        for key, item in members.items():
            yield from nested(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from nested(item, f"{path}[{index}]")
