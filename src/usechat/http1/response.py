"""Parse one HTTP/1.1 response from the bytes of its connection, with the C parser of httptools.

Providers send each event in its own HTTP chunk. Handling each chunk in Python would cost more than all later processing
of the event. Knows no sockets and no events.

Source: RFC 9112, sections 4 to 7 (HTTP/1.1 messages and their lengths).
"""

from __future__ import annotations

import httptools

from usechat.http1.errors import RemoteProtocolError

__all__ = ["ResponseReader"]

_MAX_HEAD_BYTES = 256 * 2**10
"""More than any server sends before the body. A head without an end must not fill the memory."""


class ResponseReader:
    """The parser of one response: feed it the bytes of each read, and call `feed_end` when the connection ends.

    Args:
        is_to_head: Whether the request's method was HEAD: then no body follows, even if the headers give a length.
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
        """The status, once `has_head`. Informational responses (below 200) precede the real head and are skipped."""
        self.headers: list[tuple[bytes, bytes]] = []
        """Names and values as the server sent them."""
        self.pieces: list[bytes] = []
        """Pieces of the body that the reader has not yet removed from this list."""
        self.has_head = False
        self.is_complete = False
        self.keeps_alive = False
        """Whether the connection can serve another request, once `is_complete`."""
        self.on_body = self.pieces.append
        """Called by the parser for each chunk. A list's built-in method costs less than a Python method."""
        self._has_length = False
        self._head_size = 0
        self._is_to_head = is_to_head
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def detach_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers and drop them here, to save memory while the stream is open."""
        headers, self.headers = self.headers, []
        return headers

    def feed(self, data: bytes) -> None:
        """Parse the bytes of one read.

        Raises:
            RemoteProtocolError: The bytes are not HTTP.
        """
        if self._parser is None:
            # Bytes after the response belong to no request, so the connection cannot be used again.
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
            # The parser refers back to this object: a cycle, which would live until the garbage collector runs.
            self._parser = None

    def feed_end(self) -> None:
        """End the response after the connection closed in an orderly way, which also ends a body without a length.

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

    # The names of the following methods are fixed: the parser looks them up by reflection.

    def on_message_begin(self) -> None:
        """Refuse a second response, which belongs to no request. The error stops the parser."""
        if self.is_complete:
            raise RemoteProtocolError("the server answers what was not asked")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header. Ignore trailers, which follow the body."""
        if not self.has_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Note the status and how the body ends. Skip an informational head, which another head follows."""
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            return
        self.status = status
        self.has_head = True
        self._has_length = any(_gives_length(name.lower(), value) for name, value in self.headers)
        self.is_complete = self._is_to_head
        self.keeps_alive = self._parser.should_keep_alive() and not self._is_to_head

    def on_message_complete(self) -> None:
        """Note the end of the body."""
        self.is_complete = self.has_head


def _gives_length(name: bytes, value: bytes) -> bool:
    return name == b"content-length" or (name == b"transfer-encoding" and b"chunked" in value.lower())
