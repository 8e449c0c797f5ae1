"""Reads one HTTP/1.1 response out of the bytes of its connection; httptools takes it apart in C.

Providers send each event in an HTTP chunk of its own, and what is done for each chunk in Python costs more than all
that is done with the event later. Knows no sockets and nothing of events.

Source: RFC 9112, sections 4 to 7 (HTTP/1.1 messages and how long they are).
"""

from __future__ import annotations

import httptools

from usechat.http1.errors import RemoteProtocolError

__all__ = ["ResponseReader"]

_MAX_HEAD_BYTES = 256 * 2**10
"""More than any server sends before the body; a head without an end must not fill the memory."""


class ResponseReader:
    """One response: feed it what each read brought, and say when the connection has ended.

    Args:
        is_to_head: Whether the request's method was HEAD: then no body follows, whatever the headers say.
    """

    __slots__ = (
        "_has_length",
        "_head_size",
        "_is_to_head",
        "_parser",
        "has_head",
        "headers",
        "is_complete",
        "keeps_alive",
        "on_body",
        "pieces",
        "status",
    )

    def __init__(self, *, is_to_head: bool = False) -> None:
        self.status = 0
        """The status, once `has_head`; those below 200 announce another head and are passed over."""
        self.headers: list[tuple[bytes, bytes]] = []
        """Names and values as they came."""
        self.pieces: list[bytes] = []
        """What has come of the body since somebody last emptied this list."""
        self.has_head = False
        self.is_complete = False
        self.keeps_alive = False
        """Whether the connection can serve another request, once `is_complete`."""
        self.on_body = self.pieces.append
        """For the parser, which calls it for each chunk: a list's own method costs less than one written here."""
        self._has_length = False
        self._head_size = 0
        self._is_to_head = is_to_head
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def take_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers, which are kept here no longer."""
        headers, self.headers = self.headers, []
        return headers

    def feed(self, data: bytes) -> None:
        """Take what one read brought.

        Raises:
            RemoteProtocolError: It is not HTTP.
        """
        if self._parser is None:
            # More than was asked for: whose answer it is, nobody can tell.
            self.keeps_alive = False
            return
        if not self.has_head:
            self._check_head_size(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.keeps_alive = False
            if not self.is_complete:
                raise RemoteProtocolError(f"the answer is not HTTP: {error}") from error
        if self.is_complete:
            # It refers back to this object, and would keep both until the garbage collector comes.
            self._parser = None

    def feed_end(self) -> None:
        """The connection has ended in an orderly way, which ends a body that has no length of its own.

        Raises:
            RemoteProtocolError: The response is not complete.
        """
        self._parser = None
        self.keeps_alive = False
        if self.is_complete:
            return
        if not self.has_head:
            raise RemoteProtocolError("the server closed the connection without an answer")
        if self._has_length:
            raise RemoteProtocolError("the server closed the connection in the middle of its answer")
        self.is_complete = True

    def _check_head_size(self, data: bytes) -> None:
        self._head_size += len(data)
        if self._head_size > _MAX_HEAD_BYTES:
            raise RemoteProtocolError(f"the answer's head is longer than {_MAX_HEAD_BYTES} bytes")

    # The parser's own names, which it looks up by reflection.

    def on_message_begin(self) -> None:
        """A second response would be one that nobody asked for: what is raised here stops the parser."""
        if self.is_complete:
            raise RemoteProtocolError("the server answers what was not asked")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one that follows the body, which says nothing here."""
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole, unless it only announces another."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        self.status = status
        self.has_head = True
        self._has_length = any(_tells_length(name.lower(), value) for name, value in self.headers)
        self.is_complete = self._is_to_head
        self.keeps_alive = self._parser.should_keep_alive() and not self._is_to_head

    def on_message_complete(self) -> None:
        """The body is whole."""
        self.is_complete = self.has_head


def _tells_length(name: bytes, value: bytes) -> bool:
    return name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower())
