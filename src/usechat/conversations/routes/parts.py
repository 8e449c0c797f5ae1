"""Parts that all routes of chats need, and the owner that each of them asks for."""

# Annotations are evaluated here, not postponed: FastAPI could not find the dependencies that the function below makes.
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, NoReturn

import msgspec
from fastapi import Depends, HTTPException
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from usechat.chats.merge import ClientTools
from usechat.checks import named
from usechat.conversations.conversations import Conversations
from usechat.errors import ConfigurationError
from usechat.http.refusals import REFUSALS, Refusal, refusal_response
from usechat.messages.limits import BodyLimits
from usechat.protocol.options import ToolErrors

__all__ = ["CalledFirst", "RefusingRoute", "RouteParts", "http_refusal", "make_owner"]


class CalledFirst:
    """The mark of an argument of a function that makes a dependency and is none itself.

    FastAPI takes ``Depends(chats.turn)``, without the parentheses, and would read the argument from each request.

    Args:
        mend: What to write.
    """

    def __init__(self, mend: str) -> None:
        self.mend = mend

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> NoReturn:
        """Refuse to be read from a request.

        Raises:
            ConfigurationError: Always, when the route is made.
        """
        raise ConfigurationError(self.mend)


class RouteParts(msgspec.Struct, frozen=True, kw_only=True):
    """Parts that the routes are made of."""

    opened: Callable[[], Conversations] | None
    """Returns the open chats; None when chats are not saved."""
    owner: Callable[..., Any]
    """The dependency of every route: the owner for whom alone it answers."""
    is_client_tool: ClientTools | None
    sdk: str | int | None
    heartbeat: float | None
    tool_errors: ToolErrors
    max_body_bytes: int
    limits: BodyLimits
    answering: str | None = None
    """The name of what answers, for runs; None for an application's own routes."""

    @property
    def response_options(self) -> dict[str, Any]:
        """The options of every response."""
        return {"sdk": self.sdk, "heartbeat": self.heartbeat, "tool_errors": self.tool_errors}


def make_owner(user: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, str]]:
    """Return the dependency that checks what the application's dependency says of the user."""

    async def owner(user: Annotated[Any, Depends(user)]) -> str:
        if isinstance(user, str) and user:
            return user
        # All who are not signed in would share their chats.
        mend = "raise HTTPException(401) for somebody who is not signed in"
        if user and not isinstance(user, str):
            mend = "return str(…) of an id that is no text"
        raise ConfigurationError(f"user must return the user's id, a text that is not empty, not {named(user)}: {mend}")

    return owner


class RefusingRoute(APIRoute):
    """A route that answers our errors in any application, with or without handlers for them."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the route's function."""
        handle = super().get_route_handler()

        async def refuse(request: Request) -> Response:
            try:
                return await handle(request)
            except REFUSALS as error:
                return refusal_response(error)

        return refuse


def http_refusal(error: Refusal) -> HTTPException:
    """Return the exception that refuses a request in a dependency, where no response can be returned."""
    refused = refusal_response(error)
    headers = {"retry-after": "1"} if refused.status_code == 503 else None
    return HTTPException(refused.status_code, str(error), headers=headers)
