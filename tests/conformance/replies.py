"""What the stand-in for the Messages API answers in a scenario: streams that ship, and some made here.

The shipped ones have a tool of the sea; those made here call the tools that the compared backends have.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from usechat.testing.replay import Reply

__all__ = ["answer", "call", "said", "search", "text", "thinking"]

Event = dict[str, Any]
Block = list[Event]
"""The events of one content block, without its index."""

_PIECE = 7


def said(*blocks: Block, stop: str = "end_turn", **reply: Any) -> Reply:
    """A reply of some content blocks."""
    usage = {"input_tokens": 25, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1}
    name = {"id": "msg_made", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6"}
    content: list[Event] = []
    start = {**name, "content": content, "stop_reason": None, "stop_sequence": None, "usage": usage}
    delta = {"stop_reason": stop, "stop_sequence": None}
    events: list[Event] = [
        {"type": "message_start", "message": start},
        *({**event, "index": index} for index, block in enumerate(blocks) for event in block),
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 17}},
        {"type": "message_stop"},
    ]
    return Reply(events=events, **reply)


def text(*pieces: str) -> Block:
    """A text block."""
    return _block({"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces])


def thinking(*pieces: str, signature: str) -> Block:
    """A thinking block."""
    deltas: list[Event] = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
    signed = {"type": "signature_delta", "signature": signature}
    return _block({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed])


def call(tool: str, input: Any, *, id: str) -> Block:
    """A tool call. Its input is JSON, or a text that is to arrive as it is."""
    written = input if isinstance(input, str) else json.dumps(input)
    pieces = ["", *(written[at : at + _PIECE] for at in range(0, len(written), _PIECE))]
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    return _block({"type": "tool_use", "id": id, "name": tool, "input": {}}, deltas)


def search(query: str, *urls: str, id: str) -> tuple[Block, Block]:
    """A search that the provider carries out: the call, and what it found."""
    deltas = [{"type": "input_json_delta", "partial_json": json.dumps({"query": query})}]
    asked = _block({"type": "server_tool_use", "id": id, "name": "web_search", "input": {}}, deltas)
    hits = [
        {
            "type": "web_search_result",
            "url": url,
            "title": f"On {url}",
            "encrypted_content": "EqgfCio",
            "page_age": None,
        }
        for url in urls
    ]
    return asked, _block({"type": "web_search_tool_result", "tool_use_id": id, "content": hits}, [])


def answer(words: str = "The rest follows from that.") -> Reply:
    """A plain text answer, as it comes after a tool's result."""
    return said(text(*(f"{word} " for word in words.split())))


def _block(start: Event, deltas: Sequence[Event]) -> Block:
    return [
        {"type": "content_block_start", "content_block": start},
        *({"type": "content_block_delta", "delta": delta} for delta in deltas),
        {"type": "content_block_stop"},
    ]
