"""The server as an ASGI application: settings in, a FastAPI app out."""

from __future__ import annotations

import asyncio
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
from usechat.server.access.limits.bills import Costs
from usechat.server.access.middleware import REQUEST_ID_HEADER, FailedStarts, LastResort, LoopbackOnly, RequestIds
from usechat.server.access.sign_in.keys import KeyGuard
from usechat.server.access.sign_in.own_user import UserOf, load_user
from usechat.server.answering.answers import Answers
from usechat.server.answering.choice import choose_model
from usechat.server.environment import load_environment
from usechat.server.health import Health, Probe
from usechat.server.loopback import is_loopback_host
from usechat.server.meter import Meter, Metered, need_prometheus
from usechat.server.persistence import database_url, open_chats, open_used_approvals
from usechat.server.processes.imports import import_quickly
from usechat.server.processes.memory import give_back_for_ever
from usechat.server.processes.shutdown import stopping
from usechat.server.routes.docs import make_docs_router
from usechat.server.routes.page import PageFiles, default_page_folder
from usechat.server.routes.routes import make_api_router, make_fetch_router, make_open_router
from usechat.server.routes.session import make_session_router
from usechat.server.settings import Settings

if TYPE_CHECKING:
    from usechat.agent import Agent
    from usechat.runs.redis.approvals import RedisUsedApprovals

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
    settings: Settings | None = None,
    *,
    agent: Agent[Any] | None = None,
    user: UserOf | None = None,
    on_finish: OnFinish | None = None,
) -> FastAPI:
    """Return the server's application, also for ``uvicorn --factory usechat.server.app:create_app``.

    Args:
        settings: The settings; by default those of the environment and the ``.env`` file.
        agent: Answers in place of a model alone, with its own tools; by default the one that the settings name.
        user: Says who sends a request, beside keys and tokens: gets the head as Starlette's ``HTTPConnection`` and
            returns the user's id, or None for a stranger, before anything of the body is read; by default the function
            that the settings name, if any.
        on_finish: Called once for each saved answer's end, in one process.

    Raises:
        ConfigurationError: A setting, the agent or the function of the user is wrong, or the server would be open to
            strangers by accident.
    """
    settings = read_settings() if settings is None else settings
    user = find_user(settings) if user is None else user
    is_public = os.environ.get("VERCEL") == "1"
    used_approvals = open_used_approvals(settings)
    choice = choose_model(settings, agent)
    if settings.metrics:
        need_prometheus()
    costs = Costs(settings)
    answers = Answers(settings, choice, used_approvals, costs)
    warn_of_unshared_secret(settings, is_public=is_public)
    chats = open_chats(settings, database_url(settings, is_public=is_public), on_finish, is_public=is_public)
    health = Health(find_probes(chats, used_approvals))
    measure(costs.meter, chats)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncGenerator[None]:
        begin, end = partial(refuse_new, chats, health), partial(end_running, answers, chats)
        with stopping(begin, end, settings.shutdown_seconds):
            async with chats:
                beside = [asyncio.create_task(work) for work in (load_ahead(answers), give_back_for_ever())]
                try:
                    yield
                finally:
                    for task in beside:
                        task.cancel()
        await costs.aclose()
        if used_approvals is not None:
            await used_approvals.aclose()

    app = make_bare_app(lifespan, has_docs=is_loopback_host(settings.host) and not is_public)
    guard = KeyGuard(settings, is_public=is_public, costs=costs, user=user)
    add_middleware(app, settings, guard, costs, is_public=is_public)
    for router in make_routers(answers, guard, chats):
        app.include_router(router)
    app.include_router(make_open_router(health, costs.meter if settings.metrics else None))
    if app.openapi_url is not None:
        app.include_router(make_docs_router(app.openapi))
    app.mount("/", PageFiles(settings.web_dir or default_page_folder(), settings.image_origins))
    return app


def read_settings() -> Settings:
    """Return the settings of the environment and the file, and warn of what is none."""
    environment = load_environment()
    for warning in environment.warnings():
        logger.warning(warning)
    return environment.settings


def find_user(settings: Settings) -> UserOf | None:
    """Return the function of the user that the settings name, if any.

    Raises:
        ConfigurationError: There is no such function, or without it the server would be open to strangers by accident.
    """
    settings.check_exposure()
    return None if settings.user is None else load_user(settings.user)


def make_bare_app(lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]], *, has_docs: bool) -> FastAPI:
    """Return an application without routes that answers errors."""
    app = FastAPI(
        title="usechat",
        version=usechat.__version__,
        description="A backend for useChat and useCompletion of AI SDK 3 to 7.",
        # FastAPI's own page loads its script from another host; `make_docs_router` has one without any.
        docs_url=None,
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
    chat = chats.router(answers.answer_in_place, user=guard, client_tools=answers.client_tools, prefix="/api")
    fetch = make_fetch_router(answers, guard)
    session = make_session_router(guard)
    others = [*chat.routes, *fetch.routes, *session.routes]
    return [chat, fetch, session, make_api_router(answers, guard, others)]


async def load_ahead(answers: Answers) -> None:
    """Import the client package of the models, which takes a second, so that the first answer need not wait.

    It runs beside the server: neither its start nor its end waits for it. The demo and models of other providers need
    no package.
    """
    await asyncio.sleep(LOAD_AFTER_SECONDS)
    if answers.uses_anthropic:
        await asyncio.to_thread(import_quickly, "anthropic")


def find_probes(chats: Chats, redis: RedisUsedApprovals | None) -> dict[str, Probe]:
    """Return what asks the database and Redis for a sign of life, where there are any."""
    probes: dict[str, Probe] = {}
    if chats.is_saved:
        probes["database"] = lambda: chats.conversations.store.find_turn("no-such-turn")
    if redis is not None:
        probes["redis"] = redis.ping
    return probes


def measure(meter: Meter, chats: Chats) -> None:
    """Show the saves that wait, and the running answers that have a log."""
    if chats.is_saved:
        runs = lambda: chats.conversations.runs  # noqa: E731 - opened later
        meter.gauges["saves_waiting"] = "Ended answers that are not saved yet", lambda: len(runs().saves)
        meter.gauges["runs"] = "Running answers that can be resumed", lambda: len(runs().handles)


def refuse_new(chats: Chats, health: Health) -> None:
    health.is_draining = True
    chats.close()


def end_running(answers: Answers, chats: Chats) -> None:
    answers.abort_all("shutdown")
    chats.release_readers()


def add_middleware(app: FastAPI, settings: Settings, guard: KeyGuard, costs: Costs, *, is_public: bool) -> None:
    """Add the middleware, the innermost first."""
    app.add_middleware(LastResort)
    # Inside CORS: preflights carry no key, and pages may read the reason of a refusal.
    app.add_middleware(KeyGate, guard=guard, costs=costs)
    if guard.is_open and not (settings.insecure or is_public):
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
    if settings.metrics:
        # Outside of what sends the bodies of answers.
        app.add_middleware(Metered, meter=costs.meter)
    app.add_middleware(FailedStarts)


def warn_of_unshared_secret(settings: Settings, *, is_public: bool) -> None:
    if settings.approval_secret is None and (settings.workers > 1 or is_public):
        logger.warning(
            "USECHAT_APPROVAL_SECRET is not set, so each process signs approvals and sessions with a secret of its "
            "own: what one process has signed is refused by the others."
        )


async def refuse(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, REFUSALS)
    return refusal_response(error)


async def refuse_invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return refusal_response(request_error_from_validation(error))
