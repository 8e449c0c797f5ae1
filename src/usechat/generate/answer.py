"""An answer: parts to iterate over, values to await, an HTTP response; and its end, told exactly once.

Where the parts come from is a `Source`'s affair: the model loop or a writer of the application's own. Knows no HTTP
and no encoder.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import msgspec

from usechat import parts as p
from usechat.errors import ConfigurationError
from usechat.generate.policy import LoopPolicy, policy_for
from usechat.generate.recorder import StepResult
from usechat.generate.smooth import Transform
from usechat.ids import generate_id
from usechat.protocol.dialects import Dialect
from usechat.protocol.options import EncoderOptions
from usechat.protocol.reducer import Reducer

if TYPE_CHECKING:
    from usechat.fastapi import StreamingAnswer
    from usechat.messages.ui import ChatRequest, CompletionRequest

__all__ = ["Answer", "Callbacks", "FinishEvent", "MessageMetadataCallback", "Outcome", "Source"]

logger = logging.getLogger(__name__)

MessageMetadataCallback: TypeAlias = Callable[[p.Part], Any]
"""Asked about each part that is no delta; what it returns is merged into the message's metadata."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How far a source has come."""

    text: str = ""
    finish_reason: p.FinishReason | None = None
    usage: p.Usage = p.Usage()
    steps: Sequence[StepResult] = ()
    error: BaseException | None = None


class Source(Protocol):
    """Where an answer's parts come from."""

    def run(self) -> AsyncIterator[list[p.Part]]:
        """The parts, in batches. Closing the iterator stops whatever makes them."""
        ...

    def outcome(self) -> Outcome:
        """What is known once the iterator has ended or was closed."""
        ...


