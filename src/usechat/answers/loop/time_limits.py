"""Until when each wait of an answer may last. It is told the time; it waits for nothing and knows no provider."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

from msgspec.structs import replace

from usechat.errors import AnswerTimeoutError
from usechat.models.base import Model, ModelCall, Timeout
from usechat.parts import Custom, ModelPart

__all__ = ["TimeLimits"]

Limit: TypeAlias = Literal["total", "step", "first_chunk", "chunk"]


class TimeLimits:
    """The limits of one answer, which begins now.

    Args:
        timeout: The caller's; None where there is none.
        now: Returns the time in seconds.
    """

    __slots__ = ("_begun_at", "_ends", "_has_content", "_now", "_outer", "_provider", "_timeout", "stream")

    def __init__(self, timeout: Timeout | None, now: Callable[[], float]) -> None:
        self._now = now
        self._begun_at = now()
        self._timeout = Timeout.resolve(timeout)
        self._provider = ""
        self.stream: object = None
        """The model's, once it is open."""
        self._has_content = False
        # The end of the answer or of its step, whichever comes first.
        self._outer: tuple[float, Limit] = (self._begun_at + (self._timeout.total or math.inf), "total")
        # That of what is waited for now.
        self._ends = self._outer

    def begin_call(self, model: Model, call: ModelCall) -> ModelCall:
        """Begin a step, and return its call, which says how much time is left."""
        self._timeout = timeout = Timeout.resolve(call.timeout, getattr(model, "timeout", None))
        now = self._now()
        total, step = self._begun_at + (timeout.total or math.inf), now + (timeout.step or math.inf)
        self._outer = (total, "total") if total <= step else (step, "step")
        self._ends = min(self._outer, (now + (timeout.first_chunk or math.inf), "first_chunk"))
        self._has_content = False
        self._provider = model.provider
        if math.isinf(self._outer[0]):
            return call
        # The model sees when it is not worth trying again.
        return replace(call, timeout=replace(timeout, step=max(self._outer[0] - now, 0.001)))

    def until(self, stream: object) -> float | None:
        """Return until when the next thing may be waited for; None without end.

        Args:
            stream: The stream that is read; None where it is a function of the application.
        """
        if stream is None or stream is not self.stream:
            self._ends = self._outer
        elif self._has_content:
            self._ends = min(self._outer, (self._now() + (self._timeout.chunk or math.inf), "chunk"))
        return None if math.isinf(self._ends[0]) else self._ends[0]

    def feed(self, batch: Sequence[ModelPart], stream: object) -> None:
        """Take note of what a stream brought. Of the model's, metadata alone is nothing to show."""
        if not self._has_content and stream is self.stream:
            self._has_content = not all(isinstance(part, Custom) for part in batch)

    def error(self) -> AnswerTimeoutError:
        """Return what to raise when the last wait took too long."""
        limit = self._ends[1]
        return AnswerTimeoutError(limit, getattr(self._timeout, limit), provider=self._provider)
