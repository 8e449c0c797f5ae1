"""Observers of answers, such as telemetry. They are told of answers, steps, model calls and tools, and of no delta.

Their methods wait for nothing and raise nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeAlias

from usechat.models.base import Model, ModelCall
from usechat.parts import ModelFinish

if TYPE_CHECKING:
    from usechat.answers.callbacks import FinishEvent
    from usechat.answers.calls.execute import Execution
    from usechat.answers.loop.results.recorder import StepResult

__all__ = ["UNOBSERVED", "AnswerObserver", "NoteOutput", "new_observer", "observe_answers"]

NoteOutput: TypeAlias = Callable[[Any], None]
"""Called with a tool's output."""


class AnswerObserver:
    """The observer of one answer. This one observes nothing."""

    def begin(self) -> None:
        """Note that the answer begins. Called in the task that makes it."""

    def begin_call(self, number: int, model: Model, call: ModelCall) -> ModelCall:
        """Note a model call and return the call to make.

        Args:
            number: The number of its step. A step that is tried again has several calls.
            model: The model.
            call: The call.
        """
        return call

    def end_call(self, finish: ModelFinish | None, error: BaseException | None) -> None:
        """Note the end of the model call: what the model said of it, or the error that broke its stream."""

    def watch_tool(self, execution: Execution) -> AbstractContextManager[NoteOutput]:
        """Return what to enter while a tool runs, in its own task. Its value is called with the output."""
        return nullcontext(let_be)

    def end_step(self, result: StepResult) -> None:
        """Note the end of the step."""

    def end(self, final: FinishEvent) -> None:
        """Note the end of the answer, whatever has not ended in it. Called in the task that makes it."""


def let_be(output: Any) -> None:
    """Do nothing."""


UNOBSERVED = AnswerObserver()

MAKERS: list[Callable[[], AnswerObserver]] = []


def observe_answers(make: Callable[[], AnswerObserver] | None) -> None:
    """Have each later answer of this process observed by what ``make`` returns for it; None: by nothing."""
    MAKERS[:] = [] if make is None else [make]


def new_observer() -> AnswerObserver:
    """Return the observer of an answer that begins. Called where the answer was asked for."""
    return MAKERS[0]() if MAKERS else UNOBSERVED
