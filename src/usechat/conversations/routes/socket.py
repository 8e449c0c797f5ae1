"""The WebSocket of AI SDK 7, on which each request is its user's own."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the functions below make.
import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import cache, partial
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, WebSocket
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Message

from usechat.conversations.answering import Respond
from usechat.conversations.routes.answers import plan_chat
from usechat.conversations.routes.parts import RouteParts
from usechat.http.response import StreamingAnswer
from usechat.http.resume import find_running
from usechat.http.websocket import Caller, ChatSocket
from usechat.messages import ui

__all__ = ["add_socket"]

FOUND: Final = "usechat.owner"
"""The key of the owner in the scope of the request that asks for it."""
REFUSED: Final = "This request is refused."

FindOwner = Callable[[WebSocket, list[tuple[bytes, bytes]]], Awaitable[tuple[str | None, str]]]


def add_socket(router: APIRouter, parts: RouteParts, respond: Respond, origins: Collection[str]) -> None:
    """Add the WebSocket.

    Args:
        router: Gets the route.
        parts: What it is made of.
        respond: Responds to a turn.
        origins: Pages on other hosts that may be known by cookies.
    """
    find_owner = make_find_owner(parts.owner)

    async def answer(owner: str, body: ui.ChatRequest) -> StreamingAnswer:
        return await respond(await plan_chat(parts, owner, body, None))

    async def find(owner: str, chat_id: str) -> StreamingAnswer | None:
        return None if parts.opened is None else await find_running(parts.opened().runs, chat_id, owner=owner)

    @router.websocket("/chat/ws")
    async def chat(websocket: WebSocket) -> None:
        async def authorize(headers: Mapping[str, str]) -> str | Caller:
            owner, refusal = await find_owner(websocket, head_of(websocket, headers.get("authorization"), origins))
            return refusal if owner is None else Caller(partial(answer, owner), partial(find, owner))

        await ChatSocket(websocket, authorize=authorize, limits=parts.limits).serve()


def head_of(websocket: WebSocket, authorization: str | None, origins: Collection[str]) -> list[tuple[bytes, bytes]]:
    """Return the head of the request by which the user of a frame is found.

    Of a frame's own headers only ``Authorization`` counts: the others were not seen by a proxy that signs users in.
    A browser sends cookies and passwords with the handshake of any page, so those of foreign pages do not count.
    """
    handshake = Headers(scope=websocket.scope)
    origin = handshake.get("origin")
    is_ours = origin is None or origin.lower() in origins or urlsplit(origin).netloc == handshake.get("host")
    left_out = {b"authorization"} if is_ours else {b"authorization", b"cookie"}
    head = [(name, value) for name, value in handshake.raw if name not in left_out]
    if authorization is not None and (is_ours or authorization.lower().startswith("bearer ")):
        head.append((b"authorization", authorization.encode("utf-8")))
    return head


def make_find_owner(owner_of: Callable[..., Any]) -> FindOwner:
    """Return the function that asks the application's dependency who sent a frame.

    The dependency may want a `Request`, as for every other route, so it is asked by a route.
    """

    async def note_owner(request: Request, owner: Annotated[str, Depends(owner_of)]) -> Response:
        request.scope[FOUND] = owner
        return Response()

    @cache
    def route_in(app: Any) -> APIRoute:
        # Its tests may have replaced dependencies in the application.
        asking = APIRouter(dependency_overrides_provider=app)
        asking.add_api_route("/", note_owner, methods=["GET"])
        route = asking.routes[0]
        assert isinstance(route, APIRoute)
        return route

    async def find_owner(websocket: WebSocket, head: list[tuple[bytes, bytes]]) -> tuple[str | None, str]:
        scope: dict[str, Any] = {**websocket.scope, "type": "http", "method": "GET", "headers": head}
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await route_in(scope.get("app")).handle(scope, receive, send)
        return scope.get(FOUND), refusal_in(sent)

    return find_owner


def refusal_in(sent: list[Message]) -> str:
    """Return the reason in a response that refuses."""
    try:
        detail = json.loads(b"".join(message.get("body", b"") for message in sent))["detail"]
    except (ValueError, KeyError, TypeError):
        return REFUSED
    return detail if isinstance(detail, str) else REFUSED
