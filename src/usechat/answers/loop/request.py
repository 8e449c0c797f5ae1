"""The loop's request: one answer, and the settings that may change from step to step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from usechat.answers.calls.events import StepStartEvent
from usechat.answers.calls.execute import TellOfTool
from usechat.answers.calls.read import RepairToolCall
from usechat.answers.loop.prepare_call import PrepareCall
from usechat.answers.loop.results.recorder import StepResult
from usechat.answers.loop.steering import SteeringRun
from usechat.answers.observing import UNOBSERVED, AnswerObserver
from usechat.answers.stop import StopCondition
from usechat.messages.dicts.types import ModelMessageDict
from usechat.messages.model import ModelMessage
from usechat.models.base import Model, ModelCall, ToolChoice
from usechat.tools.tool import Tool, ToolApproval
from usechat.tools.used_approvals import UsedApprovals

__all__ = ["LoopRequest", "PrepareStep", "StepSettings"]


class StepSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings that `prepare_step` may change. None keeps a setting."""

    model: Model | None = None
    """For this step."""
    system: str | None = None
    """The system prompt from this step on."""
    messages: Sequence[ModelMessage | ModelMessageDict] | None = None
    """Messages from this step on. Later steps add theirs after these."""
    active_tools: Sequence[str] | None = None
    """For this step."""
    tool_choice: ToolChoice | None = None
    """For this step."""
    provider_options: Mapping[str, Mapping[str, Any]] | None = None
    """For this step."""


PrepareStep: TypeAlias = Callable[
    [int, Sequence[StepResult], Sequence[ModelMessage]],
    "StepSettings | Awaitable[StepSettings | None] | None",
]
"""Called before each model call with the step's number, the earlier steps and the messages."""


class LoopRequest(msgspec.Struct, kw_only=True):
    """Request for one answer."""

    model: Model
    call: ModelCall
    """The first model call. Later calls differ in their messages."""
    tools: Mapping[str, Tool]
    stop_when: Sequence[StopCondition]
    active_tools: Sequence[str] | None = None
    prepare_call: PrepareCall | None = None
    prepare_step: PrepareStep | None = None
    repair_tool_call: RepairToolCall | None = None
    continue_paused: bool = True
    """Whether the model goes on in another step when the provider has paused it (``pause_turn``)."""
    free_pauses: int = 0
    """The maximum number of paused steps that do not count for the stop conditions."""
    stream_retries: int = 0
    """How often a step is tried again whose stream broke, for clients that can forget the first try."""
    approval_secret: str | None = None
    used_approvals: UsedApprovals | None = None
    tool_approval: ToolApproval | None = None
    tool_call_concurrency: int | None = None
    steering: SteeringRun = msgspec.field(default_factory=SteeringRun)
    context: Any = None
    observer: AnswerObserver = UNOBSERVED
    message_id: str | None = None
    chat_id: str | None = None
    """The chat, for log lines."""
    lost_calls: frozenset[str] = frozenset()
    """The ids of calls in the messages that a dead process had begun."""
    converts_outputs: bool = False
    """Whether results in the first call's messages are in the client's form and need `Tool.to_model_output`."""
    on_error: Callable[[BaseException], str | None] = lambda error: None
    on_step_start: Callable[[StepStartEvent], Awaitable[None]] | None = None
    on_step_finish: Callable[[StepResult], Awaitable[None]] | None = None
    tell_of_tool: TellOfTool | None = None
    """Calls ``on_tool_start`` and ``on_tool_end``; None without either."""
