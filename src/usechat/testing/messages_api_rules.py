"""The Messages API's rules for a request, as far as they can be known without asking it.

Each rule has a name and a source: the API's own words where it refuses, or the page that says so. Point it at the
bodies that your backend sends and no history of any client will surprise you with a 400.

    from usechat.testing.messages_api_rules import find_violations

    assert find_violations(body) == []

It knows wire JSON only, none of this package's own types.
"""

from __future__ import annotations

import base64
import binascii
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import msgspec

__all__ = ["RULES", "Rule", "Violation", "find_violations"]

Json: TypeAlias = Mapping[str, Any]
Check: TypeAlias = Callable[[Json], Iterator[str]]


class Rule(msgspec.Struct, frozen=True):
    """One rule: its name, the API's words or the page it is from, and what finds the places that break it."""

    name: str
    source: str
    check: Check


class Violation(msgspec.Struct, frozen=True):
    """A place in a request that breaks a rule."""

    rule: str
    path: str


def find_violations(body: Json) -> list[Violation]:
    """Every place in a request body that breaks a rule, in the order of the rules."""
    return [Violation(rule.name, path) for rule in RULES for path in rule.check(body)]


_SERVER_USES: Final = ("server_tool_use", "mcp_tool_use")
_THINKING: Final = ("thinking", "redacted_thinking")
_RESULT_OF: Final[Mapping[str, str]] = {
    "web_search": "web_search_tool_result",
    "web_fetch": "web_fetch_tool_result",
    "code_execution": "code_execution_tool_result",
    "bash_code_execution": "bash_code_execution_tool_result",
    "text_editor_code_execution": "text_editor_code_execution_tool_result",
    "tool_search_tool_regex": "tool_search_tool_result",
    "tool_search_tool_bm25": "tool_search_tool_result",
    "advisor": "advisor_tool_result",
}
_SERVER_RESULTS: Final = frozenset({*_RESULT_OF.values(), "mcp_tool_result"})
_USER_BLOCKS: Final = frozenset({"text", "image", "document", "tool_result", "container_upload"})
_ASSISTANT_BLOCKS: Final = frozenset(
    {"text", "tool_use", "compaction", "fallback", *_THINKING, *_SERVER_USES, *_SERVER_RESULTS}
)
_SYSTEM_BLOCKS: Final = frozenset({"text", "tool_addition", "tool_removal"})
_BLOCKS: Final = {"user": _USER_BLOCKS, "assistant": _ASSISTANT_BLOCKS, "system": _SYSTEM_BLOCKS}
_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ID: Final = re.compile(r"[a-zA-Z0-9_-]+")
_SERVER_ID: Final = re.compile(r"srvtoolu_[a-zA-Z0-9_]+")
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MAX_BREAKPOINTS: Final = 4
_MIN_BUDGET: Final = 1024


# Walking


def _turns(body: Json) -> list[tuple[str, Json]]:
    """Messages with their paths, those for the system left out."""
    numbered = enumerate(body["messages"])
    return [(f"messages[{index}]", message) for index, message in numbered if message["role"] != "system"]


def _blocks(body: Json, *types: str, role: str | None = None) -> Iterator[tuple[str, Json]]:
    for index, message in enumerate(body["messages"]):
        if role is None or message["role"] == role:
            yield from _own_blocks(f"messages[{index}]", message, types)


def _own_blocks(path: str, message: Json, types: Sequence[str] = ()) -> Iterator[tuple[str, Json]]:
    for index, block in enumerate(message["content"]):
        if not types or block["type"] in types:
            yield f"{path}.content[{index}]", block


def _nested(value: Any, path: str) -> Iterator[tuple[str, Json]]:
    """Every object in the value."""
    if isinstance(value, Mapping):
        members = cast("Json", value)
        yield path, members
        for key, item in members.items():
            yield from _nested(item, f"{path}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _nested(item, f"{path}[{index}]")


# Messages


def _has_messages(body: Json) -> Iterator[str]:
    if not _turns(body):
        yield "messages"


def _starts_with_user(body: Json) -> Iterator[str]:
    for path, turn in _turns(body)[:1]:
        if turn["role"] != "user":
            yield path


def _has_content(body: Json) -> Iterator[str]:
    for path, turn in _turns(body):
        if not turn["content"]:
            yield path


def _knows_blocks(body: Json) -> Iterator[str]:
    for index, message in enumerate(body["messages"]):
        for path, block in _own_blocks(f"messages[{index}]", message):
            if block["type"] not in _BLOCKS[message["role"]]:
                yield path


def _text_is_not_blank(body: Json) -> Iterator[str]:
    for path, block in (*_blocks(body), *((f"system[{i}]", block) for i, block in enumerate(body.get("system", ())))):
        if block["type"] == "text" and not block["text"].strip():
            yield path


def _prefill_is_trimmed(body: Json) -> Iterator[str]:
    for path, turn in _turns(body)[-1:]:
        texts = [block["text"] for block in turn["content"][-1:] if block["type"] == "text"]
        if turn["role"] == "assistant" and any(text != text.rstrip() for text in texts):
            yield path


def _is_unicode(body: Json) -> Iterator[str]:
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError):
        yield ""


