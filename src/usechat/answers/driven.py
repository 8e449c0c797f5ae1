"""The making of an answer: the driver, its output, and the end, which is told exactly once.

The driver is one task. It reads the answer's turn, shapes the parts and writes them to an output. Cancelling the driver
ends the answer early. Knows no HTTP, no encoder and no reader.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from usechat.answers.callbacks import Callbacks, FinishEvent, MessageMetadataCallback, Outcome
from usechat.answers.loop.driver import CLOSE_SECONDS, close, read_turn
from usechat.answers.loop.outputs import Output
from usechat.answers.loop.policy import LoopPolicy
from usechat.answers.loop.turn import Turn
from usechat.answers.masked_errors import warn_of_masked_errors
from usechat.answers.metadata import add_metadata
from usechat.answers.observing import UNOBSERVED, new_observer
from usechat.answers.on_loop import handed_over
from usechat.answers.smooth import Transform
from usechat.answers.writer.valid_parts import ValidBatches
from usechat.errors import ConfigurationError
from usechat.failures import shown_text
from usechat.guard import Contained, contained, is_being_cancelled, original_error
from usechat.ids import generate_id
from usechat.messages.ui import UIMessage
from usechat.parts import Abort, Error, Part
from usechat.protocol.dialects import Dialect
from usechat.protocol.options import EncoderOptions, WireFormat
from usechat.protocol.reducer import Reducer
from usechat.protocol.shaping import NEWEST_CLIENT, ChunkShaper, Shaped

__all__ = ["CALLBACK_SECONDS", "Binding", "DrivenAnswer"]

logger = logging.getLogger(__name__)

CALLBACK_SECONDS = 30.0
"""Seconds that the answer's end waits for each callback. A slower callback goes on by itself."""
DRIVERS: set[asyncio.Task[None]] = set()
"""Running drivers and callbacks of an end. The event loop itself keeps no strong reference to a task."""


class Binding(NamedTuple):
    """The client that reads an answer; see `Answer.bind`."""

    dialect: Dialect
    options: EncoderOptions
    message: Mapping[str, Any] | None
    message_id: str | None
    wire_format: WireFormat | None


