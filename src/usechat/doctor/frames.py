"""Reads the frames of an answer, and holds each against the rules of the released clients."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self, cast

from usechat.doctor.exchange import Arrival, Exchange
from usechat.doctor.releases import LOOSE_SINCE
from usechat.json import decode_json
from usechat.protocol.dialects import Version
from usechat.protocol.sse import SSEDecoder
from usechat.testing.client_rules.data_stream import DataStreamClient
from usechat.testing.client_rules.schemas import Key, has
from usechat.testing.client_rules.ui_message_stream import Chunk, Client

__all__ = ["DATA_STREAM", "ENDS", "UI_MESSAGE_STREAM", "Frame", "Protocol", "Refusal", "Stream", "find_refusals"]

EVENT: Final = re.compile(rb"(?:data|event|id|retry)?:|(?:data|event|id|retry)[\r\n]")
LINE: Final = re.compile(rb'[0-9a-k]:\s*["\[{]')
DONE: Final = b"[DONE]"
ENDS: Final = frozenset({"finish", "abort", "error", "d", "3"})
"""Types of chunks and codes of lines that end an answer."""
CONTENT: Final = frozenset({"text-delta", "reasoning-delta", "tool-input-delta", "0", "g", "c"})


class Protocol(NamedTuple):
    """A stream protocol of the AI SDK."""

    name: str
    majors: tuple[int, ...]
    media_type: str
    header: str


UI_MESSAGE_STREAM = Protocol("UI message stream", (5, 6, 7), "text/event-stream", "x-vercel-ai-ui-message-stream")
DATA_STREAM = Protocol("data stream", (3, 4), "text/plain", "x-vercel-ai-data-stream")


class Frame(NamedTuple):
    """One event's data, or one line."""

    seconds: float
    """When it was whole, since the request was sent."""
    text: bytes

    @property
    def value(self) -> Mapping[str, Any]:
        """The chunk, or for a line a mapping with its code as ``type``; empty if it is neither."""
        code, colon, _ = self.text.partition(b":")
        if colon and len(code) == 1:
            return {"type": code.decode("latin-1")}
        try:
            value: Any = decode_json(self.text.decode("utf-8", "replace"))
        except ValueError:
            return {}
        return as_object(value)

    @property
    def type(self) -> str:
        """The chunk's type or the line's code; empty if it has none."""
        kind = self.value.get("type")
        return kind if isinstance(kind, str) else ""


@dataclass(frozen=True)
class Stream:
    """The frames of an answer, without the terminator."""

    protocol: Protocol
    frames: Sequence[Frame]
    terminators: int
    ends_with_terminator: bool

    @classmethod
    def of(cls, exchange: Exchange) -> Self | None:
        """Return the stream in a response's body; None if its beginning is of neither protocol."""
        start = (
            b"".join(arrival.data for arrival in exchange.arrivals[:16])[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
        )
        if EVENT.match(start):
            protocol, frames = UI_MESSAGE_STREAM, list(split_events(exchange.arrivals))
        elif LINE.match(start):
            protocol, frames = DATA_STREAM, list(split_lines(exchange.arrivals))
        else:
            return None
        kept = [frame for frame in frames if frame.text != DONE]
        return cls(protocol, kept, len(frames) - len(kept), bool(frames) and frames[-1].text == DONE)

    @property
    def types(self) -> list[str]:
        """The type of each frame."""
        return [frame.type for frame in self.frames]

    @property
    def content(self) -> list[Frame]:
        """The frames that bring pieces of text, of reasoning or of a tool's input."""
        return [frame for frame in self.frames if frame.type in CONTENT]


def split_events(arrivals: Iterable[Arrival]) -> Iterable[Frame]:
    decoder = SSEDecoder()
    seconds = 0.0
    for seconds, data in arrivals:
        yield from (Frame(seconds, text) for text in decoder.feed(data))
    yield from (Frame(seconds, text) for text in decoder.finish())


def split_lines(arrivals: Iterable[Arrival]) -> Iterable[Frame]:
    seconds = 0.0
    rest: list[bytes] = []
    for seconds, data in arrivals:
        head, *lines = data.split(b"\n")
        rest.append(head)
        for line in lines:
            yield from whole_line(seconds, rest)
            rest = [line]
    yield from whole_line(seconds, rest)


def whole_line(seconds: float, pieces: Sequence[bytes]) -> Iterable[Frame]:
    line = b"".join(pieces)
    return (Frame(seconds, line),) if line.strip() else ()


class Refusal(NamedTuple):
    """A fault in a stream that some clients refuse."""

    place: int
    """The index of the first frame that they refuse."""
    why: str
    releases: tuple[Version, ...]


def find_refusals(stream: Stream, releases: Sequence[Version], posted: Mapping[str, Any]) -> list[Refusal]:
    """Return what clients refuse in a stream, in its order.

    Args:
        stream: The frames.
        releases: The clients.
        posted: The body of the request: an answer can go on with the calls of its last message.
    """
    calls, approvals = known_ids(posted)
    found: dict[str, tuple[int, list[Version]]] = {}
    for release in releases:
        for index, why in judge(stream, release, calls, approvals):
            first, refusing = found.setdefault(why, (index, []))
            found[why] = min(first, index), refusing
            if release not in refusing[-1:]:
                refusing.append(release)
    refusals = [Refusal(index, why, tuple(refusing)) for why, (index, refusing) in found.items()]
    return sorted(refusals)


def judge(
    stream: Stream, release: Version, calls: Collection[str], approvals: Collection[str]
) -> Iterable[tuple[int, str]]:
    is_lines = stream.protocol is DATA_STREAM
    client = DataStreamClient(release, calls) if is_lines else ReleasedClient(release, calls, approvals)
    for index, frame in enumerate(stream.frames):
        yield from ((index, why) for why in client.read(frame.text))
        if is_lines and client.failed:
            return


class ReleasedClient(Client):
    """The client as it was released: the rules it is made of also refuse what servers ought not to send."""

    def check_key(self, key: Key | None, chunk: Chunk, name: str) -> list[str]:
        """Return what the client refuses in one key: not an unknown one, since the schemas are loose."""
        is_unknown = key is None or not has(self.version, key.since)
        if is_unknown and self.version >= LOOSE_SINCE[self.version[0]]:
            return []
        return super().check_key(key, chunk, name)

    def check_keys(self, chunk: Chunk) -> list[str]:
        """Return what the client's schema refuses in a chunk: it does not ask for values of any type."""
        optional = {f"{chunk['type']} lacks {name}" for name in ("input", "output", "data")}
        return [why for why in super().check_keys(chunk) if why not in optional]


def known_ids(posted: Mapping[str, Any]) -> tuple[set[str], set[str]]:
    """Return the ids of the calls and of the approvals in the assistant message that an answer goes on with."""
    calls: set[str] = set()
    approvals: set[str] = set()
    last = [as_object(each) for each in as_list(posted.get("messages"))[-1:]]
    waiting = [message for message in last if message.get("role") == "assistant"]
    while waiting:
        item = waiting.pop()
        calls |= {each for each in (item.get("toolCallId"),) if isinstance(each, str)}
        approvals |= {each for each in (as_object(item.get("approval")).get("id"),) if isinstance(each, str)}
        inner = [*as_list(item.get("parts")), *as_list(item.get("toolInvocations")), item.get("toolInvocation")]
        waiting += [as_object(each) for each in inner if each]
    return calls, approvals


def as_object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
