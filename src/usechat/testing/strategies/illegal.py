"""A strategy for any sequence of parts, legal or not."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from usechat.parts import (
    Abort,
    Error,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    ResetStep,
    StartStep,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
)
from usechat.testing.strategies.answer import Call, as_strategies, described, named
from usechat.testing.strategies.single_parts import finish_steps, finishes, notes, single_parts, starts
from usechat.testing.strategies.values import BLOCK_IDS, YES, any_text, json_values, optional, provider_metadata

__all__ = ["any_parts"]


def any_parts(*, max_size: int = 20) -> st.SearchStrategy[list[Part]]:
    """Draw any sequence of parts; most sequences are illegal."""
    call = Call("call_1", "search", dynamic=None, provider_executed=None)
    other = Call("call_2", "get_weather", dynamic=True, provider_executed=True)
    of_calls = [strategy for each in (call, other) for strategy in parts_of_call(each)]
    blocks = [st.builds(kind, BLOCK_IDS) for kind in (TextStart, TextEnd, ReasoningStart, ReasoningEnd)]
    deltas = [st.builds(kind, BLOCK_IDS, any_text(), provider_metadata()) for kind in (TextDelta, ReasoningDelta)]
    frame: list[st.SearchStrategy[Any]] = [starts(), st.just(StartStep()), finish_steps(), finishes()]
    ends = [st.builds(Abort, optional(any_text())), st.builds(Error, any_text()), st.just(ResetStep())]
    return st.lists(st.one_of(*frame, *blocks, *deltas, *of_calls, *ends, single_parts(), notes()), max_size=max_size)


def built(part: type[Part], **values: Any) -> st.SearchStrategy[Part]:
    """Return a strategy for a part with these values, some of which may be strategies."""
    return st.builds(part, **as_strategies(values))


def parts_of_call(call: Call) -> list[st.SearchStrategy[Any]]:
    """Return a strategy for each kind of part that names a tool call."""
    said = {**named(call), "provider_executed": YES, "dynamic": YES}
    approval = f"approval_{call.id}"
    return [
        built(ToolInputStart, **described(call)),
        built(ToolInputDelta, tool_call_id=call.id, delta=any_text()),
        built(ToolInputAvailable, **described(call), input=json_values()),
        built(ToolInputError, **described(call), input=json_values(), error_text=any_text()),
        built(ToolOutputAvailable, **said, output=json_values(), preliminary=YES),
        built(ToolOutputError, **said, error_text=any_text(), invalid_input=st.booleans()),
        built(ToolOutputDenied, **named(call)),
        built(ToolApprovalRequest, approval_id=approval, tool_call_id=call.id),
        built(ToolApprovalResponse, approval_id=approval, approved=st.booleans()),
    ]
