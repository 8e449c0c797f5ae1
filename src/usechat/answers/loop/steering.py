"""Steering: user messages for a running answer, delivered between two of its steps.

Upstream: ``createSteering`` (``ai/src/generate-text/steering.ts``, 7.0.173). Knows no model, no loop and no client.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Literal, TypeAlias

import msgspec

from usechat.errors import ConfigurationError, RequestError
from usechat.ids import generate_id
from usechat.messages.model import FileContent, ModelMessage, TextContent, UserContent, UserMessage
from usechat.parts import SteeringMessage

__all__ = ["Delivery", "Steering", "SteeringOutcome", "SteeringRun", "Undelivered"]

Undelivered: TypeAlias = Literal[
    "finished", "removed-by-prepare-step", "stop-condition", "waiting-for-tool-results", "aborted", "error"
]
"""Why a message did not reach the model."""


class SteeringOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a message."""

    id: str
    message: UserMessage
    step_number: int | None = None
    """The number of the step, from 0, whose model call got the message."""
    reason: Undelivered | None = None
    """The reason why no model call got the message. It can be sent as a new message instead."""

    @property
    def is_delivered(self) -> bool:
        """Whether a model call got the message."""
        return self.reason is None


class Delivery:
    """A message on its way. Await the delivery in a task, or call `result` in a thread. It never fails.

    Args:
        id: The message's id.
        message: The user's message.
    """

    def __init__(self, id: str, message: UserMessage) -> None:
        self.id = id
        self.message = message
        self._future: Future[SteeringOutcome] = Future()
        # Cancelling one waiting task must not cancel the outcome for the others.
        self._future.set_running_or_notify_cancel()

    def __await__(self) -> Generator[Any, None, SteeringOutcome]:
        return asyncio.wrap_future(self._future).__await__()

    def result(self, timeout: float | None = None) -> SteeringOutcome:
        """Wait for the outcome and return it. Do not call this on the event loop: it blocks.

        Args:
            timeout: The limit in seconds; None for no limit.

        Raises:
            TimeoutError: The outcome is not known in time.
        """
        return self._future.result(timeout)

    def settle(self, *, step_number: int | None = None, reason: Undelivered | None = None) -> None:
        """Set the outcome. Only the first call counts."""
        outcome = SteeringOutcome(id=self.id, message=self.message, step_number=step_number, reason=reason)
        self._future.set_result(outcome)

    def part(self) -> SteeringMessage:
        """Return the part for the client."""
        return SteeringMessage(id=self.id, parts=tuple(map(ui_part, self.message.content)))

    def is_among(self, messages: Sequence[ModelMessage]) -> bool:
        """Return whether the messages hold this one, or a copy of it that `prepare_step` made."""
        return any(isinstance(one, UserMessage) and one.content == self.message.content for one in messages)


class Steering:
    """Entrance for user messages into one running answer: ``stream_text(…, steering=steering)``.

    Both methods may be called from any task and any thread of the process, also before the answer begins. A message
    keeps the answer going for another step unless a stop condition holds; without ``stop_when`` the first step is the
    last.
    """

    def __init__(self) -> None:
        self.run = SteeringRun()

    def steer(self, message: str | UserMessage, *, id: str | None = None) -> Delivery:
        """Deliver a message with the next step, after the current step and its tools.

        Args:
            message: The user's message, or its text.
            id: The message's id. A known id is not sent again: its delivery is returned.

        Raises:
            ConfigurationError: The value is no user message.
            RequestError: The message is blank. A model would refuse it during the answer.
        """
        return self.run.add(message, id, waits=False)

    def queue(self, message: str | UserMessage, *, id: str | None = None) -> Delivery:
        """Deliver a message after the model's answer. Several are delivered one after the other.

        Arguments and errors are those of `steer`.
        """
        return self.run.add(message, id, waits=True)


