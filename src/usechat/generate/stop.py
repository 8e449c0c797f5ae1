"""Stop conditions: after which step the loop asks the model no more (``stop-condition.ts``, 7.0.173)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

import msgspec

from usechat.generate.asks import Call, Script
from usechat.generate.recorder import StepResult

__all__ = ["StepCount", "StopCondition", "has_tool_call", "is_met", "step_count_is"]

StopCondition: TypeAlias = Callable[[Sequence[StepResult]], "bool | Awaitable[bool]"]
"""Gets the steps so far; true ends the loop."""


def step_count_is(count: int) -> StopCondition:
    """End after ``count`` steps."""
    return StepCount(count)


class StepCount(msgspec.Struct, frozen=True, gc=False):
    """A `StopCondition` by which it is known in advance which step can be the last one."""

    count: int

    def __call__(self, steps: Sequence[StepResult]) -> bool:
        """Whether so many steps are over."""
        return len(steps) >= self.count


def has_tool_call(*names: str) -> StopCondition:
    """End after a step that called one of these tools."""

    def was_called(steps: Sequence[StepResult]) -> bool:
        return any(call.tool_name in names for step in steps[-1:] for call in step.tool_calls)

    return was_called


def is_met(conditions: Sequence[StopCondition], steps: Sequence[StepResult]) -> Script[bool]:
    """Return whether one of the conditions holds."""
    for condition in conditions:
        if (yield Call(condition, (steps,))):
            return True
    return False
