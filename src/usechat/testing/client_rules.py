"""What the released clients of the AI SDK refuse: a reader of finished streams, for tests of any backend.

A refusal is what makes the client throw, so that the chat ends in an error: a chunk or key its schema does not have,
a value of the wrong type, a chunk that belongs to nothing before it. Written from the clients' own schemas (each
release from 5.0.0 to 5.0.277, 6.0.326 and 7.0.173 whose schema is another than the one before) and from
``process-ui-message-stream.ts`` and ``process-chat-response.ts``; it shares no table with the encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias, cast

from usechat.json import decode_json
from usechat.protocol.dialects import Version
from usechat.protocol.sse import SSEDecoder

__all__ = ["find_data_stream_refusals", "find_refusals"]

Chunk: TypeAlias = Mapping[str, Any]


class Key(NamedTuple):
    """A key of a chunk, as the schemas have it."""

    name: str
    type: str
    required: bool
    since: str


SCHEMAS = """
start                  messageId?:text messageMetadata?:any
start-step
finish-step
finish                 finishReason?:reason@5.0.92,6.0.0,7.0.0 messageMetadata?:any
abort                  reason?:text@-,6.0.15,7.0.0
error                  errorText:text
message-metadata       messageMetadata?:any
text-start             id:text providerMetadata?:metadata
text-delta             id:text delta:text providerMetadata?:metadata
text-end               id:text providerMetadata?:metadata citations?:list@-,-,7.0.138
reasoning-start        id:text providerMetadata?:metadata
reasoning-delta        id:text delta:text providerMetadata?:metadata
reasoning-end          id:text providerMetadata?:metadata
source-url             sourceId:text url:text title?:text providerMetadata?:metadata
source-document        sourceId:text mediaType:text title:text filename?:text providerMetadata?:metadata
file                   url:text mediaType:text providerMetadata?:metadata
tool-input-start       toolCallId:text toolName:text providerExecuted?:flag dynamic?:flag title?:text@-,6.0.0,7.0.0 \
    providerMetadata?:metadata@-,6.0.39,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0 \
    inputEncoding?:text@-,6.0.308,7.0.142
tool-input-delta       toolCallId:text inputTextDelta:text
tool-input-available   toolCallId:text toolName:text input:any providerExecuted?:flag dynamic?:flag \
    providerMetadata?:metadata title?:text@-,6.0.0,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-input-error@5.0.7,6.0.0,7.0.0 toolCallId:text toolName:text input:any providerExecuted?:flag dynamic?:flag \
    errorText:text providerMetadata?:metadata title?:text@-,6.0.0,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-output-available  toolCallId:text output:any providerExecuted?:flag dynamic?:flag \
    preliminary?:flag@5.0.11,6.0.0,7.0.0 providerMetadata?:metadata@-,6.0.120,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-output-error      toolCallId:text errorText:text providerExecuted?:flag dynamic?:flag \
    providerMetadata?:metadata@-,6.0.120,7.0.0 toolMetadata?:object@-,6.0.176,7.0.0
tool-output-denied@-,6.0.0,7.0.0     toolCallId:text
tool-approval-request@-,6.0.0,7.0.0  approvalId:text toolCallId:text signature?:text@-,6.0.202,7.0.0 \
    approvalDescriptor?:any@-,6.0.274,7.0.87 inputSchemaInput?:any@-,6.0.290,7.0.113 \
    isAutomatic?:flag@-,-,7.0.0 reason?:text@-,-,7.0.82
tool-approval-response@-,-,7.0.0     approvalId:text approved:flag reason?:text providerExecuted?:flag \
    providerMetadata?:metadata
custom@-,-,7.0.0             kind:text providerMetadata?:metadata
reasoning-file@-,-,7.0.0     url:text mediaType:text providerMetadata?:metadata
reset-step@-,-,7.0.70
steering-message@-,-,7.0.163 id:text parts:list
data-*                       id?:text data:any transient?:flag
"""
"""A chunk a line: its type and keys, each with the first version of the majors 5, 6 and 7 that has it (``-``: none).

