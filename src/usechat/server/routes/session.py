"""Signing in and out: a cookie in place of the API key."""

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import Response

from usechat.server.access.sign_in.keys import KeyGuard
from usechat.server.access.sign_in.sessions import COOKIE, LIFE_SECONDS

__all__ = ["make_session_router"]


def make_session_router(guard: KeyGuard) -> APIRouter:
    """Return the routes that begin and end a session of the page.

    Args:
        guard: Checks keys.
    """
    router = APIRouter(prefix="/api", dependencies=[Depends(guard)])

    @router.post("/session", status_code=204, responses={400: {"description": "The request carries no API key."}})
    async def begin_session(request: Request) -> Response:
        """Set a cookie that counts in place of the API key of this request, for a week."""
        session = guard.make_session(request)
        if session is None:
            raise HTTPException(400, "A session is made from an API key: send the header Authorization: Bearer KEY.")
        return with_cookie(request, session, LIFE_SECONDS)

    @router.delete("/session", status_code=204)
    async def end_session(request: Request) -> Response:
        """Take the cookie back."""
        return with_cookie(request, "", 0)

    return router


def with_cookie(request: Request, value: str, seconds: int) -> Response:
    response = Response(status_code=204)
    is_safe = request.url.scheme == "https"
    # No script may read it, and no other site's page may make a browser send it.
    response.set_cookie(COOKIE, value, max_age=seconds, httponly=True, samesite="strict", secure=is_safe)
    return response
