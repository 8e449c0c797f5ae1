"""The conformance target: a backend made with the public API alone, which offers what the harness asks of one.

Routes are mounted once without a prefix, where the client's version is told from its request, and once under each of
``/v4`` to ``/v7``, where the prefix names it. The request's body chooses the model and the tools, which no real
backend should allow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, FastAPI, Query, Request, WebSocket
from pydantic import BaseModel, Field
from starlette.responses import Response

from usechat import (
    ChatRequest,
    CompletionRequest,
    Steering,
    StepResult,
    StreamingAnswer,
    StreamTextResult,
    Tool,
    generate_id,
    step_count_is,
    stream_object,
    stream_text,
    tool,
)
from usechat.errors import InvalidToolInputError, ProviderError
from usechat.http.resume import replay
from usechat.http.websocket import ChatSocket
from usechat.messages import ui
from usechat.models import anthropic
from usechat.parts import Finish, Part, Start
from usechat.runs.memory.log import MemoryLog
from usechat.runs.service import RunService
from usechat.tools import advisor, code_execution, tool_search, web_fetch, web_search

VERSIONS = ("4.3.19", "5.0.277", "6.0.324", "7.0.173")
"""The releases that are compared with: only to a client named whole do we answer as its own SDK's server."""
ASKS_ALL = "ask_old_clients_too"
"""A generic tool by whose presence deletions need approval, whatever the client."""
SYSTEM = "You are a helpful assistant."
THINKING = {"anthropic": {"thinking": {"type": "enabled", "budget_tokens": 1024}}}

# The AI SDK's own headers, without what this package adds for proxies, so that they can be compared.
SDK_HEADERS: dict[str, dict[str, str | None]] = {
    "4": {"cache-control": None, "x-accel-buffering": None},
    "text": {"cache-control": None, "x-accel-buffering": None},
    "5": {"cache-control": "no-cache"},
}


@tool(description="Get the current weather in a city.")
async def get_weather(
    city: Annotated[str, Field(description="The city name.")],
    unit: Literal["celsius", "fahrenheit"] | None = None,
) -> dict[str, Any]:
    if city == "ERROR":
        raise RuntimeError("weather service is down")
    return {"city": city, "temperature": 18, "unit": unit or "celsius", "condition": "sunny"}


@tool(description="Get the current time.")
async def get_time() -> dict[str, str]:
    return {"time": "12:00"}


class Question(BaseModel):
    question: str
    options: list[Any] | None = None


ask_user = tool(name="ask_user", description="Ask the user a question.", input_schema=Question)


async def delete(path: str) -> dict[str, str]:
    return {"deleted": path}


class Recipe(BaseModel):
    title: str
    items: list[str]


SERVER_TOOLS: dict[str, Callable[[], Tool]] = {
    "web_search": web_search,
    "web_fetch": web_fetch,
    "web_fetch_20260209": lambda: web_fetch(version="20260209"),
    "code_execution": code_execution,
    "code_execution_20250522": lambda: code_execution(version="20250522"),
    "code_execution_20260120": lambda: code_execution(version="20260120"),
    "tool_search_tool_bm25": tool_search,
    "tool_search_tool_regex": lambda: tool_search("regex"),
    "advisor": lambda: advisor("claude-opus-4-6"),
}


def make_tools(sdk: str, extra: list[str], server: list[str]) -> list[Tool]:
    """The tools every target has; AI SDK 4 and 5 know no approvals."""
    asks = not sdk.startswith(("4", "5")) or ASKS_ALL in extra
    delete_file = tool(name="delete_file", description="Delete a file. Needs approval.", needs_approval=asks)(delete)
    provided = [SERVER_TOOLS[name]() for name in server if name in SERVER_TOOLS]
    return [get_weather, get_time, ask_user, delete_file, *map(make_generic_tool, extra), *provided]


def make_generic_tool(name: str) -> Tool:
    async def answer(_: Any) -> dict[str, Any]:
        return {"ok": True, "tool": name}

    schema: dict[str, Any] = {"type": "object", "properties": {}}
    return tool(name=name, description="Generic test tool.", input_schema=schema, execute=answer)


def make_metadata(model: str) -> Callable[[Part], Any]:
    def metadata(part: Part) -> Any:
        match part:
            case Start():
                return {"model": model}
            case Finish():
                return {"usage": part.total_usage}
            case _:
                return None

    return metadata


# A reader that leaves comes back: its answer goes on.
runs = RunService(MemoryLog(), disconnect="finish")


def mask_failure(error: BaseException) -> str | None:
    """Say of a provider's failure what the SDK says of it by default; ours has words for each kind."""
    return "An error occurred." if isinstance(error, ProviderError) else None


def mask_cut_call(error: BaseException) -> str | None:
    """Say what the SDK's own server says before 7, also of a call that was cut off; ours says that it was."""
    return "An error occurred." if isinstance(error, InvalidToolInputError) else mask_failure(error)


def tool_errors(sdk: str) -> Literal["masked", "shown"]:
    """Return what the SDK's own server shows by default; ours masks for every major."""
    return "shown" if sdk.startswith("7") else "masked"


