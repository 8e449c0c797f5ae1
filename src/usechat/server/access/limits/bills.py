"""Counts answers while they are made, and what they cost, against the limits of their users."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from weakref import finalize

from usechat.answers.answer import FinishEvent
from usechat.answers.loop.results.recorder import StepResult
from usechat.parts import Usage
from usechat.server.access.asking import Asking, asking
from usechat.server.access.limits.quotas import LimitError, Quotas, Slots, holders, too_many_answers
from usechat.server.meter import Meter
from usechat.server.settings import Settings

if TYPE_CHECKING:
    from usechat.server.access.limits.shared_slots import SharedSlots

__all__ = ["Bill", "Costs"]


class Costs:
    """The limits of one server, and its numbers.

    Args:
        settings: The limits.
    """

    def __init__(self, settings: Settings) -> None:
        self.meter = Meter()
        self.slots = Slots(settings.max_answers, settings.answers_each)
        self.quotas = Quotas(settings)
        self.shared: SharedSlots | None = None
        if settings.answers_each and settings.redis_url is not None:
            from usechat.server.access.limits.shared_slots import SharedSlots

            self.shared = SharedSlots(settings.redis_url.get_secret_value(), settings.answers_each)
        self.meter.gauges["answers_running"] = "Answers that are being made", lambda: self.slots.running

    async def admit(self, now: Asking, *, makes_answer: bool) -> None:
        """Count a request, from its head alone.

        Raises:
            LimitError: It is one too many, or there is no room for the answer that it wants.
        """
        with self.noting():
            if makes_answer:
                self.slots.check(now)
                if self.shared is not None and not await self.shared.has_room(holders(now)):
                    raise too_many_answers()
            await self.quotas.admit(now)
            if makes_answer:
                await self.quotas.check_tokens(now)

    async def take_place(self, now: Asking, run_id: str | None = None) -> None:
        """Count the answer to a request where all processes count, before it is made.

        Args:
            now: The request.
            run_id: The run that makes the answer, if it has a log: the answer is counted under this name, so that
                whoever goes on with it after the death of a process does not count it twice.

        Raises:
            LimitError: There are too many.
        """
        if self.shared is not None:
            with self.noting():
                now.place = await self.shared.take(holders(now), run_id, is_let_in=now.goes_on)
                if now.place is None:
                    raise too_many_answers()

    def drop_place(self, now: Asking) -> None:
        """Give the place of a request back whose answer could not be made."""
        place, now.place = now.place, None
        if place is not None and self.shared is not None:
            self.shared.give_back(place)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.quotas.aclose()
        if self.shared is not None:
            await self.shared.aclose()

    @contextmanager
    def noting(self) -> Generator[None]:
        """Count the limits that are hit."""
        try:
            yield
        except LimitError as error:
            self.meter.limits_hit[error.limit] += 1
            raise

    def bill(self) -> Bill:
        """Return the bill of an answer to the request that is being answered."""
        return Bill(self, asking.get())


class Bill:
    """The costs of one answer.

    Args:
        costs: The limits and numbers.
        now: Who asks for it.
    """

    __slots__ = ("close", "costs", "counted", "now")

    def __init__(self, costs: Costs, now: Asking) -> None:
        self.costs = costs
        self.now = now
        self.counted = 0
        self.close: Callable[[], object] | None = None

    def open(self, answer: object) -> None:
        """Take a place for the answer, until it has ended or nobody holds it any more.

        Raises:
            LimitError: There is none.
        """
        with self.costs.noting():
            given = self.costs.slots.take(answer, self.now)
        place, self.now.place = self.now.place, None
        if place is None or self.costs.shared is None:
            self.close = given
            return
        given_to_all = finalize(answer, self.costs.shared.give_back, place)
        given_to_all.atexit = False
        self.close = lambda: (given(), given_to_all())

    def note_step(self, step: StepResult) -> Awaitable[None] | None:
        """Count the tokens of a step. Return what is left to await, if tokens are limited."""
        return self._count(step.usage, step.usage.total or 0)

    def note_end(self, event: FinishEvent) -> Awaitable[None] | None:
        """Count what no step has told, and give the place back. Return as `note_step` does."""
        if self.close is not None:
            self.close()
        left = (event.usage.total or 0) - self.counted
        return self._count(None, left) if left > 0 else None

    def _count(self, usage: Usage | None, total: int) -> Awaitable[None] | None:
        self.counted += total
        tokens = self.costs.meter.tokens
        if usage is None:
            tokens["unfinished"] += total
        else:
            tokens["input"] += usage.input or 0
            tokens["output"] += usage.output or 0
        # No task for the end of each answer is needed.
        return None if self.costs.quotas.tokens is None else self.costs.quotas.spend(self.now, total)
