"""Steering: user messages for an answer that is being made, taken up between two of its steps.

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
    """What became of a message."""

    id: str
    message: UserMessage
    step_number: int | None = None
    """The step, from 0, whose model call got it."""
    reason: Undelivered | None = None
    """Why no model call got it: it can be sent as a new message instead."""

    @property
    def is_delivered(self) -> bool:
        """Whether a model call got it."""
        return self.reason is None


class Delivery:
    """A message on its way: await it in a task, or ask for its `result` in a thread. It never fails.

    Args:
        id: The message's.
        message: What the user says.
    """

    def __init__(self, id: str, message: UserMessage) -> None:
        self.id = id
        self.message = message
        self._future: Future[SteeringOutcome] = Future()
        # A task that is cancelled while it waits leaves the outcome to all others.
        self._future.set_running_or_notify_cancel()

    def __await__(self) -> Generator[Any, None, SteeringOutcome]:
        return asyncio.wrap_future(self._future).__await__()

    def result(self, timeout: float | None = None) -> SteeringOutcome:
        """Wait for the outcome; not on the event loop, which would stand still.

        Args:
            timeout: Seconds.

        Raises:
            TimeoutError: It is not known in time.
        """
        return self._future.result(timeout)

    def settle(self, *, step_number: int | None = None, reason: Undelivered | None = None) -> None:
        """Tell the outcome; once."""
        outcome = SteeringOutcome(id=self.id, message=self.message, step_number=step_number, reason=reason)
        self._future.set_result(outcome)

    def part(self) -> SteeringMessage:
        """Return what the client is shown."""
        return SteeringMessage(id=self.id, parts=tuple(map(ui_part, self.message.content)))

    def is_among(self, messages: Sequence[ModelMessage]) -> bool:
        """Return whether the message is one of these, or one with the same content, as `prepare_step` may have made it."""
        return any(isinstance(one, UserMessage) and one.content == self.message.content for one in messages)


class Steering:
    """Sends user messages into one running answer: ``stream_text(…, steering=steering)``.

    Both methods may be called from any task and any thread of the process, also before the answer begins. A message
    keeps the answer going for another step unless a stop condition holds; without ``stop_when`` the first step is the
    last.
    """

    def __init__(self) -> None:
        self.run = SteeringRun()

    def steer(self, message: str | UserMessage, *, id: str | None = None) -> Delivery:
        """Have a message taken up at the next step, once the current one and its tools are done.

        Args:
            message: The user's message, or its text.
            id: The message's. One that was sent before is not sent again: its delivery is returned.

        Raises:
            ConfigurationError: It is no user message.
            RequestError: It is blank, which a model would refuse in the middle of the answer.
        """
        return self.run.add(message, id, waits=False)

    def queue(self, message: str | UserMessage, *, id: str | None = None) -> Delivery:
        """Have a message taken up once the model has given its answer. Several are taken up one after the other.

        Takes and raises what `steer` does.
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
        """For the next step."""
        self.queued: list[Delivery] = []
        """For later steps, each of which follows an answer."""

    def add(self, message: str | UserMessage, id: str | None, *, waits: bool) -> Delivery:
        """Take a message in."""
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
        """Give it to an answer.

        Raises:
            ConfigurationError: It has been given to one.
        """
        with self.lock:
            if self.is_started:
                raise ConfigurationError("a Steering is for one answer: make a new one for each")
            self.is_started = True
        return self

    def has_next(self, *, is_cut_off: bool) -> bool:
        """Return whether a message waits for the next step, now that the model has given its answer.

        Args:
            is_cut_off: Whether the answer is not whole; then the queue waits on.
        """
        with self.lock:
            if not self.pending and self.queued and not is_cut_off:
                self.pending.append(self.queued.pop(0))
            return bool(self.pending)

    def take(self) -> list[Delivery]:
        """Return what waits for the step that begins; to be settled by `deliver`."""
        with self.lock:
            return list(self.pending)

    def deliver(self, taken: Sequence[Delivery], step_number: int, sent: Sequence[ModelMessage]) -> list[Delivery]:
        """Settle what was taken.

        Args:
            taken: Of `take`.
            step_number: The step's.
            sent: What the model is sent.

        Returns:
            Those that are among ``sent``.
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
        """Settle all that waits, and whatever comes later: no step follows. Only the first call counts."""
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
