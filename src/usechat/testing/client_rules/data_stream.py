"""Find what the clients of AI SDK 3 and 4 refuse in a data stream. Source: ``process-chat-response.ts``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from usechat.json import decode_json
from usechat.protocol.dialects import Version
from usechat.testing.client_rules.values import TYPES, calls_of, is_object

__all__ = ["find_data_stream_refusals"]

Problems: TypeAlias = Iterable[str]

LINES: Mapping[str, str] = {
    "0": "text",
    "g": "text",
    "3": "text",
    "2": "list",
    "8": "list",
    "f": "messageId:text",
    "j": "signature:text",
    "i": "data:text",
    "k": "data:text mimeType:text",
    "h": "sourceType:text id:text url:text",
    "b": "toolCallId:text toolName:text",
    "c": "toolCallId:text argsTextDelta:text",
    "9": "toolCallId:text toolName:text args:any",
    "a": "toolCallId:text result:any",
    "e": "finishReason:text isContinued:flag",
    "d": "finishReason:text",
}
"""For each line code, the shape of the value: a type, or an object with these keys."""

LINES_SINCE: Mapping[str, Version] = {
    **dict.fromkeys("9a", (3, 1, 7)),
    **dict.fromkeys("bc", (3, 2, 28)),
    "d": (3, 2, 38),
    "e": (3, 3, 21),
    "f": (4, 0, 39),
    "g": (4, 1, 1),
    "h": (4, 1, 35),
    **dict.fromkeys("ij", (4, 1, 46)),
    "k": (4, 1, 63),
}
"""The first release that knows each code. Codes that all releases know are left out."""
REQUIRED_BEFORE: Mapping[str, list[tuple[Version, str]]] = {
    "a": [((3, 2, 42), "toolName:text args:any")],
    "d": [((3, 3, 35), "usage:object")],
    "e": [((3, 3, 35), "usage:object")],
}
"""Keys that clients before a version required in addition."""


def find_data_stream_refusals(
    body: bytes,
    version: Version = (4, 3, 19),
    *,
    continues: Mapping[str, Any] | None = None,
    known_tool_calls: Iterable[str] = (),
) -> list[str]:
    """Return what the client of AI SDK ``version`` (3 or 4) refuses in a data stream; empty if it accepts all of it.

    Args:
        body: The whole response body.
        version: The client's version.
        continues: The assistant's message that the answer continues, as the client posted it: the answer may refer to
            its tool calls.
        known_tool_calls: Ids of further tool calls that the client knows.
    """
    if body and not body.endswith(b"\n"):
        return ["the last line is not whole"]
    client = DataStreamClient(version, [*calls_of(continues), *known_tool_calls])
    refusals: list[str] = []
    for index, line in enumerate(line for line in body.split(b"\n") if line):
        if not client.failed:
            refusals += [f"line {index}: {why}" for why in client.read(line)]
    return refusals


class DataStreamClient:
    """The parts of the client of AI SDK 3 or 4 that decide whether it throws."""

    def __init__(self, version: Version, known_tool_calls: Iterable[str]) -> None:
        self.version = version
        self.failed = False
        self.inputs: set[str] = set()
        # Older clients begin a new message with each answer, so earlier calls do not count.
        self.calls = set(known_tool_calls) if version >= (4, 1, 12) else set[str]()

    def read(self, line: bytes) -> Problems:
        """Return what the client refuses in one line."""
        code, colon, text = line.partition(b":")
        name = code.decode("ascii", "replace")
        shape = LINES.get(name)
        if not colon or shape is None or self.version < LINES_SINCE.get(name, (3, 0, 0)):
            return (f"{name[:1]} has no known code",)
        shape = " ".join([shape, *(more for until, more in REQUIRED_BEFORE.get(name, ()) if self.version < until)])
        try:
            value = decode_json(text.decode("utf-8", "replace"))
        except ValueError:
            return ("is not JSON",)
        if not fits(value, shape):
            return (f"{code.decode()} has a value of another shape",)
        rule = LINE_RULES.get(code.decode())
        return () if rule is None else rule(self, value)

    def begin_call_line(self, value: Any) -> Problems:
        self.calls.add(value["toolCallId"])
        self.inputs.add(value["toolCallId"])
        return ()

    def delta_line(self, value: Any) -> Problems:
        return () if value["toolCallId"] in self.inputs else ("c without its b",)

    def call_line(self, value: Any) -> Problems:
        self.calls.add(value["toolCallId"])
        fits_args = value["args"] is None or isinstance(value["args"], dict | list)
        return () if fits_args else ("9 with args of another type",)

    def result_line(self, value: Any) -> Problems:
        return () if value["toolCallId"] in self.calls else ("a without its 9",)

    def error_line(self, value: Any) -> Problems:
        self.failed = True
        return ()


def fits(value: Any, shape: str) -> bool:
    if ":" not in shape:
        return TYPES[shape](value)
    keys = [word.split(":") for word in shape.split()]
    return is_object(value) and all(name in value and TYPES[type_](value[name]) for name, type_ in keys)


LINE_RULES: Mapping[str, Callable[[DataStreamClient, Any], Problems]] = {
    "b": DataStreamClient.begin_call_line,
    "c": DataStreamClient.delta_line,
    "9": DataStreamClient.call_line,
    "a": DataStreamClient.result_line,
    "3": DataStreamClient.error_line,
}
