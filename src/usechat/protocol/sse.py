"""Server-sent events: the framing alone, in both directions.

Lines end in CR, LF or CRLF and in nothing else: U+2028, U+0085 and vertical tabs are ordinary text
(https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream).
"""

from __future__ import annotations

import re

__all__ = ["DONE", "KEEP_ALIVE", "STREAM_OPEN", "SSEDecoder", "chunks_of", "encode_event"]

DONE = b"data: [DONE]\n\n"
"""The terminator of a UI message stream."""
DONE_EVENT = DONE.removesuffix(b"\n\n")
KEEP_ALIVE = b": keep-alive\n\n"
STREAM_OPEN = b": stream-open\n\n"
"""The two comments the AI SDK itself sends when its ``keepAliveMs`` is set."""

LINE_END = re.compile(rb"\r\n|\n|\r")
BOM = b"\xef\xbb\xbf"


def encode_event(data: bytes) -> bytes:
    """Return one event with ``data``, which must be free of line ends (JSON is)."""
    return b"data: " + data + b"\n\n"


def chunks_of(frames: bytes) -> list[bytes]:
    """Return the chunks in whole frames of a UI message stream that `encode_event` has made.

    No parser of streams: one write holds whole events of one data line each, and JSON has no line end in it.
    """
    events = frames.removesuffix(b"\n\n").split(b"\n\n")
    return [event[6:] for event in events if event.startswith(b"data: ") and event != DONE_EVENT]


class SSEDecoder:
    """Split a byte stream, cut anywhere, into the data of its events.

    Comments, ids and retry times are skipped. An event without data is none. What is held back between two calls is
    at most one unfinished event.
    """

    def __init__(self) -> None:
        self.pending = b""
        self.data: list[bytes] = []
        self.at_start = True

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of each event that ``chunk`` completes; several data lines are joined with LF."""
        self.pending += chunk
        if self.at_start:
            if len(self.pending) < len(BOM) and BOM.startswith(self.pending):
                return []
            self.pending = self.pending.removeprefix(BOM)
            self.at_start = False
        # A CR at the very end may be half of a CRLF: its line waits for the next byte.
        held = b"\r" if self.pending.endswith(b"\r") else b""
        lines = LINE_END.split(self.pending.removesuffix(held) if held else self.pending)
        self.pending = lines.pop() + held
        return self.take_lines(lines)

    def finish(self) -> list[bytes]:
        """Return the data of a last event that lacks its blank line."""
        lines = LINE_END.split(self.pending)
        self.pending = b""
        return self.take_lines([*lines, b""])

    def take_lines(self, lines: list[bytes]) -> list[bytes]:
        """Return the data of each event that whole lines complete."""
        events: list[bytes] = []
        for line in lines:
            if line.startswith(b"data:"):
                self.data.append(line[6:] if line[5:6] == b" " else line[5:])
            elif line == b"data":
                self.data.append(b"")
            elif not line and self.data:
                events.append(b"\n".join(self.data))
                self.data = []
        return events
