"""One request's ids, user and address, for log lines, limits and the owner of chats.

The object is made where a request comes in, and filled in where more is known. Tasks that the request begins share it.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

__all__ = ["DEFAULT_USER", "Asking", "asking", "current_user", "note"]

DEFAULT_USER: Final = "default"
"""The user of a server that tells no users apart: chats from before there were users belong to it."""


@dataclass(slots=True)
class Asking:
    """One request."""

    request: str = "-"
    chat: str = "-"
    run: str = "-"
    user: str | None = None
    """Whom the key or the token names; None before it is checked, and where nobody has a name."""
    address: str = "-"
    place: str | None = None
    """What all processes have counted for its answer, until the answer has it."""
    goes_on: bool = False
    """Whether its answer was let in by a process that has died: it is counted again, and not refused."""


NO_REQUEST: Final = Asking()
asking: ContextVar[Asking] = ContextVar("asking", default=NO_REQUEST)
"""The request that is being answered."""


def note(*, chat: str | None = None, run: str | None = None, user: str | None = None) -> None:
    """Fill in what is known by now of the request that is being answered."""
    now = asking.get()
    if now is NO_REQUEST:
        # An application that serves the routes without the middleware.
        now = Asking()
        asking.set(now)
    now.chat, now.run, now.user = chat or now.chat, run or now.run, user or now.user


def current_user() -> str:
    """Return the id of the user whose request this is: the owner of the chats that it may see."""
    return asking.get().user or DEFAULT_USER
