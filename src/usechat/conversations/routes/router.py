"""All routes of an application's chats, in one router."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import APIRouter

from usechat.conversations.answering import Respond
from usechat.conversations.routes.answers import add_answers
from usechat.conversations.routes.parts import RefusingRoute, RouteParts
from usechat.conversations.routes.running import add_running
from usechat.conversations.routes.saved import add_changes, add_paths, add_saved
from usechat.conversations.routes.socket import add_socket

__all__ = ["make_router"]


def make_router(parts: RouteParts, respond: Respond, origins: Collection[str], prefix: str) -> APIRouter:
    """Return the router.

    Args:
        parts: What the routes are made of.
        respond: Responds to a turn.
        origins: Pages on other hosts whose WebSockets may be known by cookies.
        prefix: Goes before the paths.
    """
    router = APIRouter(prefix=prefix, route_class=RefusingRoute)
    # The chat's own routes first: most requests are for them.
    add_answers(router, parts, respond)
    add_socket(router, parts, respond, origins)
    add_running(router, parts)
    if parts.opened is not None:
        # Paths before the chats' own routes, whose ids may hold slashes.
        add_paths(router, parts, parts.opened)
        add_saved(router, parts, parts.opened)
        add_changes(router, parts, parts.opened)
    return router
