"""The rules for messages: their order, their blocks, their text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from usechat.testing.messages_api_rules.base import (
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

_USER_BLOCKS: Final = frozenset({"text", "image", "document", "tool_result", "container_upload"})
_ASSISTANT_BLOCKS: Final = frozenset(
    {"text", "tool_use", "compaction", "fallback", *THINKING, *SERVER_USES, *SERVER_RESULTS}
)
_SYSTEM_BLOCKS: Final = frozenset({"text", "tool_addition", "tool_removal"})
_BLOCKS: Final = {"user": _USER_BLOCKS, "assistant": _ASSISTANT_BLOCKS, "system": _SYSTEM_BLOCKS}
_REFERENCE: Final = "https://platform.claude.com/docs/en/api/messages/create"


def _has_messages(body: Json) -> Iterator[str]:
    if not turns(body):
        yield "messages"


def _starts_with_user(body: Json) -> Iterator[str]:
    for path, turn in turns(body)[:1]:
        if turn["role"] != "user":
            yield path


def _has_content(body: Json) -> Iterator[str]:
    for path, turn in turns(body):
        if not turn["content"]:
            yield path


def _knows_blocks(body: Json) -> Iterator[str]:
    for index, message in enumerate(body["messages"]):
        for path, block in own_blocks(f"messages[{index}]", message):
            if block["type"] not in _BLOCKS[message["role"]]:
                yield path


def _text_is_not_blank(body: Json) -> Iterator[str]:
    for path, block in (*blocks(body), *((f"system[{i}]", block) for i, block in enumerate(body.get("system", ())))):
        if block["type"] == "text" and not block["text"].strip():
            yield path


def _prefill_is_trimmed(body: Json) -> Iterator[str]:
    for path, turn in turns(body)[-1:]:
        texts = [block["text"] for block in turn["content"][-1:] if block["type"] == "text"]
        if turn["role"] == "assistant" and any(text != text.rstrip() for text in texts):
            yield path


def _is_unicode(body: Json) -> Iterator[str]:
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (UnicodeEncodeError, ValueError):
        yield ""


RULES: Final[tuple[Rule, ...]] = (
    Rule("has-messages", "messages: at least one message is required", _has_messages),
    Rule("starts-with-user", 'messages: first message must use the "user" role', _starts_with_user),
    Rule("has-content", "messages: all messages must have non-empty content", _has_content),
    Rule("knows-blocks", f"{_REFERENCE}: the content blocks of each role", _knows_blocks),
    Rule("text-is-not-blank", "text content blocks must contain non-whitespace text", _text_is_not_blank),
    Rule("prefill-is-trimmed", "final assistant content cannot end with trailing whitespace", _prefill_is_trimmed),
    Rule("is-unicode", "The request body is not valid JSON: surrogates are not allowed", _is_unicode),
)
