"""The arguments of ``on_step_start``, ``on_tool_start`` and ``on_tool_end``.

Upstream: ``generate-text-events.ts`` and ``tool-execution-events.ts`` (7.0.173).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from usechat.messages.model import ModelMessage

__all__ = ["StepStartEvent", "ToolEndEvent", "ToolStartEvent"]


class StepStartEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A step is about to ask its model: the argument of ``on_step_start``."""

    step_number: int
    """From 0."""
    provider: str
    model_id: str
    system: str | None
    messages: Sequence[ModelMessage]
    """The messages that the model gets."""
    tool_names: Sequence[str]
    """The tools that the model is told of."""


class ToolStartEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A tool is about to run here: the argument of ``on_tool_start``. It begins when the callback has returned."""

    tool_call_id: str
    tool_name: str
    input: Any
    """The checked input, in the form that the tool's function takes: keyword arguments as a dict, or one value."""


class ToolEndEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that ran here has ended: the argument of ``on_tool_end``."""

    tool_call_id: str
    tool_name: str
    input: Any
    """As for ``on_tool_start``."""
    output: Any = None
    """The result as JSON; None when it failed."""
    error: BaseException | None = None
    """What the tool raised; a `ToolExecutionError` when it took too long or the answer was stopped meanwhile."""
    seconds: float
    """How long it ran, in seconds."""