# Tools that the application runs


def _calls_are_answered(body: Json) -> Iterator[str]:
    turns = _turns(body)
    nothing: list[tuple[str, Json]] = [("", {"role": "", "content": []})]
    for (path, turn), (after_path, after) in itertools.pairwise([*turns, *nothing]):
        answered = {block["tool_use_id"] for _, block in _own_blocks(after_path, after, ("tool_result",))}
        for place, block in _own_blocks(path, turn, ("tool_use",)):
            if after["role"] != "user" or block["id"] not in answered:
                yield place


def _results_have_calls(body: Json) -> Iterator[str]:
    calls: list[str] = []
    for path, turn in _turns(body):
        for place, block in _own_blocks(path, turn, ("tool_result",)):
            if block["tool_use_id"] not in calls:
                yield place
            else:
                calls.remove(block["tool_use_id"])
        calls = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]


def _results_come_first(body: Json) -> Iterator[str]:
    for path, turn in _turns(body):
        types = [block["type"] for block in turn["content"]]
        results = types.count("tool_result")
        if types[:results] != ["tool_result"] * results:
            yield path


def _calls_come_last(body: Json) -> Iterator[str]:
    for path, turn in _turns(body):
        has_called = False
        for place, block in _own_blocks(path, turn):
            if has_called and block["type"] in ("text", *_SERVER_USES):
                yield place
            has_called = block["type"] == "tool_use" or (has_called and block["type"] not in (*_THINKING, "fallback"))


def _tools_are_declared(body: Json) -> Iterator[str]:
    if not body.get("tools"):
        yield from (path for path, _ in _blocks(body, "tool_use", "tool_result"))


def _result_content(body: Json) -> Iterator[str]:
    for path, block in _blocks(body, "tool_result"):
        if not isinstance(block["content"], str | list):
            yield path


# Any calls


def _ids_are_unique(body: Json) -> Iterator[str]:
    seen: set[str] = set()
    for path, block in _blocks(body, "tool_use", *_SERVER_USES):
        if block["id"] in seen:
            yield path
        seen.add(block["id"])


def _ids_are_legal(body: Json) -> Iterator[str]:
    for path, block in _blocks(body, "tool_use", *_SERVER_USES):
        pattern = _SERVER_ID if block["type"] == "server_tool_use" else _ID
        if not pattern.fullmatch(block["id"]):
            yield path


def _names_are_legal(body: Json) -> Iterator[str]:
    for path, block in _blocks(body, "tool_use", *_SERVER_USES):
        if not _NAME.fullmatch(block["name"]):
            yield path


def _inputs_are_objects(body: Json) -> Iterator[str]:
    for path, block in _blocks(body, "tool_use", *_SERVER_USES):
        if not isinstance(block["input"], Mapping):
            yield path


# Tools that Anthropic runs


def _server_calls_are_answered(body: Json) -> Iterator[str]:
    results = {block["tool_use_id"]: block["type"] for _, block in _blocks(body, *_SERVER_RESULTS, role="assistant")}
    spoken = -1
    for index, message in enumerate(body["messages"]):
        is_spoken = message["role"] == "user" and any(item["type"] != "tool_result" for item in message["content"])
        spoken = index if is_spoken else spoken
    for index, message in enumerate(body["messages"][:spoken]):
        for path, block in _own_blocks(f"messages[{index}]", message, _SERVER_USES):
            is_mcp = block["type"] == "mcp_tool_use"
            if results.get(block["id"]) != ("mcp_tool_result" if is_mcp else _RESULT_OF.get(block["name"])):
                yield path


def _server_results_have_calls(body: Json) -> Iterator[str]:
    open_calls: set[str] = set()
    for path, block in _blocks(body, *_SERVER_USES, *_SERVER_RESULTS, role="assistant"):
        if block["type"] in _SERVER_USES:
            open_calls.add(block["id"])
        elif block["tool_use_id"] in open_calls:
            open_calls.remove(block["tool_use_id"])
        else:
            yield path


# Thinking and caching


def _thinking_is_signed(body: Json) -> Iterator[str]:
    for path, block in _blocks(body, *_THINKING):
        if not block.get("signature" if block["type"] == "thinking" else "data"):
            yield path


def _thinking_is_not_last(body: Json) -> Iterator[str]:
    for path, turn in _turns(body):
        if turn["role"] == "assistant" and turn["content"] and turn["content"][-1]["type"] in _THINKING:
            yield path


