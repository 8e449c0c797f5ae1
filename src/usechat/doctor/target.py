"""The backend that is examined, and what is posted to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import uuid4

from usechat.errors import ConfigurationError
from usechat.json import decode_json
from usechat.messages.evidence import SENDS_ID, SENDS_PARTS
from usechat.protocol.dialects import LINE_MAJORS, Dialect, parse_dialect

__all__ = ["Target"]

MESSAGE = "Write eight sentences about the sea."
ANSWER_SECONDS = 120.0
IDLE_SECONDS = 30.0
"""What many proxies and load balancers wait for the next byte."""


@dataclass(frozen=True)
class Target:
    """A backend, and how to ask it. `make` checks what it is given."""

    url: str
    """Where ``useChat`` posts."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    message: str = MESSAGE
    """The user's message. An answer of some seconds shows the most."""
    body: Mapping[str, Any] | None = None
    """What is posted in place of the body that ``useChat`` posts."""
    sdk: str | None = None
    """The version that the frontend has; a major or minor stands for its releases. None: all that read the protocol."""
    origin: str | None = None
    """The origin of the page, if the backend has another one."""
    seconds: float = ANSWER_SECONDS
    """Time for one answer."""
    idle: float = IDLE_SECONDS
    """The silence, in seconds, that an answer must survive."""

    @classmethod
    def make(
        cls,
        url: str,
        *,
        headers: Sequence[str] = (),
        message: str | None = None,
        body: Path | None = None,
        sdk: str | None = None,
        origin: str | None = None,
        seconds: float | None = None,
        idle: float | None = None,
    ) -> Self:
        """Return a target.

        Args:
            url: Where ``useChat`` posts.
            headers: Lines such as ``Authorization: Bearer KEY``.
            message: The user's message; by default it asks for some sentences.
            body: A file with a JSON object to post in place of ``useChat``'s body.
            sdk: The frontend's version of the AI SDK, such as ``7.0.173`` or ``7``.
            origin: The page's origin, such as ``https://chat.example``.
            seconds: Time for one answer, 120 by default.
            idle: Seconds of silence that an answer must survive, 30 by default.

        Raises:
            ConfigurationError: One of them is no such thing.
        """
        if not is_address(url):
            raise ConfigurationError("URL must be an address such as http://127.0.0.1:8000/api/chat.")
        dialect = None if sdk is None else parse_dialect(sdk)
        if dialect is not None and dialect.major < min(LINE_MAJORS):
            raise ConfigurationError("--sdk must be a version of AI SDK 3 to 7: AI SDK 2 reads plain text.")
        times = (parse_seconds("--seconds", seconds, ANSWER_SECONDS), parse_seconds("--idle", idle, IDLE_SECONDS))
        named = dict(map(parse_header, headers))
        posted = None if body is None else read_body(body)
        version = None if dialect is None else sdk
        return cls(url, named, message or MESSAGE, posted, version, origin, *times)

    @property
    def dialect(self) -> Dialect | None:
        """The frontend's version; None if it is not named."""
        return None if self.sdk is None else parse_dialect(self.sdk)

    def new_body(self) -> dict[str, Any]:
        """Return the body of a new chat, as the client of this version posts it, or the one that was given."""
        if self.body is not None:
            return dict(self.body)
        parts = [{"type": "text", "text": self.message}]
        version = None if self.dialect is None else self.dialect.version
        if version is None or version[0] not in LINE_MAJORS:
            message = {"id": uuid4().hex, "role": "user", "parts": parts}
            return {"id": uuid4().hex, "messages": [message], "trigger": "submit-message"}
        # What a later release posts proves that it is not the one that was named.
        more = {"parts": parts} if version >= SENDS_PARTS else {}
        chat = {"id": uuid4().hex} if version >= SENDS_ID else {}
        return {**chat, "messages": [{"role": "user", "content": self.message, **more}]}

    def stream_url(self, chat_id: str) -> str:
        """Return where ``useChat`` resumes this chat's answer."""
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{quote(chat_id, safe='')}/stream", query=""))

    def request_headers(self) -> dict[str, str]:
        """Return the headers of each request: those of a browser and those that were given."""
        headers = {"accept": "*/*", "accept-encoding": "gzip, deflate", "content-type": "application/json"}
        if self.sdk is not None:
            headers["x-usechat-sdk"] = self.sdk
        if self.origin is not None:
            headers["origin"] = self.origin
        return {**headers, **self.headers}


def is_address(url: str) -> bool:
    """Return whether a text is the address of a web server."""
    try:
        parts = urlsplit(url)
        return url.isprintable() and parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def parse_header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or not line.isascii() or not line.isprintable():
        raise ConfigurationError("--header must be a line such as 'Authorization: Bearer KEY'.")
    return name.strip().lower(), value.strip()


def read_body(path: Path) -> dict[str, Any]:
    try:
        body: Any = decode_json(path.read_text())
        json.dumps(body).encode()
    except (OSError, ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ConfigurationError("--body must name a file with a JSON object, as useChat posts it.")
    return cast("dict[str, Any]", body)


def parse_seconds(name: str, given: float | None, default: float) -> float:
    if given is None:
        return default
    if not 0 < given < float("inf"):
        raise ConfigurationError(f"{name} must be more than 0.")
    return given
