"""Turns errors that refuse a request into short JSON responses."""

from __future__ import annotations

from typing import Final, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse

from usechat.errors import ChatError, RequestError, RunError

__all__ = ["REFUSALS", "Refusal", "handle_refusal", "refusal_response"]

Refusal: TypeAlias = RequestError | RunError | ChatError
REFUSALS: Final = (RequestError, RunError, ChatError)

CHAT_STATUS: Final = {"missing": 404, "conflict": 409, "forbidden": 404, "unavailable": 503}
RUN_STATUS: Final = {"missing": 404, "exists": 409}


def refusal_response(error: Refusal) -> JSONResponse:
    """Return the response that refuses a request, in the form that FastAPI gives its own."""
    match error:
        case RequestError():
            status = error.status
        case RunError():
            status = RUN_STATUS.get(error.code, 503)
        case ChatError():
            status = CHAT_STATUS[error.code]
    after: int | None = getattr(error, "retry_after", 1 if status == 503 else None)
    headers = None if after is None else {"retry-after": str(after)}
    return JSONResponse({"detail": str(error)}, status_code=status, headers=headers)


async def handle_refusal(request: Request, error: Exception) -> JSONResponse:
    """Refuse a request; a handler for FastAPI and Starlette.

        app.add_exception_handler(RequestError, handle_refusal)

    It takes `RunError` and `ChatError` as well, and raises any other error again.
    """
    if not isinstance(error, REFUSALS):
        raise error
    return refusal_response(error)