def _thinking_leaves_room(body: Json) -> Iterator[str]:
    budget = body.get("thinking", {}).get("budget_tokens")
    if budget is not None and not _MIN_BUDGET <= budget < body["max_tokens"]:
        yield "thinking.budget_tokens"


def _thinking_is_not_forced(body: Json) -> Iterator[str]:
    if body.get("thinking", {}).get("type") == "enabled" and body.get("tool_choice", {}).get("type") in ("any", "tool"):
        yield "tool_choice"


def _thinking_takes_no_sampling(body: Json) -> Iterator[str]:
    if body.get("thinking", {}).get("type") in ("enabled", "adaptive"):
        yield from (key for key in ("temperature", "top_k", "top_p") if key in body)


def _breakpoints(body: Json) -> Iterator[str]:
    places = [
        path
        for key in ("tools", "system", "messages")
        for path, value in _nested(body.get(key), key)
        if "cache_control" in value
    ]
    yield from places[_MAX_BREAKPOINTS:]


def _thinking_is_not_cached(body: Json) -> Iterator[str]:
    for path, block in _blocks(body, *_THINKING):
        if "cache_control" in block:
            yield path


# Files


def _sources_are_readable(body: Json) -> Iterator[str]:
    for path, block in _nested(body["messages"], "messages"):
        if block.get("type") in ("image", "document") and not _is_readable(block):
            yield path


def _is_readable(block: Json) -> bool:
    match block.get("source"):
        case {"type": "base64", "media_type": str(media_type), "data": str(data)}:
            allowed = _IMAGES if block["type"] == "image" else ("application/pdf",)
            return media_type in allowed and _is_base64(data)
        case {"type": "text", "media_type": "text/plain", "data": str(data)}:
            return bool(data.strip())
        case {"type": "url", "url": str(url)}:
            return url.startswith(("https://", "http://"))
        case {"type": "file", "file_id": str(file_id)}:
            return bool(file_id)
        case _:
            return False


def _is_base64(data: str) -> bool:
    try:
        return bool(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError):
        return False


# Settings


def _choice_has_tools(body: Json) -> Iterator[str]:
    choice, names = body.get("tool_choice"), {tool.get("name") for tool in body.get("tools") or ()}
    if choice is not None and (not names or (choice["type"] == "tool" and choice["name"] not in names)):
        yield "tool_choice"


def _max_tokens_are_positive(body: Json) -> Iterator[str]:
    if not body.get("max_tokens", 0) > 0:
        yield "max_tokens"


_REFERENCE: Final = "https://platform.claude.com/docs/en/api/messages/create"
_TOOL_USE: Final = "https://platform.claude.com/docs/en/agents-and-tools/tool-use/implement-tool-use"
_THINKING_PAGE: Final = "https://platform.claude.com/docs/en/build-with-claude/extended-thinking"
_CACHING: Final = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"
_VISION: Final = "https://platform.claude.com/docs/en/build-with-claude/vision"

RULES: Final[tuple[Rule, ...]] = (
    Rule("has-messages", "messages: at least one message is required", _has_messages),
    Rule("starts-with-user", 'messages: first message must use the "user" role', _starts_with_user),
    Rule("has-content", "messages: all messages must have non-empty content", _has_content),
    Rule("knows-blocks", f"{_REFERENCE}: the content blocks of each role", _knows_blocks),
    Rule("text-is-not-blank", "text content blocks must contain non-whitespace text", _text_is_not_blank),
    Rule("prefill-is-trimmed", "final assistant content cannot end with trailing whitespace", _prefill_is_trimmed),
    Rule("is-unicode", "The request body is not valid JSON: surrogates are not allowed", _is_unicode),
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
    Rule("thinking-is-signed", "thinking.signature: Field required", _thinking_is_signed),
    Rule("thinking-is-not-last", "The final block in an assistant message cannot be `thinking`", _thinking_is_not_last),
    Rule("thinking-leaves-room", "`max_tokens` must be greater than `thinking.budget_tokens`", _thinking_leaves_room),
    Rule(
        "thinking-is-not-forced",
        "Thinking may not be enabled when tool_choice forces tool use",
        _thinking_is_not_forced,
    ),
    Rule("thinking-takes-no-sampling", f"{_THINKING_PAGE}: feature compatibility", _thinking_takes_no_sampling),
    Rule("breakpoints", "A maximum of 4 blocks with cache_control may be provided", _breakpoints),
    Rule("thinking-is-not-cached", f"{_CACHING}: thinking blocks cannot be marked", _thinking_is_not_cached),
    Rule("sources-are-readable", f"{_VISION}: JPEG, PNG, GIF, WebP; PDF and plain text", _sources_are_readable),
    Rule("choice-has-tools", "tool_choice may only be specified while providing tools", _choice_has_tools),
    Rule("max-tokens-are-positive", "max_tokens: Input should be greater than or equal to 1", _max_tokens_are_positive),
)
"""Every rule known here."""
