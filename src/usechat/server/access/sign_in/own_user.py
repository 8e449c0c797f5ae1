"""Asks a function of the application who sends a request, by its head alone."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias, cast

from fastapi import HTTPException
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from usechat.errors import ConfigurationError
from usechat.guard import Contained
from usechat.server.processes.imports import import_named

__all__ = ["OwnUser", "UserOf", "load_user"]

UserOf: TypeAlias = "Callable[[HTTPConnection], str | Awaitable[str | None] | None]"
"""Returns the id of the user who sends a request, from its head; None for a stranger, who gets a 401. It may raise an
`HTTPException` with another status. A function that is not async runs in a thread."""

FAILED: Final = "It could not be found out who you are."

logger = logging.getLogger(__name__)


class OwnUser:
    """Asks the application, and lets nobody in when its function fails.

    Args:
        find: The application's function.

    Raises:
        ConfigurationError: It is no function.
    """

    def __init__(self, find: UserOf) -> None:
        given: Any = find
        if not callable(given) or isinstance(given, type):
            raise ConfigurationError(f"the function of the user must be a function, not {type(given).__name__}")
        self.find = find
        self.is_async = any(map(inspect.iscoroutinefunction, (inspect.unwrap(given), given.__call__)))

    async def ask(self, connection: HTTPConnection) -> str | None:
        """Return the user; None for a stranger.

        Raises:
            HTTPException: The application's own, or a 500 when its function fails.
        """
        # If the request has a body, the application gets only its head.
        head = HTTPConnection(connection.scope)
        try:
            with Contained():
                found: Any = self.find(head) if self.is_async else await run_in_threadpool(self.find, head)
                user: Any = await found if inspect.isawaitable(found) else found
        except HTTPException:
            raise
        except Exception:
            logger.exception("the application's function of the user failed")
            raise HTTPException(500, FAILED) from None
        if user is None:
            return None
        if not isinstance(user, str) or not user:
            logger.error(
                "the application's function of the user must return an id or None, not %s", type(user).__name__
            )
            raise HTTPException(500, FAILED)
        return user


def load_user(target: str) -> UserOf:
    """Import the function that ``MODULE:NAME`` means.

    Raises:
        ConfigurationError: There is no such module or name.
        Exception: Whatever the module's own code raises.
    """
    return cast("UserOf", import_named(target, "function of the user"))
