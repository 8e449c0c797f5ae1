"""The server's routes. `usechat.server.answering.answers` makes the answers."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the function below makes.
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request, WebSocket
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

import usechat
from usechat.conversations.conversations import Conversations
from usechat.conversations.planning import RepeatedTurn
from usechat.conversations.routes.openapi import STREAMED, body_schema
from usechat.errors import RequestError
from usechat.http.request import chat_request, completion_request
from usechat.http.response import StreamingAnswer
from usechat.http.resume import find_running
from usechat.http.websocket import ChatSocket
from usechat.messages import ui
from usechat.protocol.encoders import WireFormat
from usechat.server.access.keys import KeyGuard
from usechat.server.answering.answers import Answers
from usechat.server.routes.fetch_body import FetchChatBody, fetch_chat_request

__all__ = ["make_answer_router", "make_api_router", "make_open_router", "make_socket_router"]

PROTOCOL_HEADER: Final = "x-usechat-protocol"
PROTOCOLS: Final[Mapping[str, WireFormat | None]] = {"data": None, "text": "text-stream"}
ANY_METHOD: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def make_answer_router(answers: Answers, guard: KeyGuard, conversations: Conversations | None) -> APIRouter:
    """Return the routes that answer.

    Args:
        answers: Makes the answers.
        guard: Checks keys.
        conversations: The saved chats; None when chats are not saved.
    """
    max_bytes, limits = answers.settings.max_body_bytes, answers.settings.body_limits
    read_chat, read_completion = chat_request(max_bytes, limits=limits), completion_request(max_bytes, limits=limits)
    read_fetch_chat = fetch_chat_request(max_bytes, limits)
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)], responses=STREAMED)

    @router.post("/chat", response_class=Response, openapi_extra=body_schema(ui.ChatRequest))
    async def chat(request: Request, body: Annotated[ui.ChatRequest, Depends(read_chat)]) -> Response:
        """Answer `useChat` of AI SDK 3 to 7."""
        return await answer_chat(answers, conversations, body, wire_format(request, body.extra))

    @router.post("/completion", response_class=Response, openapi_extra=body_schema(ui.CompletionRequest))
    async def completion(request: Request, body: Annotated[ui.CompletionRequest, Depends(read_completion)]) -> Response:
        """Answer `useCompletion` of AI SDK 3 to 7."""
        return answers.to_completion(body, wire_format(request, body.extra))

    @router.post("/ai/chat/stream", response_class=Response, openapi_extra=body_schema(FetchChatBody))
    async def fetch_chat(body: Annotated[FetchChatBody, Depends(read_fetch_chat)]) -> Response:
        """Answer a hand-written `fetch` client with plain events."""
        return answers.to_fetch(body)

    return router


def make_api_router(answers: Answers, guard: KeyGuard, others: Iterable[BaseRoute] = ()) -> APIRouter:
    """Return the route that lists the models, and the one for unknown paths below ``/api``.

    Args:
        answers: Knows the models.
        guard: Checks keys.
        others: Further routes of this server, asked before this router.
    """
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)])

    @router.get("/info")
    async def info() -> dict[str, Any]:
        """Return the model that answers, and the others."""
        choice = answers.choice
        model = {"id": choice.name, "provider": choice.provider, "label": choice.label}
        return {"model": model, "notice": choice.notice, "models": answers.models if answers.settings.models else []}

    known = [*router.routes, *others]

    # The last route: without a key nobody learns which routes there are.
    @router.api_route("/{path:path}", methods=ANY_METHOD, include_in_schema=False)
    async def nothing_here(request: Request) -> None:
        allowed = {
            method
            for route in known
            if isinstance(route, Route) and route.matches(request.scope)[0] is Match.PARTIAL
            for method in route.methods or ()
        }
        if allowed:
            raise HTTPException(405, headers={"allow": ", ".join(sorted(allowed))})
        raise HTTPException(404)

    return router


def make_socket_router(answers: Answers, guard: KeyGuard, conversations: Conversations | None) -> APIRouter:
    """Return the WebSocket of AI SDK 7, on which each request carries its key."""
    router = APIRouter(prefix="/api")
    find = None if conversations is None else partial(find_running, conversations.runs)

    async def answer(body: ui.ChatRequest) -> StreamingAnswer:
        return await answer_chat(answers, conversations, body, None)

    @router.websocket("/chat/ws")
    async def chat(websocket: WebSocket) -> None:
        socket = ChatSocket(
            websocket,
            answer,
            find_running=find,
            authorize=guard.authorize,
            limits=answers.settings.body_limits,
        )
        await socket.serve()

    return router


async def answer_chat(
    answers: Answers, conversations: Conversations | None, body: ui.ChatRequest, protocol: WireFormat | None
) -> StreamingAnswer:
    """Return the answer to a ``useChat`` request; it is saved if chats are saved.

    Raises:
        ChatError: The chat is another owner's, has moved on, or cannot be read.
        RequestError: There is nothing to answer.
    """
    if conversations is None or not body.id:
        if not body.messages:
            raise RequestError("is missing", path="messages", status=400)
        return answers.to_chat(body, protocol)
    turn = await conversations.plan(body, body.id)
    if isinstance(turn, RepeatedTurn):
        return conversations.repeat(turn, wire_format=protocol, **answers.options)
    return answers.to_saved_chat(turn, conversations, protocol)


def make_open_router() -> APIRouter:
    """Return the routes that need no key."""
    router = APIRouter()

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return whether the process answers."""
        return {"status": "ok", "version": usechat.__version__}

    return router


def wire_format(request: Request, body: Mapping[str, Any]) -> WireFormat | None:
    """Return the stream protocol that a client asks for.

    Nothing that the AI SDK sends by itself tells ``streamProtocol: "text"`` from ``"data"``.

    Raises:
        RequestError: There is no such protocol.
    """
    named = request.query_params.get("protocol") or request.headers.get(PROTOCOL_HEADER) or body.get("streamProtocol")
    if named is None:
        return None
    if not isinstance(named, str) or named not in PROTOCOLS:
        raise RequestError(f"The protocol must be one of: {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[named]