class DrivenAnswer(ABC):
    """The state of an answer and its driver. `usechat.answers.answer.Answer` adds the ways to read it."""

    settles_lost_calls = False
    """Whether it runs or ends the calls of `lost_calls`."""
    shaper: ChunkShaper
    """Shapes the parts that are sent and saved. Set when the answer is bound to its client, or begins."""
    reducer: Reducer
    """Builds the message. Set with the shaper."""

    def __init__(
        self,
        callbacks: Callbacks,
        message_metadata: MessageMetadataCallback | None = None,
        transform: Transform | None = None,
    ) -> None:
        self.callbacks = callbacks
        self.transform = transform
        self.message_metadata = message_metadata
        self.keeps_tool_errors = False
        """Whether the model's texts of tool errors are saved with the message."""
        self.keeps_messages = callbacks.on_finish is not None
        """Whether the request's messages are kept for ``on_finish``: a long chat takes memory until the end."""
        self.request_messages: Sequence[UIMessage | Mapping[str, Any]] = ()
        self.policy = LoopPolicy()
        self.message_id: str | None = None
        self.chat_id: str | None = None
        """The chat of the request, for log lines."""
        self.binding: Binding | None = None
        """The arguments of `bind`, for answers that are merged into this one."""
        self.is_bound = False
        self.is_continuation = False
        self.aborting = asyncio.Event()
        """Set when nothing more is made."""
        self.abort_reason: str | None = None
        self.failure: BaseException | None = None
        """The error that kept the answer from being made or sent. The turn reports a model's failure."""
        self.done = asyncio.Event()
        """Set when the outcome is known."""
        self.final: FinishEvent | None = None
        self.unbegun: Mapping[str, str] = {}
        """The model's words for calls that the end kept from beginning, by call id."""
        self.lost_calls: frozenset[str] = frozenset()
        """The ids of calls in its messages that a dead process had begun."""
        self.unread: Sequence[Part] = ()
        """Parts that an application that iterates over the answer has not read, because it stopped."""
        self.is_started = False
        """Whether the answer has begun. It can begin once."""
        self.observer = UNOBSERVED
        self.turn: Turn | None = None
        self.task: asyncio.Task[Any] | None = None
        """The driver, while it runs."""
        self.is_driving = False
        """Whether the driver has taken its first step, and is not at the end yet."""
        self.is_telling = False
        """Whether the driver waits for ``on_part``."""
        self.is_cancelled = False
        """Whether `abort` has cancelled the driver."""

    @abstractmethod
    def make_turn(self) -> Turn:
        """Return the turn that makes this answer; called once, when the answer begins."""

    def prepare(self) -> None:  # noqa: B027 - most answers have nothing to check
        """Check what can be checked before anything is sent.

        Raises:
            RequestError: The request cannot be answered.
        """

    def keep_messages(self, messages: Sequence[UIMessage | Mapping[str, Any]]) -> None:
        """Keep the UI messages that the answer is the response to, for ``on_finish``. The first ones given count."""
        if self.keeps_messages and not self.request_messages:
            self.request_messages = messages

    def abort(self, reason: str | None = None) -> None:
        """Stop the answer: close the provider's connection and send ``abort``. Any thread may call it, at any time."""
        if handed_over(self.task, self.abort, reason):
            return
        if self.aborting.is_set():
            return
        self.abort_reason = reason
        self.aborting.set()
        if self.is_telling:
            # The callback may have called this. The driver stops by itself when the callback returns.
            asyncio.get_running_loop().call_later(CALLBACK_SECONDS, self._interrupt)
        else:
            self._cancel()

    def _interrupt(self) -> None:
        if self.is_telling:
            logger.warning("on_part has not returned in %g seconds: the answer ends without it", CALLBACK_SECONDS)
            self._cancel()

    def _cancel(self) -> None:
        # A task that is cancelled before its first step would tell no end. It stops by itself.
        if self.is_driving and self.task is not None:
            self.is_cancelled = self.task.cancel()

    def _check_new(self) -> None:
        if self.is_started:
            raise ConfigurationError("an answer can be read once; use on_part to see its parts beside a response")

    def start(self, output: Output) -> asyncio.Task[None]:
        """Begin the answer in a task of its own; see `drive`."""
        task = asyncio.create_task(self.drive(output))
        DRIVERS.add(task)
        task.add_done_callback(DRIVERS.discard)
        self.task = task
        return task

    def drive(self, output: Output) -> Coroutine[Any, Any, None]:
        """Begin the answer. Return the driver: the coroutine that makes it to its end.

        However the answer ends, the callbacks are called and ``output`` gets a legal end before the coroutine returns.

        Args:
            output: Takes the answer's parts and chunks.

        Raises:
            ConfigurationError: The answer has begun already.
            RequestError: The request cannot be answered.
        """
        self._begin()
        return self._drive(output)

    def _begin(self) -> None:
        self._check_new()
        self.prepare()
        self.is_started = True
        self.observer = new_observer()
        if not self.is_bound:
            self.shaper = ChunkShaper(NEWEST_CLIENT, EncoderOptions())
            self.reducer = Reducer(generate_id("msg", 16), shaper=self.shaper)

    async def _drive(self, output: Output) -> None:
        self.task = task = current_task()
        cancellations = task.cancelling()
        self.is_driving = True
        self.observer.begin()
        try:
            output.begin()
            if not self.aborting.is_set():
                await self._make(output)
        except BaseException as error:  # noqa: BLE001 - the client gets a legal end, whatever fails
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                self.aborting.set()
            else:
                self.failure = original_error(contained(error, task))
        self.is_driving = False
        is_aborted = self.aborting.is_set() and self.failure is None
        self.aborting.set()
        if self.is_cancelled:
            with suppress(asyncio.CancelledError):
                # Code that runs in this task may have called `abort`: deliver the cancellation now.
                await asyncio.sleep(0)
            task.uncancel()
        await self._end(output, is_aborted=is_aborted)
        self.task = None
        if task.cancelling() > cancellations:
            raise asyncio.CancelledError

    async def _make(self, output: Output) -> None:
        """Read the turn to its end. Shape its parts and write them to the output."""
        with Contained():
            self.turn = self.make_turn()
        made = read_turn(self.turn)
        streams: list[AsyncIterator[list[Part]]] = [made]
        try:
            if self.transform is not None:
                with Contained():
                    streams.insert(0, ValidBatches(self.transform(made), "a transform"))
            async for batch in streams[0]:
                shown = batch if self.message_metadata is None else add_metadata(batch, self.message_metadata)
                shaped = self.shaper.feed_all(shown)
                self.reducer.apply_all(shaped)
                # No await since the shaping: whatever is saved is also sent.
                output.write(shown, shaped)
                if self.callbacks.on_part is not None:
                    await self._tell_parts(shown)
                if output.is_full:
                    await output.room()
                if self.aborting.is_set():
                    break
        finally:
            for stream in streams:
                # Its own inner stream is closed within half of this.
                await close(stream, 2 * CLOSE_SECONDS)

    async def _tell_parts(self, parts: list[Part]) -> None:
        self.is_telling = True
        try:
            for part in parts:
                await self.callbacks.call("on_part", part)
        finally:
            self.is_telling = False

    async def _end(self, output: Output, *, is_aborted: bool) -> None:
        """Call the callbacks of the end and give the output a legal end."""
        self.note_end(is_aborted=is_aborted)
        outcome = self._outcome()
        last = self._last_parts(is_aborted=is_aborted)
        if self.turn is not None:
            last = [*self.turn.late_parts(), *last]
            self.unbegun = self.turn.unbegun
        message, shaped = self._close_message(last)
        values = {name: getattr(outcome, name) for name in Outcome.__struct_fields__}
        values["error"] = outcome.error or self.failure
        parsed, output_error = None, values["error"]
        if output_error is None:
            parsed, output_error = self.read_output(outcome)
        self.final = final = FinishEvent(
            parsed=parsed,
            output_error=output_error,
            ui_message=message,
            tool_errors={**self.shaper.masked_errors, **self.unbegun},
            is_aborted=is_aborted,
            abort_reason=self.abort_reason if is_aborted else None,
            is_continuation=self.is_continuation,
            request_messages=self.request_messages,
            **values,
        )
        self.observer.end(final)
        if self.shaper.masked_errors and not self.keeps_tool_errors:
            warn_of_masked_errors(self.shaper.masked_errors, message)
        # Most objects of the answer refer back to it. Break the cycles, so that no garbage collector is needed.
        self.turn = None
        self.done.set()
        try:
            if is_aborted:
                await self._tell("on_abort", final.steps)
        finally:
            try:
                await self._tell("on_finish", final)
            finally:
                output.end(last, shaped, self.failure)

    def note_end(self, *, is_aborted: bool) -> None:  # noqa: B027 - most answers have nothing to do
        """Do what a subclass has to do at the end, before the callbacks are called."""

    def read_output(self, outcome: Outcome) -> tuple[Any, BaseException | None]:
        """Return what the answer's text says, and the reason if it says nothing. Never raises."""
        return outcome.text, None

    def _last_parts(self, *, is_aborted: bool) -> list[Part]:
        if is_aborted:
            return [Abort(self.abort_reason)]
        return [] if self.failure is None else [self.error_part(self.failure)]

    def error_part(self, error: BaseException) -> Error:
        """Return the error part for an error that kept the answer from being made or sent."""
        return Error(shown_text(error, self.callbacks.error_text(error)), error)

    async def _tell(self, name: str, value: Any) -> None:
        """Call a callback and wait for it, for a while: readers wait for the end of the answer until then."""
        rest = self.callbacks.begin(name, value)
        if rest is None:
            return
        telling = asyncio.create_task(rest)
        DRIVERS.add(telling)
        telling.add_done_callback(DRIVERS.discard)
        _, late = await asyncio.wait({telling}, timeout=CALLBACK_SECONDS)
        if late:
            logger.warning("%s has not returned in %g seconds: the answer ends without it", name, CALLBACK_SECONDS)

    def progress(self) -> Outcome:
        """Return the outcome as of now; after the end, the final one."""
        return self._outcome() if self.final is None else self.final.outcome()

    def _outcome(self) -> Outcome:
        """Return the turn's outcome; an empty one when the turn raises, so that the end can be told."""
        try:
            with Contained():
                return Outcome() if self.turn is None else self.turn.outcome()
        except Exception as error:
            logger.exception("the answer's turn does not say how it ended")
            self.failure = self.failure or original_error(error)
            return Outcome()

    def _close_message(self, last: list[Part]) -> tuple[Mapping[str, Any], list[Shaped]]:
        """Return the client's message at the end, and the chunks that the end adds."""
        shaped: list[Shaped] = []
        try:
            shaped = [*self.shaper.feed_all(last), *self.shaper.finish()]
            self.reducer.apply_all(shaped)
            return self.reducer.message(), shaped
        except Exception as error:
            logger.exception("the answer's message is not whole")
            self.failure = self.failure or error
            # Leave out the chunks that cannot be applied.
            return self.reducer.state.known(), shaped


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
