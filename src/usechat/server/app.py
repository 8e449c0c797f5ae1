"""The server as an ASGI application: settings in, a FastAPI app out."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import JSONResponse

import usechat
from usechat.conversations.chats import Chats
from usechat.conversations.turn_ends import OnFinish
from usechat.http.refusals import REFUSALS, refusal_response
from usechat.messages.validation import request_error_from_validation
from usechat.server.access.edge import BodyGate, KeyGate
from usechat.server.access.keys import KeyGuard
from usechat.server.access.middleware import REQUEST_ID_HEADER, FailedStarts, LastResort, LoopbackOnly, RequestIds
from usechat.server.answering.answers import Answers
from usechat.server.answering.choice import choose_model
from usechat.server.environment import load_environment
from usechat.server.persistence import database_url, open_chats, open_used_approvals
from usechat.server.processes.shutdown import stopping
from usechat.server.routes.page import PageFiles, default_page_folder
from usechat.server.routes.routes import make_api_router, make_fetch_router, make_open_router
from usechat.server.settings import Settings, is_loopback_host

if TYPE_CHECKING:
    from usechat.agent import Agent

__all__ = ["create_app"]

EXPOSED_HEADERS: Final = (
    "x-vercel-ai-ui-message-stream",
    "x-vercel-ai-data-stream",
    "x-experimental-stream-data",
    REQUEST_ID_HEADER,
)

LOAD_AFTER_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


def create_app(
    settings: Settings | None = None, *, agent: Agent[Any] | None = None, on_finish: OnFinish | None = None
) -> FastAPI:
    """Return the server's application, also for ``uvicorn --factory usechat.server.app:create_app``.

    Args:
        settings: The settings; by default those of the environment and the ``.env`` file.
        agent: Answers in place of a model alone, with its own tools; by default the one that the settings name.
        on_finish: Called once for each saved answer's end, in one process.

    Raises:
        ConfigurationError: A setting or the agent is wrong, or the server would be open to strangers by accident.
    """
    if settings is None:
        environment = load_environment()
        settings = environment.settings
        for warning in environment.warnings():
            logger.warning(warning)
    settings.check_exposure()
    is_public = os.environ.get("VERCEL") == "1"
    used_approvals = open_used_approvals(settings)
    choice = choose_model(settings, agent)
    answers = Answers(settings, choice, used_approvals)
    warn_of_unshared_secret(settings, is_public=is_public)
    chats = open_chats(settings, database_url(settings, is_public=is_public), on_finish, is_public=is_public)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        with stopping(chats.close, partial(end_running, answers, chats), settings.shutdown_seconds):
            async with chats:
                loading = asyncio.create_task(load_ahead())
                try:
                    yield
                finally:
                    loading.cancel()
        if used_approvals is not None:
            await used_approvals.aclose()

    app = make_bare_app(lifespan, has_docs=is_loopback_host(settings.host) and not is_public)
    guard = KeyGuard(settings, is_public=is_public)
    add_middleware(app, settings, guard, is_public=is_public)
    for router in make_routers(answers, guard, chats):
        app.include_router(router)
    app.include_router(make_open_router())
    app.mount("/", PageFiles(settings.web_dir or default_page_folder()))
    return app


def make_bare_app(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]], *, has_docs: bool) -> FastAPI:
    """Return an application without routes that answers errors."""
    app = FastAPI(
        title="usechat",
        version=usechat.__version__,
        description="A backend for useChat and useCompletion of AI SDK 3 to 7.",
        docs_url="/docs" if has_docs else None,
        openapi_url="/openapi.json" if has_docs else None,
        redoc_url=None,
        lifespan=lifespan,
    )
    for kind in REFUSALS:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, refuse_invalid)
    return app


def make_routers(answers: Answers, guard: KeyGuard, chats: Chats) -> list[APIRouter]:
    """Return all routes below ``/api``, with those of saved chats if chats are saved."""
    chat = chats.router(answers.answer, user=guard, client_tools=answers.client_tools, prefix="/api")
    fetch = make_fetch_router(answers, guard)
    return [chat, fetch, make_api_router(answers, guard, [*chat.routes, *fetch.routes])]


async def load_ahead() -> None:
    """Import the client package of the models, which takes a second, so that the first answer need not wait.

    It runs beside the server: neither its start nor its end waits for it.
    """
    await asyncio.sleep(LOAD_AFTER_SECONDS)
    await asyncio.to_thread(importlib.import_module, "anthropic")


def end_running(answers: Answers, chats: Chats) -> None:
    answers.abort_all("shutdown")
    chats.release_readers()


def add_middleware(app: FastAPI, settings: Settings, guard: KeyGuard, *, is_public: bool) -> None:
    """Add the middleware, the innermost first."""
    app.add_middleware(LastResort)
    # Inside CORS: preflights carry no key, and pages may read the reason of a refusal.
    app.add_middleware(KeyGate, guard=guard)
    if not (settings.api_keys or settings.insecure or is_public):
        app.add_middleware(LoopbackOnly, origins=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST", "PATCH", "DELETE"],
            allow_headers=["*"],
            allow_private_network=True,
            expose_headers=EXPOSED_HEADERS,
        )
    # Outside of everything that may refuse a request before its body is read.
    app.add_middleware(BodyGate, max_bytes=settings.max_body_bytes, seconds=settings.body_seconds)
    app.add_middleware(RequestIds)
    app.add_middleware(FailedStarts)


def warn_of_unshared_secret(settings: Settings, *, is_public: bool) -> None:
    if settings.approval_secret is None and (settings.workers > 1 or is_public):
        logger.warning(
            "USECHAT_APPROVAL_SECRET is not set, so each process signs approvals with a secret of its own: "
            "one that was asked for by one process is refused by the others."
        )


async def refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, REFUSALS)
    return refusal_response(error)


async def refuse_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return refusal_response(request_error_from_validation(error))
