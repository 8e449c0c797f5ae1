"""Ids of saved chats: which are allowed, and how they are read from a URL.

Clients make the ids, and nearly every route has one in its path. An id that a URL cannot carry is refused before
anything is stored: its chat could be neither read nor deleted. A chat that has such an id from before is found by the
bytes of the id.

Source: https://url.spec.whatwg.org/#url-parsing, which takes control characters and dot segments out of paths.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias
from urllib.parse import unquote_to_bytes

from fastapi import Depends, Request
from starlette.convertors import Convertor, register_url_convertor

from usechat.errors import RequestError

__all__ = ["ChatId", "check_chat_id"]

UNSENDABLE: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
TAKEN: Final = re.compile(r"/(export|messages/\d+)\Z")
"""The ends of other routes below a chat's, which GET and DELETE would take."""


def check_chat_id(chat_id: str) -> None:
    """Check the id of a chat before it is saved.

    Raises:
        RequestError: 400: no URL can carry the id, or another route has the same path.
    """
    if UNSENDABLE.search(chat_id) is not None:
        raise RequestError("must not hold control characters or half of a character", path="id", status=400)
    if not {".", ".."}.isdisjoint(chat_id.split("/")):
        raise RequestError("must not have . or .. between slashes", path="id", status=400)
    if TAKEN.search(chat_id) is not None:
        raise RequestError("must not end in /export, or in /messages/ and a number", path="id", status=400)


class ChatIdConvertor(Convertor[str]):
    """Converts an id in a path, which may hold slashes and line ends."""

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        """Return it as it is."""
        return value

    def to_string(self, value: str) -> str:
        """Return it as it is."""
        return value


register_url_convertor("chat", ChatIdConvertor())


def read_chat_id(chat_id: str, request: Request) -> str:
    """Return the id in a request's path, with lone surrogates, which servers decode to U+FFFD."""
    path, raw = str(request.scope["path"]), request.scope.get("raw_path")
    if "\ufffd" not in chat_id or raw is None:
        return chat_id
    try:
        sent = unquote_to_bytes(raw).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return chat_id
    # The names before and after it are ours, and have equally many characters.
    before = path.index(chat_id)
    after = len(path) - before - len(chat_id)
    return sent[before : len(sent) - after]


ChatId: TypeAlias = Annotated[str, Depends(read_chat_id)]
"""The id in a route's path, written ``{chat_id:chat}``."""
