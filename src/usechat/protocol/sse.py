"""Server-sent events: encodes and decodes the framing.

Lines end only in CR, LF or CRLF: U+2028, U+0085 and vertical tabs are ordinary text
(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream). This is the package's only
splitter, for providers' streams and its own. Knows neither JSON nor the meaning of events.
"""

from __future__ import annotations

from functools import lru_cache

from usechat.errors import DecodeError

__all__ = ["DONE", "KEEP_ALIVE", "MAX_EVENT_BYTES", "STREAM_OPEN", "SSEDecoder", "chunks_of", "encode_event"]

DONE = b"data: [DONE]\n\n"
"""The terminator of a UI message stream."""
DONE_EVENT = DONE.removesuffix(b"\n\n")
KEEP_ALIVE = b": keep-alive\n\n"
STREAM_OPEN = b": stream-open\n\n"
"""This comment and `KEEP_ALIVE` are those that the AI SDK sends when its ``keepAliveMs`` is set."""
MAX_EVENT_BYTES = 32 * 2**20
"""Most bytes of an unfinished event that are held. Providers' largest events hold a fetched document in base64."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_FEED = 0x0A
_MAX_HEAD_BYTES = 256


def encode_event(data: bytes) -> bytes:
    """Return one event with ``data``, which must have no line ends. JSON has none."""
    return b"data: " + data + b"\n\n"


def chunks_of(frames: bytes) -> list[bytes]:
    """Return the chunks in whole frames of a UI message stream that `encode_event` has made.

    This is no stream parser: it relies on whole events with one data line each, and on JSON without line ends.
    """
    events = frames.removesuffix(b"\n\n").split(b"\n\n")
    return [event[6:] for event in events if event.startswith(b"data: ") and event != DONE_EVENT]


class SSEDecoder:
    """Split a byte stream, which may be cut anywhere, into the data of its events.

    Comments, names, ids and retry times are skipped. An event without data is skipped too. At most one unfinished event
    is held between two calls.

    Args:
        max_event_bytes: Most bytes of an unfinished event that are held.
    """

    __slots__ = ("_after_carriage_return", "_at_start", "_max_event_bytes", "_pending", "_pending_size")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        # Not joined before the event is complete: joining each piece would cost quadratic time for a long event.
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._after_carriage_return = False
        self._at_start = True
        self._max_event_bytes = max_event_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """Return the data of each event that ``data`` completes; several data lines are joined with LF.

        Raises:
            DecodeError: The unfinished event before ``data`` is too long.
        """
        # Checked here, not when the event grows: complete events of the same read must be returned first.
        if self._pending_size > self._max_event_bytes:
            raise DecodeError(f"an event is longer than {self._max_event_bytes} bytes")
        # `find` and not `in`, which for bytes makes and drops a TypeError: it tries first whether they are a number.
        if self._after_carriage_return or data.find(b"\r") >= 0:
            data = self._with_line_feeds(data)
        pending = self._pending
        if not pending and data.endswith(b"\n\n"):
            return self._split(data[:-2])
        if pending:
            joined = self._join(data)
            if joined is None:
                return []
            data = joined
        end = data.rfind(b"\n\n")
        rest = data[end + 2 :] if end >= 0 else data
        self._pending_size = len(rest)
        if rest:
            pending.append(rest)
        return self._split(data[:end]) if end >= 0 else []

    def _join(self, data: bytes) -> bytes | None:
        """Return all that is held and ``data``. When no event ends in it, hold it too and return None."""
        pending = self._pending
        if b"\n\n" not in data and not (data[:1] == b"\n" and pending[-1][-1] == _LINE_FEED):
            if data:
                pending.append(data)
                self._pending_size += len(data)
            return None
        pending.append(data)
        joined = b"".join(pending)
        pending.clear()
        return joined

    def finish(self) -> list[bytes]:
        """Return the data of the last event, which may lack its blank line."""
        rest = b"".join(self._pending)
        self._pending.clear()
        self._pending_size = 0
        return self._split(rest)

    def _split(self, events: bytes) -> list[bytes]:
        if self._at_start:
            self._at_start = False
            events = events.removeprefix(_BYTE_ORDER_MARK)
        head, separator, data = events.partition(b"data: ")
        if separator and len(head) <= _MAX_HEAD_BYTES and _is_head(head) and data.find(b"\n") < 0:
            return [data]
        found: list[bytes] = []
        # Most events of a burst begin like the one in its middle: split there, they need no further look. The first and
        # the last ones of an answer are others.
        start = events.find(b"\n\n", len(events) // 2) + 2
        begin = _begin_of(events[start : start + _MAX_HEAD_BYTES])
        first, *others = events.split(b"\n\n" + begin) if begin else (events,)
        _split_each(first, found)
        for data in others:
            if data.find(b"\n") < 0:
                found.append(data)
            else:
                _split_each(begin + data, found)
        return found

    def _with_line_feeds(self, data: bytes) -> bytes:
        # When two reads split a CRLF, its LF must not count as a second line end.
        if self._after_carriage_return and data[:1] == b"\n":
            data = data[1:]
            self._after_carriage_return = False
        if data:
            self._after_carriage_return = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _split_each(events: bytes, found: list[bytes]) -> None:
    for event in events.split(b"\n\n"):
        begin = _begin_of(event)
        if begin and event.find(b"\n", len(begin)) < 0:
            found.append(event[len(begin) :])
        else:
            _split_lines(event, found)


def _begin_of(event: bytes) -> bytes:
    """Return what stands before an event's first data; empty bytes unless these are whole lines."""
    head, separator, _ = event.partition(b"data: ")
    return head + separator if separator and len(head) <= _MAX_HEAD_BYTES and _is_head(head) else b""


@lru_cache(maxsize=64)
def _is_head(head: bytes) -> bool:
    """Return whether these are whole lines of one event, without data. All events of a kind have the same ones."""
    *lines, last = head.split(b"\n")
    return not last and not any(line in (b"", b"data") or line.startswith(b"data:") for line in lines)


def _split_lines(event: bytes, found: list[bytes]) -> None:
    lines = event.split(b"\n")
    data = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:") or line == b"data"]
    if data:
        found.append(b"\n".join(data))
