"""A strategy for any legal answer: a sequence of actions, each drawn from the actions that are legal next."""

from __future__ import annotations

from collections.abc import Callable
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
from usechat.testing.strategies.answer import Answer, Call, described, named
from usechat.testing.strategies.single_parts import finish_steps, finishes, notes, single_parts, starts
from usechat.testing.strategies.values import (
    BLOCKS,
    CITATIONS,
    ENCODINGS,
    FLAGS,
    INPUT_TEXTS,
    KEPT_BEFORE_7,
    NAMES,
    RESULTS,
    YES,
    any_text,
    json_values,
    optional,
    provider_metadata,
)

__all__ = ["legal_parts"]


@st.composite
def legal_parts(draw: Callable[[st.SearchStrategy[Any]], Any], *, max_size: int = 20) -> list[Part]:
    """Draw any legal sequence of parts, complete or cut.

    Blocks interleave. There are several steps, tools of every kind with and without streamed input, approvals,
    preliminary outputs, errors, aborts, data parts and metadata. Each tool call has a unique id.

    Args:
        draw: Given by hypothesis.
        max_size: The maximum number of actions in each step.
    """
    answer = Answer(draw)
    if draw(st.booleans()):
        answer.add(starts())
    for _ in range(draw(st.integers(min_value=0, max_value=3))):
        add_step(answer, max_size)
        end = draw(st.sampled_from(["go on", "go on", "go on", "error", "abort", "cut"]))
        if end != "go on":
            END_EARLY[end](answer)
            return answer.parts
        answer.add(finish_steps())
        answer.drop_open()
        settle_some(answer)
    answer.add(finishes())
    for _ in range(draw(st.integers(min_value=0, max_value=1))):
        answer.add(notes())
    return answer.parts


def add_step(answer: Answer, max_size: int) -> None:
    answer.add(st.builds(StartStep, message_id=st.sampled_from([None, "m1"])))
    answer.calls_before_step = len(answer.calls)
    for _ in range(answer.draw(st.integers(min_value=0, max_value=max_size))):
        actions = [act for act, is_possible in ACTIONS if is_possible(answer)]
        answer.pick(actions)(answer)


def settle_some(answer: Answer) -> None:
    """Add some results between two steps, as happens after an approval."""
    for call in answer.ready_calls():
        if answer.draw(st.booleans()):
            add_result(answer, call)


def end_with_error(answer: Answer) -> None:
    answer.add(st.builds(Error, any_text()))
    if answer.draw(st.booleans()):
        answer.add(finish_steps())
        answer.add(finishes())


def end_with_abort(answer: Answer) -> None:
    answer.add(st.builds(Abort, optional(any_text())))


def end_in_the_middle(answer: Answer) -> None:
    """Add nothing: the answer is cut here."""


END_EARLY = {"error": end_with_error, "abort": end_with_abort, "cut": end_in_the_middle}


def add_single(answer: Answer) -> None:
    answer.add(st.one_of(single_parts(), notes()))


def start_text(answer: Answer) -> None:
    block = answer.pick(sorted(BLOCKS - answer.text))
    answer.make(TextStart, id=block, provider_metadata=provider_metadata())
    answer.text.add(block)


def grow_text(answer: Answer) -> None:
    block = answer.pick(sorted(answer.text))
    answer.make(TextDelta, id=block, delta=any_text(), provider_metadata=optional(provider_metadata()))


def end_text(answer: Answer) -> None:
    block = answer.pick(sorted(answer.text))
    answer.make(
        TextEnd,
        id=block,
        provider_metadata=provider_metadata(),
        citations=CITATIONS,
        provider_metadata_before_7=KEPT_BEFORE_7,
    )
    answer.text.remove(block)


def start_reasoning(answer: Answer) -> None:
    block = answer.pick(sorted(BLOCKS - answer.reasoning))
    answer.make(ReasoningStart, id=block, provider_metadata=provider_metadata())
    answer.reasoning.add(block)


def grow_reasoning(answer: Answer) -> None:
    block = answer.pick(sorted(answer.reasoning))
    answer.make(ReasoningDelta, id=block, delta=any_text(), provider_metadata=provider_metadata())


def end_reasoning(answer: Answer) -> None:
    block = answer.pick(sorted(answer.reasoning))
    answer.make(ReasoningEnd, id=block, provider_metadata=provider_metadata())
    answer.reasoning.remove(block)


