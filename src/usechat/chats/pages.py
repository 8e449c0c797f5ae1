"""Cursors of pages of chats: opaque texts for URLs."""

from __future__ import annotations

import base64
import json
import math
from typing import Any, cast

from usechat.chats.store import Chat
from usechat.errors import RequestError

__all__ = ["decode_cursor", "encode_cursor"]


def encode_cursor(last: Chat) -> str:
    """Return the cursor behind ``last``, in the order of `ChatStore.list_chats`."""
    return base64.urlsafe_b64encode(json.dumps([last.updated_at, last.id]).encode()).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[float, str]:
    """Return the time and id of the chat that the page comes after.

    Raises:
        RequestError: The cursor is not one of ours.
    """
    try:
        place: Any = json.loads(base64.urlsafe_b64decode(cursor.encode() + b"=="))
    except (ValueError, RecursionError):
        raise _unknown() from None
    match cast("list[Any]", place) if isinstance(place, list) else ():
        case [float() as updated_at, str() as chat_id] if math.isfinite(updated_at):
            return updated_at, chat_id
        case _:
            raise _unknown()


def _unknown() -> RequestError:
    return RequestError("is no cursor of this server", path="cursor")