def answer_chat(chat: ui.ChatRequest, sdk: str) -> StreamTextResult:
    """The answer that the request's body asks for."""
    body = chat.extra
    steering = Steering()
    steer(steering, body)
    return stream_text(
        anthropic(body["model"]),
        system=body.get("system") or SYSTEM,
        messages=chat.messages,
        tools=make_tools(sdk, body.get("extraTools") or [], body.get("serverTools") or []),
        stop_when=step_count_is(body.get("maxSteps") or 5),
        approval_secret=body.get("approvalSecret") or False,
        # One recorded request comes many times, for each major and run.
        used_approvals=False,
        provider_options=THINKING if body.get("thinking") else None,
        message_metadata=make_metadata(body["model"]) if body.get("usageMetadata") else None,
        # The SDK takes a pause for the end.
        continue_paused=bool(body.get("continuePaused")),
        steering=steering,
        on_step_finish=lambda step: steer(steering, body, step),
        max_retries=0,
        on_error=mask_failure if tool_errors(sdk) == "shown" else mask_cut_call,
    )


def steer(steering: Steering, body: dict[str, Any], after: StepResult | None = None) -> None:
    """Say what the body has the user say before the answer, or after one of its steps."""
    step = None if after is None else after.step_number
    messages: list[dict[str, Any]] = body.get("steering") or []
    for said in messages:
        if said.get("afterStep") == step:
            send = steering.queue if said["how"] == "queue" else steering.steer
            send(said["text"], id=said["id"])


def make_router(sdk: str) -> APIRouter:
    """All routes, answering as the SDK of that version does."""
    router = APIRouter()
    headers = SDK_HEADERS["4" if sdk.startswith("4") else "5"]

    @router.post("/api/chat")
    async def chat(chat: ChatRequest) -> StreamingAnswer:
        body = chat.extra
        result = answer_chat(chat, sdk)
        if body.get("resumable"):
            options: dict[str, Any] = {"headers": headers, "tool_errors": tool_errors(sdk)}
            return result.response(chat, sdk=sdk, runs=runs, message_id=None, **options)
        keep_alive = body.get("keepAliveMs")
        return result.response(
            chat,
            sdk=sdk,
            headers=headers,
            message_id=(lambda: generate_id("msg", 16)) if body.get("persist") else None,
            tool_errors=tool_errors(sdk),
            tool_call_streaming=body.get("toolCallStreaming", True),
            send_usage=body.get("sendUsage", True),
            heartbeat=keep_alive / 1000 if keep_alive else 15,
        )

    @router.get("/api/chat/{chat_id}/stream")
    async def resume(chat_id: str, request: Request) -> Response:
        return await replay(runs, chat_id, request)

    @router.get("/api/chat")
    async def resume_v4(chat_id: Annotated[str, Query(alias="chatId")], request: Request) -> Response:
        return await replay(runs, chat_id, request, is_v4=True)

    @router.post("/api/text")
    async def text(chat: ChatRequest) -> StreamingAnswer:
        result = stream_text(
            anthropic(chat.extra["model"]), messages=chat.messages, max_retries=0, on_error=mask_failure
        )
        return result.response(chat, sdk=sdk, wire_format="text-stream", **text_options(sdk))

    @router.post("/api/completion")
    async def completion(completion: CompletionRequest) -> StreamingAnswer:
        result = stream_text(
            anthropic(completion.extra["model"]), prompt=completion.prompt, max_retries=0, on_error=mask_failure
        )
        return result.response(completion, sdk=sdk, headers=headers)

    @router.post("/api/completion-text")
    async def completion_text(completion: CompletionRequest) -> StreamingAnswer:
        result = stream_text(
            anthropic(completion.extra["model"]), prompt=completion.prompt, max_retries=0, on_error=mask_failure
        )
        return result.response(completion, sdk=sdk, wire_format="text-stream", **text_options(sdk))

    add_object_routes(router, sdk)

    @router.websocket("/api/chat/ws")
    async def chat_socket(websocket: WebSocket) -> None:
        # Only clients of 7 have this transport.
        await ChatSocket(
            websocket,
            lambda chat: answer_chat(chat, sdk),
            sdk=sdk if sdk[0] == "7" else VERSIONS[-1],
            tool_errors="shown",
        ).serve()

    return router


def text_options(sdk: str) -> dict[str, Any]:
    """Return what has text streams sent as the SDK of that version does: one that fails ends as if it were whole."""
    return {"headers": SDK_HEADERS["text"], "breaks_on_error": sdk == "auto"}


def add_object_routes(router: APIRouter, sdk: str) -> None:
    """What ``useObject`` asks: an object, an array of them, one of some words."""

    def answer(completion: ui.CompletionRequest, **options: Any) -> StreamingAnswer:
        model = anthropic(completion.extra["model"])
        result = stream_object(model, prompt=completion.prompt, max_retries=0, on_error=mask_failure, **options)
        return result.response(completion, sdk=sdk, **text_options(sdk))

    @router.post("/api/object")
    async def an_object(completion: CompletionRequest) -> StreamingAnswer:
        return answer(completion, schema=Recipe)

    @router.post("/api/object-array")
    async def an_array(completion: CompletionRequest) -> StreamingAnswer:
        return answer(completion, schema=Recipe, output="array")

    @router.post("/api/object-enum")
    async def an_enum(completion: CompletionRequest) -> StreamingAnswer:
        return answer(completion, output="enum", enum=["glad", "sad", "saddest"])


app = FastAPI()
app.include_router(make_router("auto"))
for version in VERSIONS:
    app.include_router(make_router(version), prefix=f"/v{version[0]}")
