"""pydantic-ai and its adapter for Vercel's protocol."""

# Its packages are installed in an environment of their own, out of the type checker's sight.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from pydantic_ai import Agent
from pydantic_ai.ui.vercel_ai import VercelAIAdapter

app = FastAPI()
agent = Agent("anthropic:claude-sonnet-4-6")


@app.post("/api/chat")
async def chat(request: Request) -> Response:
    """Answer with the agent."""
    return await VercelAIAdapter.dispatch_request(request, agent=agent, sdk_version=6)
