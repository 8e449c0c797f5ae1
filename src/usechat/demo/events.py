"""Turn the blocks of the demo's answer into the events of a Messages API stream, in deltas of about one token.

Pure and deterministic: ids and signatures are digests of the request. The order of events is that of
https://docs.anthropic.com/en/docs/build-with-claude/streaming. Knows no HTTP and no pace.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from usechat.demo.script import Block, Cited, Failure, Search, Text, Thinking, ToolUse, answer

__all__ = ["answer_events"]

Json = dict[str, Any]
_Deltas = Iterator[Json]

_CHARACTERS_PER_TOKEN = 4
_PIECE = re.compile(r"\s*\S{1,12}\s*")
"""About one word, like a token of a model."""


def answer_events(request: Mapping[str, Any]) -> Iterator[Json]:
    """Yield the events with which the demo answers a Messages API request, first to last."""
    blocks = answer(request)
    digest = _digest([request.get("system"), request.get("messages")])
    failure = next((block for block in blocks if isinstance(block, Failure)), None)
    yield _message_start(request, digest)
    yield {"type": "ping"}
    index = 0
    for number, block in enumerate(blocks):
        is_cut = isinstance(blocks[number + 1], Failure) if number + 1 < len(blocks) else False
        for content_block, deltas in _content_blocks(block, f"{digest}{number:02d}"):
            yield {"type": "content_block_start", "index": index, "content_block": content_block}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            if not is_cut:
                yield {"type": "content_block_stop", "index": index}
            index += 1
    if failure is not None:
        yield {"type": "error", "error": {"type": failure.type, "message": failure.message}}
        return
    yield from _message_end(blocks)


def _message_start(request: Mapping[str, Any], digest: str) -> Json:
    return {
        "type": "message_start",
        "message": {
            "id": f"msg_demo_{digest}",
            "type": "message",
            "role": "assistant",
            "model": request.get("model", "usechat-demo"),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {
                "input_tokens": _tokens(json.dumps([request.get("system"), request.get("messages")])),
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": 1,
            },
        },
    }


def _message_end(blocks: Sequence[Block]) -> Iterator[Json]:
    usage: Json = {"output_tokens": sum(_tokens(_said(block)) for block in blocks)}
    searches = sum(isinstance(block, Search) for block in blocks)
    if searches:
        usage["server_tool_use"] = {"web_search_requests": searches}
    stop_reason = "tool_use" if any(isinstance(block, ToolUse) for block in blocks) else "end_turn"
    yield {
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason, "stop_sequence": None},
        "usage": usage,
    }
    yield {"type": "message_stop"}


def _content_blocks(block: Block, digest: str) -> Iterator[tuple[Json, _Deltas]]:
    """Yield the content blocks of one block of the script: the start of each, and its deltas."""
    match block:
        case Text(text):
            yield {"type": "text", "text": ""}, _text_deltas(text)
        case Thinking(text):
            yield {"type": "thinking", "thinking": "", "signature": ""}, _thinking_deltas(text, digest)
        case Cited():
            yield {"type": "text", "text": "", "citations": []}, _cited_deltas(block)
        case Search(query, hits):
            search_id = f"srvtoolu_demo_{digest}"
            yield _tool_block("server_tool_use", search_id, "web_search"), _input_deltas({"query": query})
            yield _search_result(search_id, hits), iter(())
        case ToolUse(name, tool_input):
            yield _tool_block("tool_use", f"toolu_demo_{digest}", name), _input_deltas(tool_input)
        case _:
            return  # a failure becomes an error event, not a content block


def _tool_block(block_type: str, tool_use_id: str, name: str) -> Json:
    return {"type": block_type, "id": tool_use_id, "name": name, "input": {}}


def _search_result(search_id: str, hits: Sequence[Mapping[str, str]]) -> Json:
    results = [
        {"type": "web_search_result", **hit, "encrypted_content": _opaque(f"content of {hit['url']}")} for hit in hits
    ]
    return {"type": "web_search_tool_result", "tool_use_id": search_id, "content": results}


def _text_deltas(text: str) -> _Deltas:
    return ({"type": "text_delta", "text": piece} for piece in _PIECE.findall(text))


def _thinking_deltas(text: str, digest: str) -> _Deltas:
    for piece in _PIECE.findall(text):
        yield {"type": "thinking_delta", "thinking": piece}
    yield {"type": "signature_delta", "signature": _opaque(f"{digest} {text}")}


def _cited_deltas(block: Cited) -> _Deltas:
    yield {
        "type": "citations_delta",
        "citation": {
            "type": "web_search_result_location",
            "cited_text": block.cited_text,
            "url": block.hit["url"],
            "title": block.hit["title"],
            "encrypted_index": _opaque(f"index of {block.hit['url']}"),
        },
    }
    yield from _text_deltas(block.text)


def _input_deltas(tool_input: Mapping[str, Any]) -> _Deltas:
    # The real API also sends an empty delta first.
    pieces = ["", *_PIECE.findall(json.dumps(tool_input))]
    return ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)


_SAID: Mapping[type[Block], Callable[[Any], str]] = {
    Text: lambda block: block.text,
    Thinking: lambda block: block.text,
    Cited: lambda block: block.text,
    Search: lambda block: block.query,
    ToolUse: lambda block: json.dumps(block.input),
    Failure: lambda block: "",
}


def _said(block: Block) -> str:
    return _SAID[type(block)](block)


def _tokens(text: str) -> int:
    return len(text) // _CHARACTERS_PER_TOKEN + 1


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:20]


def _opaque(text: str) -> str:
    """Return text that looks like the provider's encrypted values; the same text gives the same value."""
    return base64.b64encode(hashlib.sha512(text.encode()).digest()).decode()
