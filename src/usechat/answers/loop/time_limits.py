"""Computes until when the driver may wait. Its clock is an argument. Knows no provider."""

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
        timeout: The caller's limits; None when there are none.
        now: Returns the time in seconds.
    """

    __slots__ = ("_begun_at", "_chunk", "_ends", "_now", "_outer", "_provider", "_timeout", "has_content", "stream")

    def __init__(self, timeout: Timeout | None, now: Callable[[], float]) -> None:
        self._now = now
        self._begun_at = now()
        self._timeout = Timeout.resolve(timeout)
        self._chunk = math.inf
        self._provider = ""
        self.stream: object = None
        """The model's stream, once it is open."""
        self.has_content = False
        """Whether the stream has brought content."""
        # The deadline of the answer or of its step, whichever comes first.
        self._outer: tuple[float, Limit] = (self._begun_at + (self._timeout.total or math.inf), "total")
        # The deadline of the current wait.
        self._ends = self._outer

    def begin_call(self, model: Model, call: ModelCall) -> ModelCall:
        """Begin a step. Return its call with the time that is left."""
        self._timeout = timeout = Timeout.resolve(call.timeout, getattr(model, "timeout", None))
        now = self._now()
        total, step = self._begun_at + (timeout.total or math.inf), now + (timeout.step or math.inf)
        self._outer = (total, "total") if total <= step else (step, "step")
        self._ends = min(self._outer, (now + (timeout.first_chunk or math.inf), "first_chunk"))
        self._chunk = timeout.chunk or math.inf
        self.has_content = False
        self._provider = model.provider
        if math.isinf(self._outer[0]):
            return call
        # The model's retries need the time that is left.
        return replace(call, timeout=replace(timeout, step=max(self._outer[0] - now, 0.001)))

    def until(self, stream: object) -> float:
        """Return the deadline of the next wait; infinity for no limit.

        Args:
            stream: The stream that is read; None for a function of the application.
        """
        if stream is None or stream is not self.stream:
            self._ends = self._outer
        elif self.has_content:
            end = self._now() + self._chunk
            self._ends = (end, "chunk") if end < self._outer[0] else self._outer
        return self._ends[0]

    def feed(self, batch: Sequence[ModelPart], stream: object) -> None:
        """Feed a batch of a stream; needless after `has_content`. Metadata alone is not the model's first content."""
        if stream is self.stream and not all(isinstance(part, Custom) for part in batch):
            self.has_content = True

    def error(self) -> AnswerTimeoutError:
        """Return the error for a last wait that took too long."""
        limit = self._ends[1]
        return AnswerTimeoutError(limit, getattr(self._timeout, limit), provider=self._provider)
