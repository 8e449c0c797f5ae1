"""Routes that read a body of ours and answer with a response of ours, for the requests that there are most of.

To FastAPI they are routes like others, so that ``/openapi.json`` has them. But what a signature says is the same for
every request: whose body is read is known here, and not found out each time, which takes
longer than to read the body.

Upstream: Starlette's ``Route``, which calls ``app`` once it has matched; FastAPI's ``APIRoute``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from usechat.server.access.keys import KeyGuard
from usechat.server.routes.openapi import STREAMED, body_schema

__all__ = ["DirectRoute"]

BodyT = TypeVar("BodyT", bound=BaseModel)


class DirectRoute(APIRoute):
    """A POST route with a streamed answer. It is to be among the application's own routes, not in a router's.

    Args:
        path: Where it is.
        answer: Gives the response to a request and its body.
        model: The body's.
        read: Reads it.
        guard: Named in ``/openapi.json``. Keys are checked before all routes, by `usechat.server.access.edge.KeyGate`.
    """

    def __init__(
        self,
        path: str,
        answer: Callable[[Request, BodyT], Awaitable[Response]],
        model: type[BodyT],
        read: Callable[[Request], Awaitable[BodyT]],
        guard: KeyGuard,
    ) -> None:
        super().__init__(
            path,
            answer,
            methods=["POST"],
            dependencies=[Depends(guard)],
            response_class=Response,
            responses=STREAMED,
            openapi_extra=body_schema(model),
        )

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            response = await answer(request, await read(request))
            await response(scope, receive, send)

        self.app = app
