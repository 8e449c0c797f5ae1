"""Vercel's own ``ai`` package for Python, behind a FastAPI route."""

# Its packages are installed in an environment of their own, out of the type checker's sight.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

from __future__ import annotations

from collections.abc import AsyncIterator

import ai
from ai.ui import ai_sdk
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI()
agent = ai.Agent()
# Made once: each call of get_model sets up TLS anew.
model = ai.get_model("anthropic:claude-sonnet-4-6")


@app.post("/api/chat")
async def chat(request: Request) -> StreamingResponse:
    """Answer with the agent."""
    body = await request.json()
    messages, _ = ai_sdk.to_messages([ai_sdk.UIMessage.model_validate(message) for message in body["messages"]])

    async def frames() -> AsyncIterator[str]:
        async with agent.run(model, messages) as stream:
            async for frame in ai_sdk.to_sse(stream):
                yield frame

    return StreamingResponse(frames(), headers=ai_sdk.UI_MESSAGE_STREAM_HEADERS)
