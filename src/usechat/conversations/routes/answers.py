"""The routes that answer, and the dependency that reads a turn."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the functions below make.
from collections.abc import Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from usechat.conversations.answering import Respond
from usechat.conversations.busy import IsLeft
from usechat.conversations.chat_turn import ChatTurn, check_messages
from usechat.conversations.planning import PlannedTurn
from usechat.conversations.routes.openapi import STREAMED, body_schema
from usechat.conversations.routes.parts import RouteParts, http_refusal
from usechat.errors import RequestError
from usechat.http.refusals import REFUSALS
from usechat.http.request import chat_request, completion_request
from usechat.messages import ui
from usechat.protocol.encoders import WireFormat

__all__ = ["add_answers", "make_turn", "plan_chat"]

PROTOCOL_HEADER: Final = "x-usechat-protocol"
PROTOCOLS: Final[Mapping[str, WireFormat | None]] = {"data": None, "text": "text-stream"}


async def plan_chat(
    parts: RouteParts,
    owner: str,
    chat: ui.ChatRequest,
    wire_format: WireFormat | None,
    is_left: IsLeft | None = None,
) -> ChatTurn:
    """Return the turn of a ``useChat`` request; it is saved if chats are saved and the request names one.

    Raises:
        ChatError: The chat is another owner's, has moved on, or cannot be read.
        RequestError: There is nothing to answer.
    """
    options = {"wire_format": wire_format, **parts.response_options}
    if parts.opened is None or not chat.id:
        check_messages(chat)
        return ChatTurn(owner, chat, None, None, options)
    conversations = parts.opened()
    planned = await conversations.busy.plan(owner, chat, chat.id, parts.is_client_tool, is_left)
    if isinstance(planned, PlannedTurn):
        planned = msgspec.structs.replace(planned, answering=parts.answering)
    return ChatTurn(owner, chat, planned, conversations, options)


def make_turn(parts: RouteParts) -> Callable[..., Coroutine[Any, Any, ChatTurn]]:
    """Return the dependency that reads a request and plans its turn. It refuses with ``HTTPException``."""
    read_chat = chat_request(parts.max_body_bytes, limits=parts.limits)

    async def turn(
        request: Request,
        # Before the body, so that no body of an unknown user is read.
        owner: Annotated[str, Depends(parts.owner)],
        body: Annotated[ui.ChatRequest, Depends(read_chat)],
    ) -> ChatTurn:
        try:
            return await plan_chat(parts, owner, body, wire_format(request, body.extra), request.is_disconnected)
        except REFUSALS as error:
            raise http_refusal(error) from error

    return turn


def add_answers(router: APIRouter, parts: RouteParts, respond: Respond) -> None:
    """Add the routes of ``useChat`` and ``useCompletion``.

    Args:
        router: Gets the routes.
        parts: What they are made of.
        respond: Responds to a turn.
    """
    read_chat = chat_request(parts.max_body_bytes, limits=parts.limits)
    read_completion = completion_request(parts.max_body_bytes, limits=parts.limits)
    owner_of = parts.owner

    @router.post("/chat", response_class=Response, responses=STREAMED, openapi_extra=body_schema(ui.ChatRequest))
    # Not ``chat``: an application's own route of this path is called so, and FastAPI warns of equal operation ids.
    async def answer_chat(
        request: Request,
        owner: Annotated[str, Depends(owner_of)],
        body: Annotated[ui.ChatRequest, Depends(read_chat)],
    ) -> Response:
        """Answer `useChat` of AI SDK 3 to 7."""
        planned = await plan_chat(parts, owner, body, wire_format(request, body.extra), request.is_disconnected)
        return await respond(planned)

    @router.post(
        "/completion", response_class=Response, responses=STREAMED, openapi_extra=body_schema(ui.CompletionRequest)
    )
    async def completion(
        request: Request,
        owner: Annotated[str, Depends(owner_of)],
        body: Annotated[ui.CompletionRequest, Depends(read_completion)],
    ) -> Response:
        """Answer `useCompletion` of AI SDK 3 to 7."""
        options = {"wire_format": wire_format(request, body.extra), **parts.response_options}
        return await respond(ChatTurn(owner, body, None, None, options))


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
