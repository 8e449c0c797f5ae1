"""Ours as a library, with five tools: what a request costs before its first token."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI
from pydantic import Field

from usechat import ChatRequest, StreamingAnswer, stream_text, tool
from usechat.models import anthropic

app = FastAPI()


@tool(description="Look up rows of a table.")
async def look_up(query: str, limit: Annotated[int, Field(ge=1, le=100)] = 10) -> list[dict[str, Any]]:
    """Find them."""
    return [{"query": query, "limit": limit}]


@tool(description="Read a file.")
async def read_file(path: str, encoding: Literal["utf-8", "latin-1"] = "utf-8") -> str:
    """Read it."""
    return f"{path} in {encoding}"


@tool(description="Write a file.")
async def write_file(path: str, content: str) -> str:
    """Write it."""
    return f"{len(content)} characters in {path}"


@tool(description="Get the weather in a city.")
async def get_weather(city: Annotated[str, Field(description="The city's name.")], days: int = 1) -> dict[str, Any]:
    """Ask for it."""
    return {"city": city, "days": days, "temperature": 18}


@tool(description="Send a letter.")
async def send_letter(to: list[str], subject: str, text: str, urgent: bool = False) -> bool:
    """Send it."""
    return bool(to and subject and text) or urgent


@app.post("/api/chat")
async def chat(chat: ChatRequest) -> StreamingAnswer:
    """Answer with the model and the tools."""
    return stream_text(
        anthropic("claude-sonnet-4-6"),
        system="You are a helpful assistant.",
        messages=chat.messages,
        tools=[look_up, read_file, write_file, get_weather, send_letter],
    ).response(chat)
