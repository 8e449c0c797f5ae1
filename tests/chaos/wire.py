"""The clients of the failure test, as far as bytes go: what each asks with, and what it makes of an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from usechat.protocol.dialects import NEWEST
from usechat.protocol.sse import SSEDecoder
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals

__all__ = ["WIRES", "Reading", "Wire"]

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """What a client makes of the bytes it has."""

    text: str
    end: str = ""
    """How the answer says that it is over: ``finish``, ``abort``, ``error``; nothing where it does not."""
    refusals: Sequence[str] = ()
    """What of a whole answer would make the client throw."""


@dataclass(frozen=True)
class Wire:
    """One kind of client."""

    name: str
    read: Callable[[bytes, bool], Reading]
    """Takes what has come, and whether the response has ended by itself."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    is_v4: bool = False
    has_cursors: bool = True
    """Whether places in its stream have ids."""
    has_heartbeat: bool = True
    """Whether there is a sign of life in its stream while nothing else comes."""

    def body(self, chat_id: str, messages: Sequence[Json]) -> Json:
        """What it posts."""
        posted = [as_v4(message) for message in messages] if self.is_v4 else messages
        return {"id": chat_id, "messages": posted, **({} if self.is_v4 else {"trigger": "submit-message"})}

    def resume_path(self, chat_id: str) -> str:
        """Where it asks for its chat's running answer."""
        return f"/api/chat?chatId={chat_id}" if self.is_v4 else f"/api/chat/{chat_id}/stream"


def as_v4(message: Json) -> Json:
    text = "".join(part["text"] for part in message["parts"] if part["type"] == "text")
    return {"role": message["role"], "content": text}


def read_ui_messages(major: int) -> Callable[[bytes, bool], Reading]:
    def read(data: bytes, is_over: bool) -> Reading:
        chunks = [json.loads(event) for event in SSEDecoder().feed(data) if event != b"[DONE]"]
        text = "".join(chunk["delta"] for chunk in chunks if chunk["type"] == "text-delta")
        ends = [chunk["type"] for chunk in chunks if chunk["type"] in ("abort", "error", "finish")]
        refusals = find_refusals(data, NEWEST[major]) if is_over else ()
        return Reading(text, ends[0] if ends else "", refusals)

    return read


def read_data_stream(data: bytes, is_over: bool) -> Reading:
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    text = "".join(json.loads(line[2:]) for line in lines if line.startswith(b"0:"))
    names = {b"3:": "error", b"d:": "finish"}
    # AI SDK 4 has no word for an answer that was stopped: its stream just ends.
    ends = [*(names[line[:2]] for line in lines if line[:2] in names), *(["abort"] if is_over else [])]
    return Reading(text, ends[0] if ends else "", find_data_stream_refusals(data) if is_over else ())


def read_text(data: bytes, is_over: bool) -> Reading:
    # This format has no word for an end but the response's own.
    return Reading(data.decode(errors="ignore"), "end" if is_over else "")


WIRES = (
    Wire("AI SDK 4", read_data_stream, is_v4=True, has_cursors=False),
    *(Wire(f"AI SDK {major}", read_ui_messages(major), {"x-usechat-sdk": str(major)}) for major in (5, 6, 7)),
    Wire("text", read_text, query={"protocol": "text"}, has_cursors=False, has_heartbeat=False),
)
