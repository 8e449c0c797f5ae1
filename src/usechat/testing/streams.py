"""Anthropic event streams that ship with this package: one for each block, delta, stop reason and error of the API.

The files in ``streams/`` have the exact framing of api.anthropic.com; their texts are made up.
`frame_event` writes the same events in the other framings that servers and proxies use.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files
from typing import Literal, TypeAlias, assert_never

__all__ = ["Framing", "frame_event", "read_events", "read_stream", "stream_names"]

Framing: TypeAlias = Literal["lf", "crlf", "cr", "multiline", "no-space", "comments", "no-event"]
"""The framing of events: line ends, number of ``data`` lines, and the optional parts of the standard."""

_STREAMS = files("usechat.testing") / "streams"


def stream_names() -> list[str]:
    """Return the names of all streams, sorted."""
    return sorted(file.name.removesuffix(".sse") for file in _STREAMS.iterdir() if file.name.endswith(".sse"))


def read_stream(name: str) -> bytes:
    """Return the bytes of one stream.

    Raises:
        FileNotFoundError: There is no stream of this name; `stream_names` lists them.
    """
    return (_STREAMS / f"{name}.sse").read_bytes()


def read_events(name: str) -> list[str]:
    """Return the JSON text of each event of one stream, unchanged from the file."""
    return list(_data_lines(read_stream(name).decode()))


def frame_event(event: str, framing: Framing = "lf", *, number: int = 0) -> bytes:
    """Return one event in this framing.

    Args:
        event: The JSON text of the event.
        framing: The framing to use.
        number: The position of the event in the stream, which the ``comments`` framing writes as the event's id.

    Raises:
        ValueError: ``event`` is not JSON.
    """
    kind = _type_of(event)
    match framing:
        case "lf":
            text = f"event: {kind}\ndata: {event}\n\n"
        case "crlf":
            text = f"event: {kind}\r\ndata: {event}\r\n\r\n"
        case "cr":
            text = f"event: {kind}\rdata: {event}\r\r"
        case "multiline":
            lines = json.dumps(json.loads(event), indent=1).split("\n")
            text = f"event: {kind}\n" + "".join(f"data: {line}\n" for line in lines) + "\n"
        case "no-space":
            text = f"event:{kind}\ndata:{event}\n\n"
        case "comments":
            text = f": comment {number}\nid: {number}\nretry: 1000\nevent: {kind}\ndata: {event}\n\n:\n\n"
        case "no-event":
            text = f"data: {event}\n\n"
        case _:
            assert_never(framing)
    return text.encode()


def _type_of(event: str) -> str:
    return str(json.loads(event).get("type"))


def _data_lines(text: str) -> Iterator[str]:
    for line in text.split("\n"):
        if line.startswith("data: "):
            yield line.removeprefix("data: ")
