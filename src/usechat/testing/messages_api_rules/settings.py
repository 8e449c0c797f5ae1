"""The rules for thinking, caching, files and a request's settings."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final

from usechat.testing.messages_api_rules.base import (
    THINKING,
    Json,
    Rule,
    blocks,
    nested,
    turns,
)

__all__ = ["RULES"]

_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_MAX_BREAKPOINTS: Final = 4
_MIN_BUDGET: Final = 1024
_THINKING_PAGE: Final = "https://platform.claude.com/docs/en/build-with-claude/extended-thinking"
_CACHING: Final = "https://platform.claude.com/docs/en/build-with-claude/prompt-caching"
_VISION: Final = "https://platform.claude.com/docs/en/build-with-claude/vision"


def _thinking_is_signed(body: Json) -> Iterator[str]:
    for path, block in blocks(body, *THINKING):
        if not block.get("signature" if block["type"] == "thinking" else "data"):
            yield path


def _thinking_is_not_last(body: Json) -> Iterator[str]:
    for path, turn in turns(body):
        if turn["role"] == "assistant" and turn["content"] and turn["content"][-1]["type"] in THINKING:
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
        for path, value in nested(body.get(key), key)
        if "cache_control" in value
    ]
    yield from places[_MAX_BREAKPOINTS:]


def _thinking_is_not_cached(body: Json) -> Iterator[str]:
    for path, block in blocks(body, *THINKING):
        if "cache_control" in block:
            yield path


def _sources_are_readable(body: Json) -> Iterator[str]:
    for path, block in nested(body["messages"], "messages"):
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


def _choice_has_tools(body: Json) -> Iterator[str]:
    choice, names = body.get("tool_choice"), {tool.get("name") for tool in body.get("tools") or ()}
    if choice is not None and (not names or (choice["type"] == "tool" and choice["name"] not in names)):
        yield "tool_choice"


def _max_tokens_are_positive(body: Json) -> Iterator[str]:
    if not body.get("max_tokens", 0) > 0:
        yield "max_tokens"


RULES: Final[tuple[Rule, ...]] = (
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
