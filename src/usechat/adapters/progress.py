"""The parts of a foreign answer in the making: its open step, its open blocks and its tool calls."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final, NamedTuple

from pydantic_core import to_jsonable_python

from usechat.json import decode_json
from usechat.parts import (
    FinishReason,
    FinishStep,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    UnifiedFinishReason,
    Usage,
)

__all__ = ["AnswerProgress", "field", "finish_reason", "json_value", "known_usage", "read_json"]

REASONS: Final[Mapping[str, UnifiedFinishReason]] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "completed", "STOP"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length", "MAX_TOKENS"), "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool-calls"),
    **dict.fromkeys(("content_filter", "refusal", "SAFETY"), "content-filter"),
    **dict.fromkeys(("error", "failed"), "error"),
}
"""The words of the providers whose answers such packages bring."""


def field(value: Any, name: str) -> Any:
    """Return a field of an object or dict; None when there is none."""
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def finish_reason(raw: Any) -> FinishReason | None:
    """Return the reason for a provider's word; None for none."""
    return FinishReason(REASONS.get(raw, "other"), raw) if isinstance(raw, str) and raw else None


def json_value(value: Any) -> Any:
    """Return a value that pydantic can write as JSON, as JSON has it; the text of any other."""
    return to_jsonable_python(value, bytes_mode="base64", fallback=str)


def read_json(text: str) -> Any:
    """Return the value of JSON text; the text itself when it is no JSON."""
    try:
        return decode_json(text)
    except ValueError:
        return text


def known_usage(
    total: Any, output: Any, *, cache_read: Any = None, cache_write: Any = None, reasoning: Any = None
) -> Usage:
    """Return a usage of numbers where the input counts what was cached, too, as all but Anthropic's do."""
    numbers = [
        value if isinstance(value, int) else None for value in (total, output, cache_read, cache_write, reasoning)
    ]
    all_input, all_output, read, written, thought = numbers
    fresh = None if all_input is None else max(all_input - (read or 0) - (written or 0), 0)
    text = None if all_output is None or thought is None else max(all_output - thought, 0)
    return Usage(
        input_no_cache=fresh,
        input_cache_read=read,
        input_cache_write=written,
        output=all_output,
        output_text=text,
        output_reasoning=thought,
    )


class Call:
    """A tool call: what of it is shown."""

    __slots__ = ("has_outcome", "id", "input", "is_shown", "is_started", "name", "provider_executed", "texts")

    def __init__(self, id: str, name: str, provider_executed: bool | None) -> None:
        self.id = id
        self.name = name
        self.provider_executed = provider_executed
        self.texts: list[str] = []
        self.input: Any = None
        self.is_started = False
        self.is_shown = False
        """Whether its whole input is shown."""
        self.has_outcome = False


class Block(NamedTuple):
    """An open block."""

    key: Hashable
    is_reasoning: bool
    id: str


