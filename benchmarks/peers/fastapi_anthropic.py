"""What one writes by hand today: FastAPI, the ``anthropic`` package's events, one ``json.dumps`` a delta.

PEER_STREAM=helper reads ``messages.stream()``, otherwise ``messages.create(stream=True)``.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from typing import Any

from anthropic import AsyncAnthropic
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
client = AsyncAnthropic(max_retries=0)
USES_HELPER = os.environ.get("PEER_STREAM") == "helper"
HEADERS = {"x-vercel-ai-ui-message-stream": "v1", "cache-control": "no-cache"}


@app.post("/api/chat")
async def chat(request: Request) -> StreamingResponse:
    """Answer with the model."""
    body = await request.json()
    return StreamingResponse(frames(body["messages"]), media_type="text/event-stream", headers=HEADERS)


async def frames(messages: list[dict[str, Any]]) -> AsyncIterator[str]:
    """The answer as a UI message stream."""
    call: dict[str, Any] = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 4096,
        "messages": [{"role": message["role"], "content": text_of(message)} for message in messages],
    }
    yield frame({"type": "start", "messageId": "msg-1"})
    yield frame({"type": "text-start", "id": "text-1"})
    if USES_HELPER:
        async with client.messages.stream(**call) as stream:
            async for event in stream:
                if event.type == "content_block_delta" and event.delta.type == "text_delta":
                    yield frame({"type": "text-delta", "id": "text-1", "delta": event.delta.text})
    else:
        async for event in await client.messages.create(stream=True, **call):
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield frame({"type": "text-delta", "id": "text-1", "delta": event.delta.text})
    yield frame({"type": "text-end", "id": "text-1"})
    yield frame({"type": "finish"})
    yield "data: [DONE]\n\n"


def text_of(message: dict[str, Any]) -> str:
    """All text parts of a message."""
    return "".join(part.get("text", "") for part in message["parts"])


def frame(chunk: dict[str, Any]) -> str:
    """One server-sent event."""
    return f"data: {json.dumps(chunk, separators=(',', ':'))}\n\n"