class SteeringRun:
    """The loop's side of a `Steering`."""

    __slots__ = (
        "deliveries",
        "is_ended",
        "is_started",
        "lock",
        "pending",
        "queued",
    )

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.is_started = False
        self.is_ended = False
        self.deliveries: dict[str, Delivery] = {}
        self.pending: list[Delivery] = []
        """Messages for the next step."""
        self.queued: list[Delivery] = []
        """Messages for later steps. Each of these follows an answer."""

    def add(self, message: str | UserMessage, id: str | None, *, waits: bool) -> Delivery:
        """Add a message and return its delivery."""
        if isinstance(message, str):
            message = UserMessage((TextContent(message),))
        elif not isinstance(message, UserMessage):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("steering takes a text or a UserMessage")
        if all(isinstance(part, TextContent) and not part.text.strip() for part in message.content):
            raise RequestError("says nothing to the model", path="message")
        id = id or generate_id("steer", 24)
        with self.lock:
            if (known := self.deliveries.get(id)) is not None:
                return known
            delivery = self.deliveries[id] = Delivery(id, message)
            if not self.is_ended:
                (self.queued if waits else self.pending).append(delivery)
                return delivery
        delivery.settle(reason="finished")
        return delivery

    def start(self) -> SteeringRun:
        """Attach the steering to an answer.

        Raises:
            ConfigurationError: It is attached to an answer already.
        """
        with self.lock:
            if self.is_started:
                raise ConfigurationError("a Steering is for one answer: make a new one for each")
            self.is_started = True
        return self

    def has_next(self, *, is_cut_off: bool) -> bool:
        """Return whether a message waits for the next step after the model's answer.

        Args:
            is_cut_off: Whether the answer is incomplete. The queue then waits longer.
        """
        with self.lock:
            if not self.pending and self.queued and not is_cut_off:
                self.pending.append(self.queued.pop(0))
            return bool(self.pending)

    def take(self) -> list[Delivery]:
        """Remove and return the messages for the step that begins. `deliver` settles them."""
        with self.lock:
            return list(self.pending)

    def deliver(self, taken: Sequence[Delivery], step_number: int, sent: Sequence[ModelMessage]) -> list[Delivery]:
        """Settle the messages that `take` returned.

        Args:
            taken: The deliveries that `take` returned.
            step_number: The step's number, from 0.
            sent: The messages that the model gets.

        Returns:
            The deliveries whose message is among ``sent``.
        """
        with self.lock:
            if self.is_ended:
                return []
            self.pending = [delivery for delivery in self.pending if delivery not in taken]
        delivered = [delivery for delivery in taken if delivery.is_among(sent)]
        for delivery in taken:
            if delivery in delivered:
                delivery.settle(step_number=step_number)
            else:
                delivery.settle(reason="removed-by-prepare-step")
        return delivered

    def end(self, reason: Undelivered) -> None:
        """Settle all waiting and all later messages: no step follows. Only the first call counts."""
        with self.lock:
            if self.is_ended:
                return
            self.is_ended = True
            left = [*self.pending, *self.queued]
            self.pending.clear()
            self.queued.clear()
        for delivery in left:
            delivery.settle(reason=reason)


def ui_part(content: UserContent) -> Mapping[str, Any]:
    """Return the content as a part of a UI message (``convertUserMessageToUIParts`` in ``to-ui-message-chunk.ts``)."""
    metadata = {"providerMetadata": content.provider_options} if content.provider_options is not None else {}
    if isinstance(content, TextContent):
        return {"type": "text", "text": content.text, **metadata}
    named = {"filename": content.filename} if content.filename is not None else {}
    return {"type": "file", "mediaType": content.media_type, **named, **metadata, **where(content)}


def where(file: FileContent) -> Mapping[str, Any]:
    if file.provider_reference is not None:
        return {"url": "", "providerReference": file.provider_reference}
    return {"url": file.url if file.url is not None else f"data:{file.media_type};base64,{file.data}"}
