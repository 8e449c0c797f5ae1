"""Ours as a library: the route of the README."""

from __future__ import annotations

from fastapi import FastAPI

from usechat import ChatRequest, StreamingAnswer, stream_text
from usechat.models import anthropic

app = FastAPI()


@app.post("/api/chat")
async def chat(chat: ChatRequest) -> StreamingAnswer:
    """Answer with the model."""
    model = anthropic("claude-sonnet-4-6")
    return stream_text(model, system="You are a helpful assistant.", messages=chat.messages).response(chat)
