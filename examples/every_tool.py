"""Tools of every form in one backend: ``uvicorn examples.every_tool:app``, with ANTHROPIC_API_KEY set.

What the client has to do for each is in the AI SDK's documentation. To be asked for approvals it must be of AI SDK 6 or
7 and say so: ``new DefaultChatTransport({ headers: { 'x-usechat-sdk': version } })``, where ``version`` is from
``ai/package.json``.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Request
from mcp import Client, StdioServerParameters
from pydantic import BaseModel, Field

from usechat import (
    Approve,
    AskUser,
    ChatRequest,
    Deny,
    StreamingAnswer,
    ToolContext,
    step_count_is,
    stream_text,
    tool,
)
from usechat.messages.model import FileContent, TextContent, ToolResultOutput
from usechat.models import anthropic
from usechat.parts import Data, File
from usechat.tools import mcp_tools, web_search

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


# A function: its name, docstring and signature are what the model is told. Several calls run at once.
@tool
async def get_weather(city: Annotated[str, Field(description="Its English name.")]) -> dict[str, Any]:
    """The weather in a city, now."""
    if city == "Atlantis":
        raise LookupError("no such city")
    return {"city": city, "temperature": 18}


# A plain function may block: it runs on a thread. None is a result too.
@tool
def remember(note: str) -> None:
    """Keep a note."""
    print(note)


# A generator shows what it has so far; its last value is the result.
@tool
async def search_archive(query: str) -> AsyncGenerator[dict[str, Any]]:
    """Search the archive."""
    yield {"status": "searching", "found": 0}
    yield {"status": "done", "found": len(query)}


def with_picture(chart: Mapping[str, Any]) -> ToolResultOutput:
    """The model gets the picture; the client gets the result, and the picture as a file."""
    return ToolResultOutput(
        "content", [TextContent(chart["caption"]), FileContent(media_type="image/png", data=chart["picture"])]
    )


# The context says which call this is, and takes parts of the tool's own: data as it comes, a file.
@tool(to_model_output=with_picture)
async def draw_chart(title: str, context: ToolContext) -> dict[str, str]:
    """Draw a chart."""
    for percent in (50, 100):
        context.writer.write(Data(name="progress", id=context.tool_call_id, data={"percent": percent}))
    context.writer.write(File(media_type="image/png", url=f"data:image/png;base64,{PIXEL}"))
    return {"caption": f"{title}, for {context.deps['user']}", "picture": PIXEL}


# Nothing runs for ever.
@tool(timeout=0.2)
async def count_sand() -> int:
    """Count the grains of sand on the beach."""
    await asyncio.Event().wait()
    return 0


class Question(BaseModel):
    """What the user is asked."""

    question: str
    choices: list[str] = []


# No function: the client carries it out, and sends the answer with its next request.
ask_user = tool(name="ask_user", description="Ask the user.", input_schema=Question)


async def run_query(query: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Rows that nobody knew of when the page was written."""
    return [{"table": query["table"], "rows": 3}]


# A JSON schema; and, for a client that has no type for it, a dynamic tool.
query_database = tool(
    name="query_database",
    title="Database",
    description="Read a table.",
    input_schema={"type": "object", "properties": {"table": {"type": "string"}}, "required": ["table"]},
    execute=run_query,
    dynamic=True,
)


# The user decides on each call.
@tool(needs_approval=True)
async def delete_file(path: str) -> dict[str, str]:
    """Delete a file."""
    return {"deleted": path}


def may_send(mail: Mapping[str, str], context: ToolContext) -> AskUser | Approve | Deny:
    """Colleagues get their mail at once, a list of everybody never, and for others the user is asked."""
    if mail["to"].endswith("@example.com"):
        return Approve("a colleague")
    return Deny("that list is closed") if mail["to"] == "everybody" else AskUser("somebody else")


# The application decides, or leaves it to the user.
@tool(needs_approval=may_send)
async def send_mail(to: str, text: str) -> str:
    """Send a mail."""
    return f"sent {len(text)} letters to {to}"


TOOLS = [
    get_weather,
    remember,
    search_archive,
    draw_chart,
    count_sand,
    ask_user,
    query_database,
    delete_file,
    send_mail,
    # Anthropic searches by itself; calls and results come within the answer.
    web_search(max_uses=3),
]


@asynccontextmanager
async def connect(app: FastAPI) -> AsyncGenerator[None]:
    """Tools of an MCP server, which runs as long as this one."""
    harbour = StdioServerParameters(command=sys.executable, args=["-m", "examples.harbour_server"])
    async with Client(harbour) as client:
        app.state.tools = [*TOOLS, *await mcp_tools(client)]
        yield


app = FastAPI(lifespan=connect)


@app.post("/api/chat")
async def chat(chat: ChatRequest, request: Request) -> StreamingAnswer:
    """Answer, with as many steps as it takes, up to ten."""
    result = stream_text(
        anthropic("claude-sonnet-4-6"),
        messages=chat.messages,
        tools=request.app.state.tools,
        stop_when=step_count_is(10),
        context={"user": request.headers.get("x-user", "you")},
        message_metadata=True,
    )
    return result.response(chat)
