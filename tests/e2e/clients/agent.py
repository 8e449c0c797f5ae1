"""The agent that answers the client pages.

Its tools are those of the AI SDK's own servers that the pages are compared with; see
``tests/conformance/js/oracle/tools.mjs``.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tests.conformance.app import ask_user, delete, get_weather, make_metadata
from usechat import Agent, ToolContext, tool
from usechat.models import anthropic

__all__ = ["MODEL", "agent"]

MODEL = "claude-sonnet-4-6"


class Progress(BaseModel):
    done: int
    all: int


@tool(description="Count, and show how far it is.")
async def count(to: int, context: ToolContext) -> dict[str, int]:
    for done in range(1, to + 1):
        context.writer.write_data("progress", Progress(done=done, all=to).model_dump(), id="count")
    return {"counted": to}


delete_file = tool(name="delete_file", description="Delete a file. Needs approval.", needs_approval=True)(delete)

agent: Agent[Any] = Agent(
    anthropic(MODEL),
    tools=[get_weather, ask_user, delete_file, count],
    message_metadata=make_metadata(MODEL),
    max_retries=0,
)
