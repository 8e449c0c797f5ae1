"""Stop conditions: after which step the loop asks the model no more (``stop-condition.ts``, 7.0.173)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from usechat.answers.loop.asks import Call, Script
from usechat.answers.loop.results.recorder import StepResult
from usechat.checks import named
from usechat.errors import ConfigurationError

__all__ = [
    "StepCount",
    "StopCondition",
    "has_tool_call",
    "is_met",
    "is_paused",
    "read_conditions",
    "step_count_is",
    "without_pauses",
]

StopCondition: TypeAlias = Callable[[Sequence[StepResult]], "bool | Awaitable[bool]"]
"""Gets the steps so far; true ends the loop."""


def step_count_is(count: int) -> StopCondition:
    """Return a condition that ends the answer after ``count`` steps.

    Raises:
        ConfigurationError: ``count`` is no whole number from 1.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
        given = count if type(count) in (int, float) else named(count)
        raise ConfigurationError(f"step_count_is takes a whole number from 1, not {given}")
    return StepCount(count)


class StepCount(msgspec.Struct, frozen=True, gc=False):
    """A `StopCondition` by which it is known in advance which step can be the last one."""

    count: int

    def __call__(self, steps: Sequence[StepResult]) -> bool:
        """Return whether so many steps are over."""
        return len(steps) >= self.count


def has_tool_call(*names: str) -> StopCondition:
    """Return a condition that ends the answer after a step that called one of these tools."""

    def was_called(steps: Sequence[StepResult]) -> bool:
        return any(call.tool_name in names for step in steps[-1:] for call in step.tool_calls)

    return was_called


def read_conditions(given: StopCondition | Sequence[StopCondition] | None) -> list[StopCondition]:
    """Return stop conditions as a list; without any, the answer ends after its first step.

    Raises:
        ConfigurationError: One is no condition, or the list is empty, with which nothing would end the loop.
    """
    if given is None:
        return [step_count_is(1)]
    several: Any = given
    conditions: list[Any] = [*several] if type(several) in (list, tuple) else [several]
    if not conditions:
        raise ConfigurationError(
            "stop_when is an empty list: give a condition such as step_count_is(5), or leave it out"
        )
    for condition in conditions:
        if condition is step_count_is or condition is has_tool_call:
            raise ConfigurationError(f"stop_when must be {condition.__name__}(…), with the parentheses")
        if not callable(condition):
            raise ConfigurationError(
                f"stop_when must be a condition such as step_count_is(5), or a list of them, not {named(condition)}"
            )
    return conditions


def is_met(conditions: Sequence[StopCondition], steps: Sequence[StepResult]) -> Script[bool]:
    """Return whether one of the conditions holds."""
    for condition in conditions:
        if (yield Call(condition, (steps,))):
            return True
    return False


def is_paused(step: StepResult) -> bool:
    """Return whether the provider paused its model in the step, and expects a request to go on."""
    return step.finish_reason.raw == "pause_turn"


def without_pauses(steps: Sequence[StepResult], limit: int) -> list[StepResult]:
    """Return the steps without the first ``limit`` ones that ended in a pause."""
    pauses = {step.step_number for step in [step for step in steps if is_paused(step)][:limit]}
    return [step for step in steps if step.step_number not in pauses]
