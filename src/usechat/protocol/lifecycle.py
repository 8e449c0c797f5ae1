"""Lifecycle: which part may follow which in an answer, and how an illegal part is mended.

Rule 1: a message starts, has steps, and ends. `TRANSITIONS` lists every legal move. For any other move `REPAIRS` says
which parts to send first, or that the part is dropped.

Rule 2: blocks and tool calls have identities. A delta or an end needs its open block, an output needs its call
(``process-ui-message-stream.ts``: the client throws ``UIMessageStreamError`` otherwise).

In strict mode (tests) an illegal part raises. Otherwise it is mended, because the client must get a legal stream even
when our own code is wrong. Knows no wire format.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from enum import Enum
from typing import Any, ClassVar, TypeAlias

from usechat.errors import StreamProtocolError
from usechat.parts import (
    Abort,
    Data,
    Error,
    Finish,
    FinishReason,
    FinishStep,
    MessageMetadata,
    Part,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    ResetStep,
    Start,
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
    Usage,
)

__all__ = ["Lifecycle"]

logger = logging.getLogger(__name__)

Parts: TypeAlias = tuple[Part, ...]


class State(Enum):
    """The state of an answer."""

    NEW = "nothing was sent"
    OPEN = "the message is open, between steps"
    STEP = "a step is open"
    DONE = "the end was sent"

    # Looked up for every part: the identity is faster than an enum's own hash, which is that of its name.
    __hash__ = object.__hash__


class Kind(Enum):
    """The role of a part in the message."""

    START = "start"
    STEP_START = "step start"
    CONTENT = "content"
    NOTE = "the application's own, at any time"
    RESET = "a step's second try"
    STEP_END = "step end"
    END = "end"
    ABORT = "end, wherever the answer stands"

    __hash__ = object.__hash__


KINDS: dict[type, Kind] = {
    Start: Kind.START,
    StartStep: Kind.STEP_START,
    Data: Kind.NOTE,
    MessageMetadata: Kind.NOTE,
    ResetStep: Kind.RESET,
    FinishStep: Kind.STEP_END,
    Finish: Kind.END,
    Abort: Kind.ABORT,
}
"""Every other part is content."""

TRANSITIONS: dict[tuple[State, Kind], State] = {
    (State.NEW, Kind.START): State.OPEN,
    # A writer's own stream may do without `start` and steps; no client minds (docs/protocol.md, Order of chunks).
    (State.NEW, Kind.CONTENT): State.OPEN,
    (State.NEW, Kind.NOTE): State.OPEN,
    (State.NEW, Kind.STEP_START): State.STEP,
    (State.NEW, Kind.END): State.DONE,
    (State.NEW, Kind.ABORT): State.DONE,
    # A second start renames the message in place.
    (State.OPEN, Kind.START): State.OPEN,
    (State.OPEN, Kind.CONTENT): State.OPEN,
    (State.OPEN, Kind.NOTE): State.OPEN,
    (State.OPEN, Kind.STEP_START): State.STEP,
    # AI SDK 5's server ends a step it never began when the model sent nothing at all.
    (State.OPEN, Kind.STEP_END): State.OPEN,
    (State.OPEN, Kind.END): State.DONE,
    (State.OPEN, Kind.ABORT): State.DONE,
    (State.STEP, Kind.START): State.STEP,
    (State.STEP, Kind.CONTENT): State.STEP,
    (State.STEP, Kind.NOTE): State.STEP,
    (State.STEP, Kind.RESET): State.STEP,
    (State.STEP, Kind.STEP_END): State.OPEN,
    (State.STEP, Kind.ABORT): State.DONE,
    # A page title made while the answer ran may come after its `finish`; clients take it.
    (State.DONE, Kind.NOTE): State.DONE,
}

UNKNOWN_FINISH = FinishReason("other")
CLOSED_STEP = FinishStep(finish_reason=UNKNOWN_FINISH, usage=Usage())

REPAIRS: dict[tuple[State, Kind], Parts | None] = {
    # parts to send first; None: drop the part
    (State.NEW, Kind.STEP_END): None,
    # Outside a step the client would remove an earlier step.
    (State.NEW, Kind.RESET): None,
    (State.OPEN, Kind.RESET): None,
    (State.STEP, Kind.STEP_START): (CLOSED_STEP,),
    (State.STEP, Kind.END): (CLOSED_STEP,),
    **dict.fromkeys(((State.DONE, kind) for kind in Kind if kind is not Kind.NOTE), None),
}


BLOCKS: dict[type, str] = {
    TextStart: "text",
    TextDelta: "text",
    TextEnd: "text",
    ReasoningStart: "reasoning",
    ReasoningDelta: "reasoning",
    ReasoningEnd: "reasoning",
}
STARTS = {"text": TextStart, "reasoning": ReasoningStart}
ENDS = {"text": TextEnd, "reasoning": ReasoningEnd}


class Lifecycle:
    """Keep one answer legal.

    `admit` returns what to send for a part: the part itself, the part with others before it, or nothing.

    Args:
        strict: Raise `StreamProtocolError` for an illegal part instead of mending.
        closes_blocks: End open blocks before an error and before a step's end. The AI SDK's own server does not.
        resets_steps: The client knows `ResetStep` and forgets what the step has shown.
        known_tool_calls: Calls of the message that this answer continues.
        known_approvals: Approval requests of that message.
    """

    __slots__ = (
        "approvals",
        "calls_of_step",
        "closes_blocks",
        "has_failed",
        "interrupted",
        "open_blocks",
        "open_inputs",
        "reports",
        "resets_steps",
        "state",
        "strict",
        "tool_calls",
    )

    def __init__(
        self,
        *,
        strict: bool = False,
        closes_blocks: bool = True,
        resets_steps: bool = True,
        known_tool_calls: Iterable[str] = (),
        known_approvals: Iterable[str] = (),
    ) -> None:
        self.strict = strict
        self.closes_blocks = closes_blocks
        self.resets_steps = resets_steps
        self.reports = True
        """Whether to log mended parts. False when another lifecycle checks the same parts."""
        self.state = State.NEW
        self.has_failed = False
        self.open_blocks: dict[tuple[str, str], Part] = {}
        self.interrupted: tuple[tuple[str, str], ...] = ()
        """Blocks that the last error closed. Their own ends come later, which is no mistake."""
        # Dictionaries instead of sets: most answers have no calls, and an empty set is three times as large.
        self.open_inputs: dict[str, None] = {}
        self.tool_calls: dict[str, None] = dict.fromkeys(known_tool_calls)
        self.calls_of_step: dict[str, None] = {}
        self.approvals: dict[str, str] = dict.fromkeys(known_approvals, "")
        """The tool call id of each approval; empty when it is unknown."""

    @property
    def is_in_step(self) -> bool:
        """Whether a step is open."""
        return self.state is State.STEP

    def admit(self, part: Part) -> Parts:
        """Return the parts to send for ``part``, in order.

        Raises:
            StreamProtocolError: In strict mode, when ``part`` is illegal here.
        """
        kind = KINDS.get(type(part), Kind.CONTENT)
        transition = (self.state, kind)
        if transition not in TRANSITIONS:
            return self.repair(part, transition)
        check = self.CHECKS.get(type(part))
        first = check(self, part) if check else ()
        if first is None:
            return ()
        self.state = TRANSITIONS[transition]
        self.has_failed = isinstance(part, Error)
        return (*first, part)

    def repair(self, part: Part, transition: tuple[State, Kind]) -> Parts:
        """Return the parts to send for a part that is illegal in this state."""
        self.complain(part, f"when {transition[0].value}")
        first = REPAIRS[transition]
        if first is None:
            return ()
        return tuple(admitted for each in (*first, part) for admitted in self.admit(each))

    def complain(self, part: Part, why: str) -> None:
        """Report a part that is illegal: an exception in strict mode, a line in the log otherwise."""
        text = f"{type(part).__name__} {why}"
        if self.strict:
            raise StreamProtocolError(text)
        if self.reports:
            logger.error("mended an illegal part: %s", text)

    def finish(self) -> Parts:
        """Return the parts that end the stream: ends of open blocks, of the step and of the message."""
        if self.state is State.DONE or (self.has_failed and not self.closes_blocks):
            # The AI SDK's own server sends nothing after an error.
            return ()
        due = (*self.close_blocks(), *((CLOSED_STEP,) if self.state is State.STEP else ()))
        # An answer that ended between steps needs no `finish`, for example after an error before the first step.
        ended = (*due, Finish(finish_reason=UNKNOWN_FINISH, total_usage=Usage())) if due else ()
        self.state = State.DONE
        return ended

    def close_blocks(self) -> Parts:
        """Close all open blocks and return their ends."""
        ends = tuple(ENDS[kind](block) for kind, block in self.open_blocks)
        self.forget_blocks()
        return ends

    def forget_blocks(self) -> None:
        """Treat all blocks and tool inputs as closed, as the client does by itself."""
        self.open_blocks.clear()
        self.open_inputs.clear()

    def add_call(self, tool_call_id: str) -> None:
        """Record a tool call that the client now knows."""
        if tool_call_id not in self.tool_calls:
            self.tool_calls[tool_call_id] = self.calls_of_step[tool_call_id] = None

    def _open_block(self, part: TextStart | ReasoningStart) -> Parts | None:
        key = (BLOCKS[type(part)], part.id)
        first: Parts = ()
        if key in self.open_blocks:
            self.complain(part, "for a block that is open")
            first = (ENDS[key[0]](part.id),)
        self.open_blocks[key] = part
        return first

    def _in_block(self, part: TextDelta | ReasoningDelta) -> Parts | None:
        key = (BLOCKS[type(part)], part.id)
        if key in self.open_blocks:
            return ()
        if key not in self.interrupted:
            self.complain(part, "without its block's start")
        start = STARTS[key[0]](part.id)
        self.open_blocks[key] = start
        return (start,)

    def _end_block(self, part: TextEnd | ReasoningEnd) -> Parts | None:
        key = (BLOCKS[type(part)], part.id)
        if self.open_blocks.pop(key, None) is not None:
            return ()
        if key not in self.interrupted:
            self.complain(part, "without its block's start")
        return None

    def _begin_input(self, part: ToolInputStart) -> Parts | None:
        self.add_call(part.tool_call_id)
        self.open_inputs[part.tool_call_id] = None
        return ()

    def _in_input(self, part: ToolInputDelta) -> Parts | None:
        if part.tool_call_id in self.open_inputs:
            return ()
        self.complain(part, "without its call's start")
        return None

    def _end_input(self, part: ToolInputAvailable | ToolInputError) -> Parts | None:
        self.add_call(part.tool_call_id)
        self.open_inputs.pop(part.tool_call_id, None)
        return ()

    def _of_call(
        self, part: ToolOutputAvailable | ToolOutputError | ToolOutputDenied | ToolApprovalRequest
    ) -> Parts | None:
        if part.tool_call_id in self.tool_calls:
            # A later input delta would return the client to the state before the output.
            self.open_inputs.pop(part.tool_call_id, None)
            return ()
        self.complain(part, "for an unknown tool call")
        return None

    def _ask_approval(self, part: ToolApprovalRequest) -> Parts | None:
        admitted = self._of_call(part)
        if admitted is not None:
            # A call has one approval: a second request replaces the first.
            self.approvals = {key: call for key, call in self.approvals.items() if call != part.tool_call_id}
            self.approvals[part.approval_id] = part.tool_call_id
        return admitted

    def _of_approval(self, part: ToolApprovalResponse) -> Parts | None:
        if part.approval_id in self.approvals:
            return ()
        self.complain(part, "for an unknown approval")
        return None

    def _begin_step(self, part: StartStep) -> Parts | None:
        self.calls_of_step.clear()
        return ()

    def _before_end(self, part: FinishStep | Finish | Abort) -> Parts | None:
        # Clients before 7.0.79 forget open blocks at the end of a step, and ignore everything after an error.
        if self.closes_blocks:
            return self.close_blocks()
        self.forget_blocks()
        return ()

    def _before_reset(self, part: ResetStep) -> Parts | None:
        if not self.resets_steps:
            return self.close_blocks()
        self.forget_blocks()
        self.tool_calls = {call: None for call in self.tool_calls if call not in self.calls_of_step}
        self.approvals = {key: call for key, call in self.approvals.items() if call not in self.calls_of_step}
        self.calls_of_step.clear()
        return ()

    def _before_error(self, part: Error) -> Parts | None:
        if not self.closes_blocks:
            return ()
        if self.open_blocks:
            self.interrupted = tuple(self.open_blocks)
        return self.close_blocks()

    CHECKS: ClassVar[dict[type, Any]] = {
        TextStart: _open_block,
        TextDelta: _in_block,
        TextEnd: _end_block,
        ReasoningStart: _open_block,
        ReasoningDelta: _in_block,
        ReasoningEnd: _end_block,
        ToolInputStart: _begin_input,
        ToolInputDelta: _in_input,
        ToolInputAvailable: _end_input,
        ToolInputError: _end_input,
        ToolOutputAvailable: _of_call,
        ToolOutputError: _of_call,
        ToolOutputDenied: _of_call,
        ToolApprovalRequest: _ask_approval,
        ToolApprovalResponse: _of_approval,
        StartStep: _begin_step,
        FinishStep: _before_end,
        Finish: _before_end,
        Abort: _before_end,
        Error: _before_error,
        ResetStep: _before_reset,
    }
    """Further checks by type of part. Each returns the parts to send first, or None to drop the part."""