class AnswerProgress:
    """Gathers parts, so that each is legal where it stands. `take` returns those since the last call."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.calls: dict[str, Call] = {}
        self.unshown: dict[str, Call] = {}
        """Calls that have begun, and whose whole input is not shown."""
        self.blocks: dict[Hashable, Block] = {}
        """The open block of each source."""
        self.count = 0
        self.step: dict[str, Any] | None = None
        """What is known of the open step's end."""
        self.asks_tools = False
        """Whether a call of this step is for us to run."""

    def take(self) -> list[Part]:
        """Return the new parts."""
        parts, self.parts = self.parts, []
        return parts

    def begin_step(self) -> None:
        """Begin a step; end the one before."""
        self.end_step()
        self.step = {}
        self.asks_tools = False
        self.parts.append(StartStep())

    def note(self, **known: Any) -> None:
        """Note what `FinishStep` is to tell: ``finish_reason``, ``usage``, ``response_id``, ``model_id``."""
        self._step().update({name: value for name, value in known.items() if value is not None})

    def end_step(self) -> None:
        """End the open step, if there is one, with all that is open in it."""
        if self.step is None:
            return
        self.end_blocks()
        self.show_calls()
        likely = FinishReason("tool-calls" if self.asks_tools else "stop")
        known: dict[str, Any] = {"finish_reason": likely, "usage": Usage(), **self.step}
        self.parts.append(FinishStep(**known))
        self.step = None

    def _step(self) -> dict[str, Any]:
        if self.step is None:
            self.begin_step()
        assert self.step is not None
        return self.step

    def text(self, source: Hashable, delta: Any, key: Hashable = None) -> None:
        """Add text. A source has one open block, which another key or kind ends."""
        if isinstance(delta, str) and delta:
            self.parts.append(TextDelta(self._block(source, key, is_reasoning=False), delta))

    def reasoning(self, source: Hashable, delta: Any, key: Hashable = None) -> None:
        """Add text of reasoning; see `text`."""
        if isinstance(delta, str) and delta:
            self.parts.append(ReasoningDelta(self._block(source, key, is_reasoning=True), delta))

    def _block(self, source: Hashable, key: Hashable, *, is_reasoning: bool) -> str:
        block = self.blocks.get(source)
        if block is not None and block.key == key and block.is_reasoning is is_reasoning:
            return block.id
        self._step()
        self.end_block(source)
        self.count += 1
        self.blocks[source] = block = Block(key, is_reasoning, str(self.count))
        self.parts.append(ReasoningStart(block.id) if is_reasoning else TextStart(block.id))
        return block.id

    def end_block(self, source: Hashable) -> None:
        """End the open block of a source."""
        if (block := self.blocks.pop(source, None)) is not None:
            self.parts.append(ReasoningEnd(block.id) if block.is_reasoning else TextEnd(block.id))

    def end_blocks(self) -> None:
        """End all open blocks."""
        for source in [*self.blocks]:
            self.end_block(source)

    def call(self, id: str, name: str, *, provider_executed: bool | None = None) -> Call:
        """Return the call with this id; note and begin it if it is new."""
        call = self.calls.get(id)
        if call is None:
            call = self.calls[id] = Call(id, name, provider_executed)
        return call

    def begin_call(self, id: str, name: str, *, provider_executed: bool | None = None) -> None:
        """Show that a call's input begins."""
        call = self.call(id, name, provider_executed=provider_executed)
        if call.is_started:
            return
        self.end_blocks()
        self._step()
        self.asks_tools = self.asks_tools or not call.provider_executed
        call.is_started = True
        self.unshown[id] = call
        self.parts.append(
            ToolInputStart(tool_call_id=id, tool_name=call.name, provider_executed=call.provider_executed)
        )

    def call_input(self, id: str, delta: Any) -> None:
        """Add text to a call's input."""
        call = self.calls.get(id)
        if call is not None and isinstance(delta, str) and delta and not call.is_shown:
            call.texts.append(delta)
            self.parts.append(ToolInputDelta(id, delta))

    def show_call(self, id: str, name: str, input: Any, *, provider_executed: bool | None = None) -> None:
        """Show a call's whole input, once."""
        call = self.call(id, name, provider_executed=provider_executed)
        if call.is_shown:
            return
        self.begin_call(id, name, provider_executed=provider_executed)
        call.is_shown = True
        del self.unshown[id]
        call.input = json_value(input)
        self.parts.append(
            ToolInputAvailable(
                tool_call_id=id, tool_name=call.name, input=call.input, provider_executed=call.provider_executed
            )
        )

    def show_calls(self) -> None:
        """Show the inputs of all calls whose text has come."""
        for call in [*self.unshown.values()]:
            text = "".join(call.texts)
            input: Any = read_json(text) if text.strip() else {}
            if isinstance(input, str) and input == text:
                self.refuse_call(call.id, call.name, text, "The input is no JSON.")
            else:
                self.show_call(call.id, call.name, input)

    def refuse_call(self, id: str, name: str, input: Any, why: str) -> None:
        """Show a call that cannot be executed."""
        call = self.call(id, name)
        self.begin_call(id, name)
        call.is_shown = call.has_outcome = True
        self.unshown.pop(id, None)
        self.parts.append(ToolInputError(tool_call_id=id, tool_name=call.name, input=json_value(input), error_text=why))

    def output(self, id: str, name: str, output: Any) -> None:
        """Show a call's output, once."""
        if (call := self._outcome_of(id, name)) is not None:
            self.parts.append(
                ToolOutputAvailable(
                    tool_call_id=id,
                    tool_name=call.name,
                    output=json_value(output),
                    provider_executed=call.provider_executed,
                )
            )

    def output_error(self, id: str, name: str, text: str) -> None:
        """Show that a call failed, once."""
        if (call := self._outcome_of(id, name)) is not None:
            self.parts.append(
                ToolOutputError(
                    tool_call_id=id, tool_name=call.name, error_text=text, provider_executed=call.provider_executed
                )
            )

    def denied(self, id: str, name: str) -> None:
        """Show that the user refused a call."""
        if (call := self._outcome_of(id, name)) is not None:
            self.parts.append(ToolOutputDenied(tool_call_id=id, tool_name=call.name))

    def _outcome_of(self, id: str, name: str) -> Call | None:
        call = self.call(id, name)
        if call.has_outcome:
            return None
        call.has_outcome = True
        self.end_blocks()
        self.show_calls()
        return call

    def ask(self, approval_id: str, tool_call_id: str, reason: str | None = None) -> None:
        """Ask the user to approve a call."""
        self.end_blocks()
        self.show_calls()
        self.parts.append(ToolApprovalRequest(approval_id=approval_id, tool_call_id=tool_call_id, reason=reason))

    @property
    def pending(self) -> list[Call]:
        """The calls that are shown and have no outcome."""
        return [call for call in self.calls.values() if call.is_started and not call.has_outcome]