def new_call(answer: Answer) -> Call:
    answer.calls_made += 1
    call = Call(f"call_{answer.calls_made}", answer.draw(NAMES), answer.draw(YES), answer.draw(YES))
    answer.calls.append(call)
    return call


def start_input(answer: Answer) -> None:
    call = new_call(answer)
    answer.make(ToolInputStart, **described(call), title=optional(any_text()), input_encoding=ENCODINGS)


def grow_input(answer: Answer) -> None:
    call = answer.pick(answer.open_calls())
    answer.make(ToolInputDelta, tool_call_id=call.id, delta=INPUT_TEXTS)


def end_input(answer: Answer) -> None:
    make_input(answer, answer.pick(answer.open_calls()))


def call_at_once(answer: Answer) -> None:
    make_input(answer, new_call(answer))


def make_input(answer: Answer, call: Call) -> None:
    call.is_open = False
    title = optional(any_text())
    if answer.draw(st.booleans()):
        answer.make(ToolInputAvailable, **described(call), title=title, input=json_values())
        return
    call.is_settled = True
    texts = {"error_text": any_text(), "client_text": optional(any_text())}
    answer.make(ToolInputError, **described(call), title=title, input=json_values(), **texts)
    if answer.draw(st.booleans()):
        again = {**named(call), "provider_executed": call.provider_executed, "dynamic": call.dynamic}
        answer.make(ToolOutputError, **again, **texts, invalid_input=True)


def ask_approval(answer: Answer) -> None:
    call = answer.pick([call for call in answer.ready_calls() if call.approval is None])
    call.approval = f"approval_{call.id}"
    answer.make(
        ToolApprovalRequest,
        approval_id=call.approval,
        tool_call_id=call.id,
        signature=optional(any_text()),
        is_automatic=FLAGS,
        reason=optional(any_text()),
        input_schema_input=json_values(),
        approval_descriptor=json_values(),
    )


def answer_approval(answer: Answer) -> None:
    call = answer.pick([call for call in answer.ready_calls() if call.approval is not None])
    answer.make(
        ToolApprovalResponse,
        approval_id=call.approval,
        approved=st.booleans(),
        reason=optional(any_text()),
        provider_executed=YES,
        provider_metadata=provider_metadata(),
    )


def end_call(answer: Answer) -> None:
    add_result(answer, answer.pick(answer.ready_calls()))


def add_result(answer: Answer, call: Call) -> None:
    kind = answer.draw(RESULTS)
    call.is_settled = kind != "preliminary"
    if kind == "error":
        texts = {"error_text": any_text(), "client_text": optional(any_text())}
        answer.make(ToolOutputError, **described(call), **texts)
    elif kind == "denied":
        answer.make(ToolOutputDenied, **named(call))
    else:
        preliminary = True if kind == "preliminary" else None
        answer.make(ToolOutputAvailable, **described(call), output=json_values(), preliminary=preliminary)


def reset_step(answer: Answer) -> None:
    answer.make(ResetStep)
    answer.text.clear()
    answer.reasoning.clear()
    del answer.calls[answer.calls_before_step :]


ACTIONS: tuple[tuple[Callable[[Answer], None], Callable[[Answer], Any]], ...] = (
    (add_single, lambda answer: True),
    (start_text, lambda answer: len(answer.text) < 2),
    (grow_text, lambda answer: answer.text),
    (end_text, lambda answer: answer.text),
    (start_reasoning, lambda answer: len(answer.reasoning) < 2),
    (grow_reasoning, lambda answer: answer.reasoning),
    (end_reasoning, lambda answer: answer.reasoning),
    (start_input, lambda answer: len(answer.calls) < 4),
    (grow_input, lambda answer: answer.open_calls()),
    (end_input, lambda answer: answer.open_calls()),
    (call_at_once, lambda answer: len(answer.calls) < 4),
    (ask_approval, lambda answer: any(call.approval is None for call in answer.ready_calls())),
    (answer_approval, lambda answer: any(call.approval is not None for call in answer.ready_calls())),
    (end_call, lambda answer: answer.ready_calls()),
    (reset_step, lambda answer: True),
)
"""The actions, each with the condition under which it is legal."""
