"""The server's own routes, beside those of its chats. `usechat.server.answering.answers` makes the answers."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the function below makes.
from collections.abc import Iterable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Match, Route

import usechat
from usechat.conversations.routes.openapi import STREAMED, body_schema
from usechat.server.access.asking import asking
from usechat.server.access.sign_in.keys import KeyGuard
from usechat.server.answering.answers import Answers
from usechat.server.health import Health
from usechat.server.meter import Meter, write_metrics
from usechat.server.routes.fetch_body import FetchChatBody, fetch_chat_request

__all__ = ["make_api_router", "make_fetch_router", "make_open_router"]

ANY_METHOD: Final = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def make_fetch_router(answers: Answers, guard: KeyGuard) -> APIRouter:
    """Return the route of hand-written clients.

    Args:
        answers: Makes the answers.
        guard: Checks keys.
    """
    read_chat = fetch_chat_request(answers.settings.max_body_bytes, answers.settings.body_limits)
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)], responses=STREAMED)

    @router.post("/ai/chat/stream", response_class=Response, openapi_extra=body_schema(FetchChatBody))
    async def fetch_chat(body: Annotated[FetchChatBody, Depends(read_chat)]) -> Response:
        """Answer a hand-written `fetch` client with plain events."""
        return await answers.in_place(lambda: answers.to_fetch(body))

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
        """Return the model that answers, those to choose from with what each can, and who asks."""
        choice = answers.choice
        model = {"id": choice.name, "provider": choice.provider, "label": choice.label}
        models = answers.models if answers.settings.models else []
        described = [{**choice.describe(name), **answers.describe_price(name)} for name in models]
        told = {"model": model, "notice": choice.notice, "models": models, "modelInfo": described}
        return {**told, "user": asking.get().user, "signIn": guard.describe_sign_in()}

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


def make_open_router(health: Health, meter: Meter | None) -> APIRouter:
    """Return the routes for those who watch over the server. ``/metrics`` alone needs a key.

    Args:
        health: Knows whether the process is ready.
        meter: The numbers of ``/metrics``; None when nothing is measured.
    """
    router = APIRouter()

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """Return whether the process answers."""
        return {"status": "ok", "version": usechat.__version__}

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", responses={503: {"description": "The process should get no requests."}})
    async def readyz() -> JSONResponse:
        """Return whether the process should get requests: its database and Redis answer, and it does not end."""
        is_ready, found = await health.check()
        status = "ok" if is_ready else "draining" if health.is_draining else "away"
        return JSONResponse({"status": status, **found}, status_code=200 if is_ready else 503)

    if meter is not None:

        @router.get("/metrics", response_class=Response)
        async def metrics() -> Response:
            """Return the numbers of this process for Prometheus."""
            text, media_type = write_metrics(meter)
            return Response(text, media_type=media_type)

    return router
