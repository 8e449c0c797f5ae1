"""Splits the body of an Anthropic stream into the JSON texts of its events.

Server-sent events as the WHATWG HTML standard defines them (section 9.2.6), read for their ``data`` only: Anthropic
repeats the ``event:`` line as ``type`` within the JSON, and servers that imitate its API often leave the line out.
Lines end in CR, LF or CRLF; bytes may be split anywhere. This module knows nothing of JSON or of what the events mean.
"""

from __future__ import annotations

__all__ = ["SseReader"]

_USUAL_HEAD = b"event: content_block_delta\ndata: "
_USUAL_HEAD_LENGTH = len(_USUAL_HEAD)
_USUAL_SEAM = b"\n\n" + _USUAL_HEAD
"""What stands between the JSON texts of two deltas."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_FEED = 0x0A


class SseReader:
    """Feed it bytes, get the data of each event that they complete."""

    __slots__ = ("_after_carriage_return", "_at_start", "_pending")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        """What has come of an unfinished event, unjoined, so that a long one costs no more for arriving in pieces."""
        self._after_carriage_return = False
        self._at_start = True

    def feed(self, data: bytes) -> list[bytes]:
        """Take what one read brought; return the data of each event that is complete now, in order."""
        if self._after_carriage_return or b"\r" in data:
            data = self._with_line_feeds(data)
        pending = self._pending
        if pending:
            if b"\n\n" not in data and not (data[:1] == b"\n" and pending[-1][-1] == _LINE_FEED):
                if data:
                    pending.append(data)
                return []
            pending.append(data)
            data = b"".join(pending)
            pending.clear()
        end = data.rfind(b"\n\n")
        rest = data[end + 2 :] if end >= 0 else data
        if rest:
            pending.append(rest)
        return self._split(data, end) if end >= 0 else []

    def _split(self, data: bytes, end: int) -> list[bytes]:
        if data.startswith(_USUAL_HEAD):
            payloads = data[_USUAL_HEAD_LENGTH:end].split(_USUAL_SEAM)
            # Three line feeds to a seam and none besides: these are deltas alone, with no need to look at each.
            if data.count(b"\n", _USUAL_HEAD_LENGTH, end) == 3 * (len(payloads) - 1):
                self._at_start = False
                return payloads
        return self._split_around(data, end)

    def _split_around(self, data: bytes, end: int) -> list[bytes]:
        """A burst with an answer's begin or end around it."""
        seam = -2 if data.startswith(_USUAL_HEAD) else data.find(_USUAL_SEAM, 0, end)
        last = -1 if seam == -1 else data.rfind(_USUAL_SEAM, seam + 2, end)
        if last < 0:
            return self._split_each(data[:end])
        first, after = seam + 2 + _USUAL_HEAD_LENGTH, data.find(b"\n\n", last + 2, end)
        after = end if after < 0 else after
        payloads = data[first:after].split(_USUAL_SEAM)
        if data.count(b"\n", first, after) != 3 * (len(payloads) - 1):
            return self._split_each(data[:end])
        before = self._split_each(data[:seam]) if seam > 0 else []
        self._at_start = False
        return [*before, *payloads, *self._split_each(data[after + 2 : end])]

    def _split_each(self, data: bytes) -> list[bytes]:
        payloads: list[bytes] = []
        for block in data.split(b"\n\n"):
            payload = block[_USUAL_HEAD_LENGTH:] if block.startswith(_USUAL_HEAD) else None
            if payload is None or b"\n" in payload:
                payload = self._data_of(block)
            if payload is not None:
                payloads.append(payload)
        return payloads

    def finish(self) -> list[bytes]:
        """The body has ended: return the data of a last event that no blank line has closed."""
        rest = b"".join(self._pending)
        self._pending.clear()
        payload = self._data_of(rest)
        return [] if payload is None else [payload]

    def _with_line_feeds(self, data: bytes) -> bytes:
        # The LF of a CRLF that two reads have torn apart must not count as a second line end.
        if self._after_carriage_return and data[:1] == b"\n":
            data = data[1:]
            self._after_carriage_return = False
        if data:
            self._after_carriage_return = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _data_of(self, block: bytes) -> bytes | None:
        if self._at_start and block:
            self._at_start = False
            block = block.removeprefix(_BYTE_ORDER_MARK)
        lines = [
            line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:") or line == b"data"
        ]
        return b"\n".join(lines) if lines else None