``input``, ``output`` and ``data`` may be absent for the schemas; servers always send them.
"""


def is_object(value: Any) -> bool:
    return isinstance(value, dict)


def is_metadata(value: Any) -> bool:
    return is_object(value) and all(is_object(each) for each in cast("dict[str, Any]", value).values())


TYPES: dict[str, Callable[[Any], bool]] = {
    "any": lambda value: True,
    "text": lambda value: isinstance(value, str),
    "flag": lambda value: isinstance(value, bool),
    "list": lambda value: isinstance(value, list),
    "object": is_object,
    "metadata": is_metadata,
    "reason": lambda value: isinstance(value, str),
}

REASONS = frozenset({"stop", "length", "content-filter", "tool-calls", "error", "other"})
FORGETS_AT_STEP_END_BEFORE: Version = (7, 0, 79)


def read_schemas() -> dict[str, tuple[str, dict[str, Key]]]:
    schemas: dict[str, tuple[str, dict[str, Key]]] = {}
    for line in SCHEMAS.strip().splitlines():
        head, *words = line.split()
        type_, _, since = head.partition("@")
        schemas[type_] = (since, {key.name: key for key in map(read_key, words)})
    return schemas


def read_key(word: str) -> Key:
    name, _, rest = word.partition(":")
    type_, _, since = rest.partition("@")
    return Key(name.removesuffix("?"), type_, not name.endswith("?"), since)


PARSED = read_schemas()


def has(version: Version, since: str) -> bool:
    """Whether ``version`` is late enough; ``since`` names a version for each of the majors 5, 6 and 7."""
    if not since:
        return True
    first = since.split(",")[version[0] - 5]
    return first != "-" and version >= tuple(map(int, first.split(".")))


def find_refusals(
    body: bytes, version: Version, *, known_tool_calls: Iterable[str] = (), known_approvals: Iterable[str] = ()
) -> list[str]:
    """What the client of AI SDK ``version`` (5 to 7) refuses in a UI message stream; empty when it takes all of it.

    Args:
        body: The whole response body.
        version: The client's version.
        known_tool_calls: Calls of the assistant message that the answer continues.
        known_approvals: Approval requests of that message.
    """
    events = SSEDecoder()
    texts = [*events.feed(body), *events.finish()]
    client = Client(version, known_tool_calls, known_approvals)
    refusals: list[str] = []
    if texts.count(b"[DONE]") != 1 or texts[-1] != b"[DONE]":
        refusals.append("the terminator does not stand once, at the end")
    for index, text in enumerate(text for text in texts if text != b"[DONE]"):
        refusals += [f"chunk {index}: {refusal}" for refusal in client.read(text)]
    return refusals


class Client:
    """As much of a client as it takes to say whether it throws."""

    def __init__(self, version: Version, known_tool_calls: Iterable[str], known_approvals: Iterable[str]) -> None:
        self.version = version
        self.failed = False
        self.open: dict[str, set[str]] = {"text": set(), "reasoning": set()}
        self.inputs: set[str] = set()
        self.calls: dict[str, bool | None] = dict.fromkeys(known_tool_calls)
        """The calls, and whether each is dynamic; None where that is not known."""
        self.approvals: dict[str, str] = dict.fromkeys(known_approvals, "")
        self.calls_before_step: set[str] = set()

    def read(self, text: bytes) -> list[str]:
        """What is refused in the data of one event."""
        try:
            chunk: Any = decode_json(text.decode("utf-8", "replace"))
        except ValueError:
            return ["is not JSON"]
        if not is_object(chunk) or not isinstance(chunk.get("type"), str):
            return ["is no object with a type"]
        # The schema is checked even of what comes after an error; it is ignored otherwise.
        refusals = self.check_keys(chunk)
        rule = RULES.get(chunk["type"])
        if not refusals and rule is not None and not self.failed:
            refusals += [f"{chunk['type']}: {why}" for why in rule(self, chunk)]
        return refusals

    def check_keys(self, chunk: Chunk) -> list[str]:
        """What the client's schema refuses."""
        type_ = str(chunk["type"])
        since, keys = PARSED.get("data-*" if type_.startswith("data-") else type_, ("-,-,-", {}))
        if not has(self.version, since):
            return [f"{type_} is unknown"]
        missing = [f"{type_} lacks {key.name}" for key in keys.values() if key.required and key.name not in chunk]
        return missing + [
            why for name in chunk if name != "type" for why in self.check_key(keys.get(name), chunk, name)
        ]

    def check_key(self, key: Key | None, chunk: Chunk, name: str) -> list[str]:
        if key is None or not has(self.version, key.since):
            return [f"{chunk['type']}.{name} is unknown"]
        if not TYPES[key.type](chunk[name]) or (key.type == "reason" and chunk[name] not in self.reasons()):
            return [f"{chunk['type']}.{name} has a wrong value"]
        return []

    def reasons(self) -> Collection[str]:
        """The finish reasons of the client's schema."""
        late = {"interrupted"} if self.version >= (7, 0, 149) else set[str]()
        return REASONS | late | ({"unknown"} if self.version[0] == 5 else set[str]())


