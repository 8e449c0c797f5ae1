"""What the loop is asked for: one answer, and what may change from step to step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from usechat.answers.calls.read import RepairToolCall
from usechat.answers.loop.recorder import StepResult
from usechat.answers.loop.steering import SteeringRun
from usechat.answers.stop import StopCondition
from usechat.messages.dicts.types import ModelMessageDict
from usechat.messages.model import ModelMessage
from usechat.models.base import Model, ModelCall, ToolChoice
from usechat.tools.tool import Tool
from usechat.tools.used_approvals import UsedApprovals

__all__ = ["LoopRequest", "PrepareStep", "StepSettings"]


class StepSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What `prepare_step` may change; None leaves a setting as it is."""

    model: Model | None = None
    """For this step."""
    system: str | None = None
    """From this step on."""
    messages: Sequence[ModelMessage | ModelMessageDict] | None = None
    """From this step on: what later steps add comes after these."""
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
"""Gets the step's number, the steps before it and the messages; called before each model call."""


class LoopRequest(msgspec.Struct, kw_only=True):
    """One answer to be made."""

    model: Model
    call: ModelCall
    """The first call; later ones differ in their messages only."""
    tools: Mapping[str, Tool]
    stop_when: Sequence[StopCondition]
    active_tools: Sequence[str] | None = None
    prepare_step: PrepareStep | None = None
    repair_tool_call: RepairToolCall | None = None
    stream_retries: int = 0
    """How often a step whose stream broke in the middle is tried again, towards clients that can forget it."""
    approval_secret: str | None = None
    used_approvals: UsedApprovals | None = None
    steering: SteeringRun = msgspec.field(default_factory=SteeringRun)
    context: Any = None
    message_id: str | None = None
    converts_outputs: bool = False
    """Whether results in the first call's messages are as clients have them, for `Tool.to_model_output` to convert."""
    on_error: Callable[[BaseException], str | None] = lambda error: None
    on_step_finish: Callable[[StepResult], Awaitable[None]] | None = None
