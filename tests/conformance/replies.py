"""What the stand-in for the Messages API answers in a scenario: streams that ship, and some made here.

The shipped ones have a tool of the sea; those made here call the tools that the compared backends have.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from usechat.testing.replay import Reply

__all__ = ["answer", "call", "mcp_call", "quote", "said", "search", "server_call", "text", "thinking"]

Event = dict[str, Any]
Block = list[Event]
"""The events of one content block, without its index."""

_PIECE = 7


def said(
    *blocks: Block,
    stop: str | None = "end_turn",
    before_end: Sequence[Event] = (),
    after_end: Sequence[Event] = (),
    counts: Event | None = None,
    usage: Event | None = None,
    **reply: Any,
) -> Reply:
    """A reply of some content blocks; events may follow them, before and after the message's end."""
    cached = {"cache_creation_input_tokens": 0, "cache_read_input_tokens": 0} if usage is None else usage
    usage = {"input_tokens": 25, **cached, "output_tokens": 1}
    name = {"id": "msg_made", "type": "message", "role": "assistant", "model": "claude-sonnet-4-6"}
    content: list[Event] = []
    start = {**name, "content": content, "stop_reason": None, "stop_sequence": None, "usage": usage}
    delta = {"stop_reason": stop, "stop_sequence": None}
    events: list[Event] = [
        {"type": "message_start", "message": start},
        *({**event, "index": index} for index, block in enumerate(blocks) for event in block),
        {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 17, **(counts or {})}},
        *before_end,
        {"type": "message_stop"},
        *after_end,
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


def server_call(tool: str, *pieces: str, id: str, result: Event | None = None, input: Any = None) -> list[Block]:
    """A call that the provider carries out: its input with the block's start or in pieces, and what came of it."""
    start: Event = {"type": "server_tool_use", "id": id, "name": tool, "input": input or {}}
    made = _block(start, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces])
    if result is None:
        return [made]
    return [made, _block({"type": f"{tool}_tool_result", "tool_use_id": id, "content": result}, [])]


def mcp_call(text: str, *, id: str, is_error: bool = False) -> list[Block]:
    """A call of a tool of an MCP server, and the text that it answers."""
    made = {"type": "mcp_tool_use", "id": id, "name": "echo", "input": {"message": "hi"}, "server_name": "srv"}
    content = [{"type": "text", "text": text}]
    result = {"type": "mcp_tool_result", "tool_use_id": id, "is_error": is_error, "content": content}
    return [_block(made, []), _block(result, [])]


def quote(words: str, **citation: Any) -> Block:
    """A text block that quotes a document."""
    place = {"type": "char_location", "document_index": 0, "start_char_index": 0, "end_char_index": 4}
    quoted = {"type": "citations_delta", "citation": {**place, "cited_text": words, **citation}}
    return _block({"type": "text", "text": ""}, [quoted, {"type": "text_delta", "text": words}])


def answer(words: str = "The rest follows from that.") -> Reply:
    """A plain text answer, as it comes after a tool's result."""
    return said(text(*(f"{word} " for word in words.split())))


def _block(start: Event, deltas: Sequence[Event]) -> Block:
    return [
        {"type": "content_block_start", "content_block": start},
        *({"type": "content_block_delta", "delta": delta} for delta in deltas),
        {"type": "content_block_stop"},
    ]