Problems: TypeAlias = Iterable[str]


def kind_of(chunk: Chunk) -> str:
    return str(chunk["type"]).partition("-")[0]


def start_block(self: Client, chunk: Chunk) -> Problems:
    self.open[kind_of(chunk)].add(chunk["id"])
    return ()


def in_block(self: Client, chunk: Chunk) -> Problems:
    return () if chunk["id"] in self.open[kind_of(chunk)] else ("no open block has this id",)


def end_block(self: Client, chunk: Chunk) -> Problems:
    problems = in_block(self, chunk)
    self.open[kind_of(chunk)].discard(chunk["id"])
    return problems


def start_input(self: Client, chunk: Chunk) -> Problems:
    self.inputs.add(chunk["toolCallId"])
    return add_call(self, chunk)


def add_call(self: Client, chunk: Chunk) -> Problems:
    self.calls[chunk["toolCallId"]] = bool(chunk.get("dynamic"))
    return ()


def fail_call(self: Client, chunk: Chunk) -> Problems:
    # From major 6 on, a call that was begun stays what it began as.
    if self.version[0] < 6 or chunk["toolCallId"] not in self.calls:
        add_call(self, chunk)
    return ()


def grow_input(self: Client, chunk: Chunk) -> Problems:
    return () if chunk["toolCallId"] in self.inputs else ("no tool input was started for this call",)


def output(self: Client, chunk: Chunk) -> Problems:
    if chunk["toolCallId"] not in self.calls:
        return ("no such tool call",)
    dynamic = self.calls[chunk["toolCallId"]]
    if self.version[0] == 5 and dynamic is not None and dynamic is not bool(chunk.get("dynamic")):
        return ("the call is of the other kind, dynamic or not",)
    return ()


def of_call(self: Client, chunk: Chunk) -> Problems:
    return () if chunk["toolCallId"] in self.calls else ("no such tool call",)


def ask_approval(self: Client, chunk: Chunk) -> Problems:
    call = chunk["toolCallId"]
    self.approvals = {key: asked for key, asked in self.approvals.items() if asked != call}
    self.approvals[chunk["approvalId"]] = call
    return of_call(self, chunk)


def answer_approval(self: Client, chunk: Chunk) -> Problems:
    return () if chunk["approvalId"] in self.approvals else ("no such approval request",)


def start_step(self: Client, chunk: Chunk) -> Problems:
    self.calls_before_step = set(self.calls)
    return ()


def finish_step(self: Client, chunk: Chunk) -> Problems:
    if self.version < FORGETS_AT_STEP_END_BEFORE:
        self.open = {"text": set(), "reasoning": set()}
    return ()


def reset_step(self: Client, chunk: Chunk) -> Problems:
    self.open = {"text": set(), "reasoning": set()}
    self.inputs.clear()
    self.calls = {call: kind for call, kind in self.calls.items() if call in self.calls_before_step}
    self.approvals = {key: call for key, call in self.approvals.items() if not call or call in self.calls}
    return ()


def fail(self: Client, chunk: Chunk) -> Problems:
    self.failed = True
    return ()