class FinishEvent(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended: what ``on_finish`` gets, whole or partial."""

    ui_message: Mapping[str, Any]
    """The assistant's message as the client has it, in JSON: save this."""
    text: str
    """The text of the last step."""
    finish_reason: p.FinishReason | None
    """None when the answer was stopped or failed before it could have one."""
    usage: p.Usage
    """Of all steps."""
    steps: Sequence[StepResult]
    is_aborted: bool = False
    """Whether the reader left or the answer was stopped."""
    is_continuation: bool = False
    """Whether the message continues the last one of the request."""
    error: BaseException | None = None


class Callbacks(msgspec.Struct, frozen=True, kw_only=True):
    """What the application wants to hear of. Each may be plain or async; what it raises is logged, not spread."""

    on_part: Callable[[p.Part], Any] | None = None
    on_step_finish: Callable[[StepResult], Any] | None = None
    on_finish: Callable[[FinishEvent], Any] | None = None
    on_error: Callable[[BaseException], str | None] | None = None
    on_abort: Callable[[Sequence[StepResult]], Any] | None = None

    async def call(self, name: str, value: Any) -> None:
        """Call one of them, if it is there."""
        callback = getattr(self, name)
        if callback is None:
            return
        try:
            result = callback(value)
            if inspect.isawaitable(result):
                await result
        except Exception:
            logger.exception("%s failed", name)

    def error_text(self, error: BaseException) -> str | None:
        """What ``on_error`` wants the browser to see; None for the masked text."""
        if self.on_error is None:
            return None
        try:
            return self.on_error(error)
        except Exception:
            logger.exception("on_error failed")
            return None


class Answer:
    """One answer. It is made once: by a response, by iterating, or by awaiting one of its values."""

    def __init__(
        self,
        callbacks: Callbacks,
        message_metadata: MessageMetadataCallback | None = None,
        transform: Transform | None = None,
    ) -> None:
        self.callbacks = callbacks
        self.transform = transform
        self.message_metadata = message_metadata
        self.policy = LoopPolicy()
        self.message_id: str | None = None
        self.reducer: Reducer | None = None
        self.is_continuation = False
        self.abort_event = asyncio.Event()
        self.abort_reason: str | None = None
        self.is_started = False
        self.waiting: asyncio.Task[Any] | None = None
        self.done = asyncio.Event()
        self.final: FinishEvent | None = None
        self.background: set[asyncio.Task[Any]] = set()

    def make_source(self) -> Source:
        """The source of this answer's parts; called once, when the answer begins."""
        raise NotImplementedError

    def prepare(self) -> None:
        """Check what can be checked before anything is sent.

        Raises:
            RequestError: The request cannot be answered.
        """

    # -- what one can get ---------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[p.Part]:
        """The answer's parts, one by one."""
        return self.parts()

    async def parts(self) -> AsyncIterator[p.Part]:
        """The answer's parts, one by one."""
        async for batch in self.batches():
            for part in batch:
                yield part

    @property
    def text(self) -> Awaitable[str]:
        """The text of the last step."""
        return self._field("text")

    @property
    def usage(self) -> Awaitable[p.Usage]:
        """The usage of all steps."""
        return self._field("usage")

    @property
    def finish_reason(self) -> Awaitable[p.FinishReason | None]:
        """Why the last step ended."""
        return self._field("finish_reason")

    @property
    def steps(self) -> Awaitable[Sequence[StepResult]]:
        """All steps."""
        return self._field("steps")

    @property
    def ui_message(self) -> Awaitable[Mapping[str, Any]]:
        """The assistant's message as the client has it."""
        return self._field("ui_message")

    def response(self, chat: ChatRequest | CompletionRequest | None = None, **options: Any) -> StreamingAnswer:
        """The answer as an HTTP response in the protocol of whoever asked; see `usechat.fastapi.StreamingAnswer`."""
        # The one place where this package names the HTTP edge, and only when it is asked for.
        from usechat.fastapi import StreamingAnswer

        return StreamingAnswer(self, chat, **options)

    def abort(self, reason: str | None = None) -> None:
        """Stop: the provider's connection is closed, the client gets ``abort``. Does nothing after the end."""
        if self.done.is_set() or self.abort_event.is_set():
            return
        self.abort_reason = reason
        self.abort_event.set()
        if self.waiting is not None:
            self.waiting.cancel()

    # -- how it is made -----------------------------------------------------------------------------------------

    def bind(
        self,
        dialect: Dialect,
        options: EncoderOptions,
        *,
        message: Mapping[str, Any] | None = None,
        message_id: str | None = None,
    ) -> None:
        """Fit the answer to the client that reads it, before it begins.

        Args:
            dialect: The client.
            options: What its encoder is told.
            message: The assistant's message that the answer continues.
            message_id: The id to announce; None to leave it to the client.
        """
        self.policy = policy_for(dialect)
        self.is_continuation = message is not None
        self.message_id = message_id
        self.reducer = Reducer(message_id or generate_id("msg", 16), message=message, dialect=dialect, options=options)

    async def batches(self) -> AsyncGenerator[list[p.Part]]:
        """The answer's parts, in the batches they came in.

        Raises:
            ConfigurationError: The answer was begun before.
            RequestError: The request cannot be answered.
        """
        if self.is_started:
            raise ConfigurationError("an answer can be read once; use on_part to see its parts beside a response")
        self.prepare()
        self.is_started = True
        source = self.make_source()
        made = source.run()
        stream = made if self.transform is None else self.transform(made)
        reducer = self.reducer or Reducer(generate_id("msg", 16))
        is_whole = False
        try:
            while (batch := await self.next_batch(stream)) is not None:
                shown = batch if self.message_metadata is None else self.add_metadata(batch)
                reducer.feed_all(shown)
                if self.callbacks.on_part is not None:
                    for part in shown:
                        await self.callbacks.call("on_part", part)
                yield shown
            if self.abort_event.is_set():
                aborted: list[p.Part] = [p.Abort(self.abort_reason)]
                reducer.feed_all(aborted)
                yield aborted
            else:
                is_whole = True
        finally:
            self.abort_event.set()
            task = asyncio.create_task(self.end(source, (stream, made), reducer, is_aborted=not is_whole))
            self.background.add(task)
            task.add_done_callback(self.background.discard)
            # The end is told whatever happens to the reader: a second cancellation does not reach it.
            await asyncio.shield(task)

    async def next_batch(self, stream: AsyncIterator[list[p.Part]]) -> list[p.Part] | None:
        """The next batch; None at the end, or when the answer was stopped."""
        if self.abort_event.is_set():
            return None
        self.waiting = asyncio.current_task()
        try:
            return await anext(stream, None)
        except asyncio.CancelledError:
            if not self.abort_event.is_set():
                raise
            # It was `abort` that cancelled, to get the task out of its wait for the model.
            assert self.waiting is not None
            self.waiting.uncancel()
            return None
        finally:
            self.waiting = None

    async def end(self, source: Source, streams: Iterable[Any], reducer: Reducer, *, is_aborted: bool) -> None:
        """Stop the source and tell how the answer ended, once."""
        for stream in streams:
            try:
                await stream.aclose()
            except Exception:
                logger.exception("closing the answer's source failed")
        reducer.finish()
        outcome = source.outcome()
        self.final = FinishEvent(
            ui_message=reducer.message(),
            is_aborted=is_aborted,
            is_continuation=self.is_continuation,
            **{name: getattr(outcome, name) for name in Outcome.__struct_fields__},
        )
        self.done.set()
        if is_aborted:
            await self.callbacks.call("on_abort", self.final.steps)
        await self.callbacks.call("on_finish", self.final)

    def add_metadata(self, batch: list[p.Part]) -> list[p.Part]:
        """The batch with what the application's callback says of its parts."""
        assert self.message_metadata is not None
        shown: list[p.Part] = []
        for part in batch:
            shown.append(part)
            if isinstance(part, p.TextDelta | p.ReasoningDelta | p.ToolInputDelta):
                continue
            metadata = self.message_metadata(part)
            if metadata is None:
                continue
            if isinstance(part, p.Start | p.Finish):
                shown[-1] = msgspec.structs.replace(part, message_metadata=metadata)
            else:
                shown.append(p.MessageMetadata(metadata))
        return shown

    async def _field(self, name: str) -> Any:
        if not self.is_started:
            async for _ in self.batches():
                pass
        await self.done.wait()
        assert self.final is not None
        if self.final.error is not None and name != "ui_message":
            raise self.final.error
        return getattr(self.final, name)
