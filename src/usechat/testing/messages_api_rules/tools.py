"""The rules for tool calls and their results, of the application's tools and of Anthropic's."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Final

from usechat.testing.messages_api_rules.base import (
    RESULT_OF,
    SERVER_RESULTS,
    SERVER_USES,
    THINKING,
    Json,
    Rule,
    blocks,
    own_blocks,
    turns,
)

__all__ = ["RULES"]

_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_SERVER_ID: Final = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_TOOL_USE: Final = "https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use"


def _calls_are_answered(body: Json) -> Iterator[str]:
    nothing: list[tuple[str, Json]] = [("", {"role": "", "content": []})]
    for (path, turn), (after_path, after) in itertools.pairwise([*turns(body), *nothing]):
        answered = {block["tool_use_id"] for _, block in own_blocks(after_path, after, ("tool_result",))}
        for place, block in own_blocks(path, turn, ("tool_use",)):
            if after["role"] != "user" or block["id"] not in answered:
                yield place


def _results_have_calls(body: Json) -> Iterator[str]:
    calls: list[str] = []
    for path, turn in turns(body):
        for place, block in own_blocks(path, turn, ("tool_result",)):
            if block["tool_use_id"] not in calls:
                yield place
            else:
                calls.remove(block["tool_use_id"])
        calls = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]


def _results_come_first(body: Json) -> Iterator[str]:
    for path, turn in turns(body):
        types = [block["type"] for block in turn["content"]]
        results = types.count("tool_result")
        if types[:results] != ["tool_result"] * results:
            yield path


def _calls_come_last(body: Json) -> Iterator[str]:
    for path, turn in turns(body):
        has_called = False
        for place, block in own_blocks(path, turn):
            if has_called and block["type"] in ("text", *SERVER_USES):
                yield place
            has_called = block["type"] == "tool_use" or (has_called and block["type"] not in (*THINKING, "fallback"))


def _tools_are_declared(body: Json) -> Iterator[str]:
    if not body.get("tools"):
        yield from (path for path, _ in blocks(body, "tool_use", "tool_result"))


def _result_content(body: Json) -> Iterator[str]:
    for path, block in blocks(body, "tool_result"):
        if not isinstance(block["content"], str | list):
            yield path


def _errors_have_words(body: Json) -> Iterator[str]:
    for path, block in blocks(body, "tool_result"):
        if block.get("is_error") and not block["content"]:
            yield path


def _ids_are_unique(body: Json) -> Iterator[str]:
    seen: set[str] = set()
    for path, block in blocks(body, "tool_use", *SERVER_USES):
        if block["id"] in seen:
            yield path
        seen.add(block["id"])


def _ids_are_legal(body: Json) -> Iterator[str]:
    for path, block in blocks(body, "tool_use", *SERVER_USES):
        pattern = _SERVER_ID if block["type"] == "server_tool_use" else _ID
        if not pattern.fullmatch(block["id"]):
            yield path


def _names_are_legal(body: Json) -> Iterator[str]:
    for path, block in blocks(body, "tool_use", *SERVER_USES):
        if not _NAME.fullmatch(block["name"]):
            yield path


def _inputs_are_objects(body: Json) -> Iterator[str]:
    for path, block in blocks(body, "tool_use", *SERVER_USES):
        if not isinstance(block["input"], Mapping):
            yield path


def _server_calls_are_answered(body: Json) -> Iterator[str]:
    results = {block["tool_use_id"]: block["type"] for _, block in blocks(body, *SERVER_RESULTS, role="assistant")}
    spoken = -1
    for index, message in enumerate(body["messages"]):
        is_spoken = message["role"] == "user" and any(item["type"] != "tool_result" for item in message["content"])
        spoken = index if is_spoken else spoken
    for index, message in enumerate(body["messages"][:spoken]):
        for path, block in own_blocks(f"messages[{index}]", message, SERVER_USES):
            is_mcp = block["type"] == "mcp_tool_use"
            if results.get(block["id"]) != ("mcp_tool_result" if is_mcp else RESULT_OF.get(block["name"])):
                yield path


def _server_results_have_calls(body: Json) -> Iterator[str]:
    open_calls: set[str] = set()
    for path, block in blocks(body, *SERVER_USES, *SERVER_RESULTS, role="assistant"):
        if block["type"] in SERVER_USES:
            open_calls.add(block["id"])
        elif block["tool_use_id"] in open_calls:
            open_calls.remove(block["tool_use_id"])
        else:
            yield path


RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "calls-are-answered",
        "`tool_use` ids were found without `tool_result` blocks immediately after",
        _calls_are_answered,
    ),
    Rule("results-have-calls", "unexpected `tool_use_id` found in `tool_result` blocks", _results_have_calls),
    Rule("results-come-first", f"{_TOOL_USE}: tool_result blocks must come first", _results_come_first),
    Rule("calls-come-last", f"{_TOOL_USE}: no text after tool_use", _calls_come_last),
    Rule(
        "tools-are-declared",
        "Requests which include `tool_use` or `tool_result` blocks must define tools",
        _tools_are_declared,
    ),
    Rule("result-content", "tool_result.content: Input should be a valid string or list", _result_content),
    Rule("errors-have-words", "tool_result: content cannot be empty if `is_error` is true", _errors_have_words),
    Rule("ids-are-unique", "`tool_use` ids must be unique", _ids_are_unique),
    Rule("ids-are-legal", "tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", _ids_are_legal),
    Rule("names-are-legal", "tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", _names_are_legal),
    Rule("inputs-are-objects", "tool_use.input: Input should be a valid dictionary", _inputs_are_objects),
    Rule(
        "server-calls-are-answered",
        "`web_search` tool use was found without a corresponding `web_search_tool_result` block",
        _server_calls_are_answered,
    ),
    Rule("server-results-have-calls", "unexpected `tool_use_id` found in server results", _server_results_have_calls),
)