RULES: dict[str, Callable[[Client, Chunk], Problems]] = {
    "text-start": start_block,
    "text-delta": in_block,
    "text-end": end_block,
    "reasoning-start": start_block,
    "reasoning-delta": in_block,
    "reasoning-end": end_block,
    "tool-input-start": start_input,
    "tool-input-delta": grow_input,
    "tool-input-available": add_call,
    "tool-input-error": fail_call,
    "tool-output-available": output,
    "tool-output-error": output,
    "tool-output-denied": of_call,
    "tool-approval-request": ask_approval,
    "tool-approval-response": answer_approval,
    "start-step": start_step,
    "finish-step": finish_step,
    "reset-step": reset_step,
    "error": fail,
}


def find_data_stream_refusals(
    body: bytes, version: Version = (4, 3, 19), *, known_tool_calls: Iterable[str] = ()
) -> list[str]:
    """What the client of AI SDK ``version`` (3 or 4) refuses in a data stream; empty when it takes all of it."""
    if body and not body.endswith(b"\n"):
        return ["the last line is not whole"]
    client = DataStreamClient(version, known_tool_calls)
    refusals: list[str] = []
    for index, line in enumerate(line for line in body.split(b"\n") if line):
        if not client.failed:
            refusals += [f"line {index}: {why}" for why in client.read(line)]
    return refusals


class DataStreamClient:
    """As much of the client of AI SDK 3 or 4 as it takes to say whether it throws."""

    def __init__(self, version: Version, known_tool_calls: Iterable[str]) -> None:
        self.version = version
        self.failed = False
        self.inputs: set[str] = set()
        # Before, an answer makes a message of its own in any case.
        self.calls = set(known_tool_calls) if version >= (4, 1, 12) else set[str]()

    def read(self, line: bytes) -> Problems:
        """What is refused in one line."""
        code, colon, text = line.partition(b":")
        name = code.decode("ascii", "replace")
        shape = LINES.get(name)
        if not colon or shape is None or self.version < LINES_SINCE.get(name, (3, 0, 0)):
            return (f"{name[:1]} has no known code",)
        shape = " ".join([shape, *(more for until, more in WANTED_BEFORE.get(name, ()) if self.version < until)])
        try:
            value = decode_json(text.decode("utf-8", "replace"))
        except ValueError:
            return ("is not JSON",)
        if not fits(value, shape):
            return (f"{code.decode()} has a value of another shape",)
        rule = LINE_RULES.get(code.decode())
        return () if rule is None else rule(self, value)


LINES: dict[str, str] = {
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
"""Each line code with what its value must be: a type, or an object with these keys."""

LINES_SINCE: dict[str, Version] = {
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
"""The first releases that know a code, where some do not."""
WANTED_BEFORE: dict[str, list[tuple[Version, str]]] = {
    "a": [((3, 2, 42), "toolName:text args:any")],
    "d": [((3, 3, 35), "usage:object")],
    "e": [((3, 3, 35), "usage:object")],
}
"""Keys that clients wanted until then."""


def fits(value: Any, shape: str) -> bool:
    if ":" not in shape:
        return TYPES[shape](value)
    keys = [word.split(":") for word in shape.split()]
    return is_object(value) and all(name in value and TYPES[type_](value[name]) for name, type_ in keys)


def begin_call_line(self: DataStreamClient, value: Any) -> Problems:
    self.calls.add(value["toolCallId"])
    self.inputs.add(value["toolCallId"])
    return ()


def delta_line(self: DataStreamClient, value: Any) -> Problems:
    return () if value["toolCallId"] in self.inputs else ("c without its b",)


def call_line(self: DataStreamClient, value: Any) -> Problems:
    self.calls.add(value["toolCallId"])
    return () if value["args"] is None or isinstance(value["args"], dict | list) else ("9 with args of another type",)


def result_line(self: DataStreamClient, value: Any) -> Problems:
    return () if value["toolCallId"] in self.calls else ("a without its 9",)


def error_line(self: DataStreamClient, value: Any) -> Problems:
    self.failed = True
    return ()


LINE_RULES: dict[str, Callable[[DataStreamClient, Any], Problems]] = {
    "b": begin_call_line,
    "c": delta_line,
    "9": call_line,
    "a": result_line,
    "3": error_line,
}
