"""Reads the bodies of chat requests, as FastAPI dependencies: a route annotates a parameter with `ChatRequest`.

Knows no answer and no stream.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Annotated, Any, TypeAlias, TypeVar

from fastapi import Depends, HTTPException, Request
from starlette.requests import ClientDisconnect

from usechat.apart import mark_large, work_apart
from usechat.errors import RequestError
from usechat.messages import ui
from usechat.messages.limits import DEFAULT_LIMITS, LARGE_BYTES, BodyLimits

__all__ = [
    "BodyLimits",
    "ChatRequest",
    "CompletionRequest",
    "body_reader",
    "chat_request",
    "completion_request",
    "parse_apart",
    "read_body",
]

BodyT = TypeVar("BodyT")
Parse: TypeAlias = Callable[[bytes, BodyLimits], BodyT]

MAX_BODY_BYTES = 20 * 2**20
"""The largest request body by default. A chat posts its attachments with each turn."""


async def read_body(request: Request, max_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the request's body.

    Raises:
        RequestError: 413 when the body is larger than ``max_bytes``, of which no more is ever held; 400 when the client
            left before its end.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise too_large(max_bytes)
    # One buffer: a list of small pieces would take many times their size.
    body = bytearray()
    try:
        async for piece in request.stream():
            if len(body) + len(piece) > max_bytes:
                raise too_large(max_bytes)
            body += piece
    except ClientDisconnect:
        raise RequestError("The body is incomplete.") from None
    return bytes(body)


def too_large(max_bytes: int) -> RequestError:
    return RequestError(f"The body is larger than {max_bytes} bytes.", status=413)


async def parse_apart(parse: Parse[BodyT], body: bytes, limits: BodyLimits) -> BodyT:
    """Parse a body; a large one in a thread, so that other requests do not wait for it.

    Later work for a large request is done in a thread as well.

    Raises:
        RequestError: The body is refused.
    """
    if len(body) >= LARGE_BYTES:
        mark_large()
    return await work_apart(partial(parse, body, limits))


def chat_request(
    max_body_bytes: int = MAX_BODY_BYTES, *, limits: BodyLimits = DEFAULT_LIMITS
) -> Callable[[Request], Any]:
    """Make a dependency that reads a ``useChat`` body of any AI SDK major.

    Args:
        max_body_bytes: The largest body that is read; a larger one gets 413.
        limits: How many messages, parts of one message, and values it may hold; one with more gets 413.
    """
    return body_reader(ui.parse_chat_request, max_body_bytes, limits)


def completion_request(
    max_body_bytes: int = MAX_BODY_BYTES, *, limits: BodyLimits = DEFAULT_LIMITS
) -> Callable[[Request], Any]:
    """Make a dependency that reads a ``useCompletion`` body of any AI SDK major.

    Args:
        max_body_bytes: The largest body that is read; a larger one gets 413.
        limits: How many values it may hold; one with more gets 413.
    """
    return body_reader(ui.parse_completion_request, max_body_bytes, limits)


def body_reader(
    parse: Parse[BodyT], max_body_bytes: int, limits: BodyLimits
) -> Callable[[Request], Coroutine[Any, Any, BodyT]]:
    """Make a dependency that reads a body of any kind."""

    async def read(request: Request) -> BodyT:
        try:
            return await parse_apart(parse, await read_body(request, max_body_bytes), limits)
        except RequestError as error:
            raise HTTPException(error.status, str(error)) from error

    return read


ChatRequest: TypeAlias = Annotated[ui.ChatRequest, Depends(chat_request())]
"""The body of a ``useChat`` request, as a route's parameter. A wrong one is refused with one short JSON error."""
CompletionRequest: TypeAlias = Annotated[ui.CompletionRequest, Depends(completion_request())]
"""The body of a ``useCompletion`` request, as a route's parameter."""
