"""Find what the clients of AI SDK 5 to 7 refuse in a UI message stream.

Source: the clients' schemas (`usechat.testing.client_rules.schemas`) and ``process-ui-message-stream.ts``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeAlias

from usechat.json import decode_json
from usechat.protocol.dialects import Version
from usechat.protocol.sse import SSEDecoder
from usechat.testing.client_rules.schemas import SCHEMAS, Key, has
from usechat.testing.client_rules.values import TYPES, approvals_of, calls_of, is_object

__all__ = ["find_refusals"]

Chunk: TypeAlias = Mapping[str, Any]
Problems: TypeAlias = Iterable[str]

REASONS = frozenset({"stop", "length", "content-filter", "tool-calls", "error", "other"})
CLOSES_BLOCKS_AT_STEP_END_BEFORE: Version = (7, 0, 79)


def find_refusals(
    body: bytes,
    version: Version,
    *,
    continues: Chunk | None = None,
    known_tool_calls: Iterable[str] = (),
    known_approvals: Iterable[str] = (),
) -> list[str]:
    """Return what the client of AI SDK ``version`` (5 to 7) refuses in a UI message stream; empty if it accepts all.

    Args:
        body: The whole response body.
        version: The client's version.
        continues: The assistant's message that the answer continues, as the client posted it: the answer may refer to
            its tool calls and approval requests.
        known_tool_calls: Ids of further tool calls that the client knows.
        known_approvals: Ids of further approval requests.
    """
    events = SSEDecoder()
    texts = [*events.feed(body), *events.finish()]
    calls, approvals = [*calls_of(continues), *known_tool_calls], [*approvals_of(continues), *known_approvals]
    client = Client(version, calls, approvals)
    refusals: list[str] = []
    if texts.count(b"[DONE]") != 1 or texts[-1] != b"[DONE]":
        refusals.append("the terminator does not stand once, at the end")
    for index, text in enumerate(text for text in texts if text != b"[DONE]"):
        refusals += [f"chunk {index}: {refusal}" for refusal in client.read(text)]
    return refusals


class Client:
    """The parts of a client that decide whether it throws."""

    def __init__(self, version: Version, known_tool_calls: Iterable[str], known_approvals: Iterable[str]) -> None:
        self.version = version
        self.failed = False
        self.open: dict[str, set[str]] = {"text": set(), "reasoning": set()}
        self.inputs: set[str] = set()
        self.calls: dict[str, bool | None] = dict.fromkeys(known_tool_calls)
        """The tool calls by id, and whether each is dynamic; ``None`` if unknown."""
        self.approvals: dict[str, str] = dict.fromkeys(known_approvals, "")
        self.calls_before_step: set[str] = set()

    def read(self, text: bytes) -> list[str]:
        """Return what the client refuses in the data of one event."""
        try:
            chunk: Any = decode_json(text.decode("utf-8", "replace"))
        except ValueError:
            return ["is not JSON"]
        if not is_object(chunk) or not isinstance(chunk.get("type"), str):
            return ["is no object with a type"]
        # After an error the client still checks the schema of each chunk, and ignores the chunk otherwise.
        refusals = self.check_keys(chunk)
        rule = RULES.get(chunk["type"])
        if not refusals and rule is not None and not self.failed:
            refusals += [f"{chunk['type']}: {why}" for why in rule(self, chunk)]
        return refusals

    def check_keys(self, chunk: Chunk) -> list[str]:
        """Return what the client's schema refuses in a chunk."""
        type_ = str(chunk["type"])
        since, keys = SCHEMAS.get("data-*" if type_.startswith("data-") else type_, ("-,-,-", {}))
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
        """Return the finish reasons of the client's schema."""
        late = {"interrupted"} if self.version >= (7, 0, 149) else set[str]()
        return REASONS | late | ({"unknown"} if self.version[0] == 5 else set[str]())

    def start_block(self, chunk: Chunk) -> Problems:
        self.open[kind_of(chunk)].add(chunk["id"])
        return ()

    def in_block(self, chunk: Chunk) -> Problems:
        return () if chunk["id"] in self.open[kind_of(chunk)] else ("no open block has this id",)

    def end_block(self, chunk: Chunk) -> Problems:
        problems = self.in_block(chunk)
        self.open[kind_of(chunk)].discard(chunk["id"])
        return problems

    def start_input(self, chunk: Chunk) -> Problems:
        self.inputs.add(chunk["toolCallId"])
        return self.add_call(chunk)

    def add_call(self, chunk: Chunk) -> Problems:
        self.calls[chunk["toolCallId"]] = bool(chunk.get("dynamic"))
        return ()

    def fail_call(self, chunk: Chunk) -> Problems:
        # From major 6 on, a call stays dynamic or static, as its first chunk said.
        if self.version[0] < 6 or chunk["toolCallId"] not in self.calls:
            self.add_call(chunk)
        return ()

    def grow_input(self, chunk: Chunk) -> Problems:
        return () if chunk["toolCallId"] in self.inputs else ("no tool input was started for this call",)

    def output(self, chunk: Chunk) -> Problems:
        if chunk["toolCallId"] not in self.calls:
            return ("no such tool call",)
        dynamic = self.calls[chunk["toolCallId"]]
        if self.version[0] == 5 and dynamic is not None and dynamic is not bool(chunk.get("dynamic")):
            return ("the call is of the other kind, dynamic or not",)
        return ()

    def of_call(self, chunk: Chunk) -> Problems:
        return () if chunk["toolCallId"] in self.calls else ("no such tool call",)

    def ask_approval(self, chunk: Chunk) -> Problems:
        call = chunk["toolCallId"]
        self.approvals = {key: asked for key, asked in self.approvals.items() if asked != call}
        self.approvals[chunk["approvalId"]] = call
        return self.of_call(chunk)

    def answer_approval(self, chunk: Chunk) -> Problems:
        return () if chunk["approvalId"] in self.approvals else ("no such approval request",)

    def start_step(self, chunk: Chunk) -> Problems:
        self.calls_before_step = set(self.calls)
        return ()

    def finish_step(self, chunk: Chunk) -> Problems:
        if self.version < CLOSES_BLOCKS_AT_STEP_END_BEFORE:
            self.open = {"text": set(), "reasoning": set()}
        return ()

    def reset_step(self, chunk: Chunk) -> Problems:
        self.open = {"text": set(), "reasoning": set()}
        self.inputs.clear()
        self.calls = {call: kind for call, kind in self.calls.items() if call in self.calls_before_step}
        self.approvals = {key: call for key, call in self.approvals.items() if not call or call in self.calls}
        return ()

    def fail(self, chunk: Chunk) -> Problems:
        self.failed = True
        return ()


def kind_of(chunk: Chunk) -> str:
    return str(chunk["type"]).partition("-")[0]


RULES: Mapping[str, Callable[[Client, Chunk], Problems]] = {
    "text-start": Client.start_block,
    "text-delta": Client.in_block,
    "text-end": Client.end_block,
    "reasoning-start": Client.start_block,
    "reasoning-delta": Client.in_block,
    "reasoning-end": Client.end_block,
    "tool-input-start": Client.start_input,
    "tool-input-delta": Client.grow_input,
    "tool-input-available": Client.add_call,
    "tool-input-error": Client.fail_call,
    "tool-output-available": Client.output,
    "tool-output-error": Client.output,
    "tool-output-denied": Client.of_call,
    "tool-approval-request": Client.ask_approval,
    "tool-approval-response": Client.answer_approval,
    "start-step": Client.start_step,
    "finish-step": Client.finish_step,
    "reset-step": Client.reset_step,
    "error": Client.fail,
}
