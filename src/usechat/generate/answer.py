"""An answer: parts to iterate over, values to await, an HTTP response; and its end, told exactly once.

Where the parts come from is a `Source`'s affair: the model loop or a writer of the application's own. Knows no HTTP
and no encoder.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from usechat import parts as p
from usechat.errors import ConfigurationError
from usechat.generate.callbacks import Callbacks, FinishEvent, MessageMetadataCallback, Outcome, Source
from usechat.generate.happening import Happening
from usechat.generate.policy import LoopPolicy, policy_for
from usechat.generate.recorder import StepResult
from usechat.generate.smooth import Transform
from usechat.generate.view import Batches, View
from usechat.ids import generate_id
from usechat.protocol.dialects import Dialect
from usechat.protocol.options import MASKED_ERROR, EncoderOptions
from usechat.protocol.reducer import Reducer
from usechat.sink import Divertible, Sink

if TYPE_CHECKING:
    from usechat.fastapi import StreamingAnswer
    from usechat.messages.ui import ChatRequest, CompletionRequest
    from usechat.runs.service import RunService

__all__ = ["Answer", "Callbacks", "FinishEvent", "MessageMetadataCallback", "Outcome", "Source"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

CLOSE_SECONDS = 5.0
"""How long a source may take to stop; after that the end is told without it."""
ENDINGS: set[asyncio.Task[None]] = set()
"""Ends that are being told: the event loop itself keeps no task alive."""


class Answer(ABC):
    """One answer. It is made once: by a response, by iterating, or by awaiting one of its values.

    It belongs to the event loop that reads it; call its methods there.
    """

    reducer: Reducer
    """There once it is bound to its client, or has begun without one."""

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
        self.is_bound = False
        self.is_continuation = False
        self.aborting = Happening()
        """That nothing more of it is to be made."""
        self.abort_reason: str | None = None
        self.failure: BaseException | None = None
        """What kept the answer from being read or sent; a model's failure is the source's to tell."""
        self.done = Happening()
        """That what came of it is known."""
        self.final: FinishEvent | None = None
        self.is_started = False
        """Whether it has been begun; it can be once."""
        self.source: Source | None = None
        self.streams: list[Any] = []
        """The source's parts, and before them, where there is a transform, what it makes of them."""
        self.sink: Sink[Any] | None = None
        self.view: View[Any] | None = None
        """What of the answer its reader is shown, once it reads."""
        self.trouble: Exception | None = None
        """What went wrong while nobody was awake to hear of it."""
        self.waiting: asyncio.Task[Any] | None = None
        self.ending: asyncio.Task[None] | None = None

    @abstractmethod
    def make_source(self) -> Source:
        """The source of this answer's parts; called once, when the answer begins."""

    def prepare(self) -> None:  # noqa: B027 - most answers have nothing to check
        """Check what can be checked before anything is sent.

        Raises:
            RequestError: The request cannot be answered.
        """

    async def prepare_apart(self) -> None:  # noqa: B027 - as above
        """Do of `prepare` what takes long for a large request, in a thread.

        Raises:
            RequestError: The request cannot be answered.
        """

    # -- what one can get ---------------------------------------------------------------------------------------

    def __aiter__(self) -> AsyncIterator[p.Part]:
        """The answer's parts, one by one."""
        return self.parts()

    async def parts(self) -> AsyncGenerator[p.Part]:
        """The answer's parts, one by one."""
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
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
        """The assistant's message as the client has it, partial when the answer failed."""
        return self._field("ui_message")

    def response(
        self, chat: ChatRequest | CompletionRequest | None = None, *, runs: RunService | None = None, **options: Any
    ) -> StreamingAnswer:
        """The answer as an HTTP response in the protocol of whoever asked; see `usechat.fastapi.StreamingAnswer`.

        Args:
            chat: The request.
            runs: Makes the answer one that can be read again; see `usechat.resumable.ResumableAnswer`.
            options: Of the response.
        """
        # The one place where this package names the HTTP edge, and only when it is asked for.
        if runs is not None:
            from usechat.resumable import ResumableAnswer

            return ResumableAnswer(self, chat, runs=runs, **options)
        from usechat.fastapi import StreamingAnswer

        return StreamingAnswer(self, chat, **options)

    def abort(self, reason: str | None = None) -> None:
        """Stop: the provider's connection is closed, the client gets ``abort``. Does nothing after the end."""
        if self.aborting.has_happened:
            return
        self.abort_reason = reason
        self.aborting.set()
        if self.waiting is not None:
            self.waiting.cancel()
        elif self.is_started:
            # The reader is busy with what it has: it may be slow, so the model is stopped without it.
            self.end(is_aborted=True)

    async def aclose(self) -> None:
        """Stop, if it is not over, and wait until the end is told. An answer that was never read is told as stopped."""
        self.abort()
        if not self.is_started:
            self.begin()
            self.end(is_aborted=True)
        await self.done.event.wait()
        assert self.ending is not None
        await asyncio.shield(self.ending)

    # -- how it is made -----------------------------------------------------------------------------------------

    def bind(
        self,
        dialect: Dialect,
        options: EncoderOptions,
        *,
        message: Mapping[str, Any] | None = None,
        message_id: str | None = None,
        can_reset: bool = True,
    ) -> None:
        """Fit the answer to the client that reads it, before it begins.

        Args:
            dialect: The client.
            options: What its encoder is told.
            message: The assistant's message that the answer continues.
            message_id: The id to announce; None to leave it to the client.
            can_reset: Whether the wire format can tell the client to forget what a step has shown.

        Raises:
            ConfigurationError: The answer was begun before.
        """
        self._check_new()
        policy = policy_for(dialect, is_continuation=message is not None)
        self.policy = policy if can_reset else replace(policy, resets_steps=False)
        self.is_bound = True
        self.is_continuation = message is not None
        self.message_id = message_id
        self.reducer = Reducer(message_id or generate_id("msg", 16), message=message, dialect=dialect, options=options)

    def _check_new(self) -> None:
        if self.is_started:
            raise ConfigurationError("an answer can be read once; use on_part to see its parts beside a response")

    def begin(self) -> None:
        """Make the source; nothing of it runs yet.

        Raises:
            ConfigurationError: The answer was begun before.
            RequestError: The request cannot be answered.
        """
        self._check_new()
        self.prepare()
        self.is_started = True
        if not self.is_bound:
            self.reducer = Reducer(generate_id("msg", 16))
        self.source = self.make_source()
        made = self.source.run()
        self.streams = [made] if self.transform is None else [self.transform(made), made]
        # Whoever looks at each part has to be awaited.
        if isinstance(self.source, Divertible) and self.transform is None and self.callbacks.on_part is None:
            self.source.divert(self._pass_on)

    def batches(self) -> AsyncGenerator[list[p.Part]]:
        """The answer's parts, in the batches they came in.

        Raises:
            ConfigurationError: The answer was begun before.
            RequestError: The request cannot be answered.
        """
        return self.through(Batches())

    def divert(self, sink: Sink[Any]) -> None:
        """Give ``sink`` what `through` makes of deltas, while somebody waits for more; see `usechat.sink`."""
        self.sink = sink

    def _pass_on(self, batch: list[p.Part]) -> bool:
        """What `through` does with a batch, without it; False for what is left to it."""
        sink = self.sink
        if sink is None or self.view is None or self.aborting.has_happened or not sink.is_ready:
            return False
        try:
            self.reducer.feed_all(batch)
            piece = self.view.feed(batch)
        except Exception as error:  # noqa: BLE001 - raised where the answer is read
            self.trouble = error
            return False
        if piece:
            sink.push(piece)
        return True

    async def through(self, view: View[T]) -> AsyncGenerator[T]:
        """What ``view`` makes of the answer, as its parts come. The end is told before the last piece is.

        Raises:
            ConfigurationError: The answer was begun before.
            RequestError: The request cannot be answered.
        """
        self.begin()
        self.view = view
        is_whole, failure = False, None
        try:
            if (opening := view.begin()) is not None:
                yield opening
            while (batch := await self._next()) is not None:
                shown = self._take(batch)
                if self.callbacks.on_part is not None:
                    await self._tell_parts(shown)
                if piece := view.feed(shown):
                    yield piece
            is_whole = not self.aborting.has_happened
            if not is_whole and (piece := view.feed([p.Abort(self.abort_reason)])):
                yield piece
        except Exception as error:  # noqa: BLE001 - the view says what becomes of it
            failure = self.failure = error
        finally:
            # Shielded: the end is told whatever happens to the reader, a second cancellation does not reach it.
            await asyncio.shield(self.end(is_aborted=not is_whole and self.failure is None))
        if failure is not None:
            yield view.fail(failure)
        if (ending := view.finish()) is not None:
            yield ending

    async def _next(self) -> list[p.Part] | None:
        """The next batch; None at the end, or when the answer was stopped: then its end is being told."""
        batch: list[p.Part] | None = None
        if not self.aborting.has_happened:
            # No frame keeps the task: an error that ends it would keep the frame.
            self.waiting = current_task()
            cancellations = self.waiting.cancelling()
            try:
                batch = await anext(self.streams[0])
            except StopAsyncIteration:
                pass
            except asyncio.CancelledError:
                if not self.aborting.has_happened:
                    raise
            finally:
                self.waiting = None
            if not self.aborting.has_happened:
                return batch
            await take_cancellation(cancellations)
        if batch is None:
            self.end(is_aborted=True)
        return batch

    def _take(self, batch: list[p.Part]) -> list[p.Part]:
        """Note a batch, with what the application's callback says of its parts."""
        if self.trouble is not None:
            raise self.trouble
        shown = batch if self.message_metadata is None else self.add_metadata(batch)
        self.reducer.feed_all(shown)
        return shown

    async def _tell_parts(self, batch: list[p.Part]) -> None:
        for part in batch:
            await self.callbacks.call("on_part", part)

    def fail(self, error: BaseException) -> p.Error:
        """Note that the answer cannot be read to its end, which is not the source's fault; say so to the client."""
        self.failure = self.failure or error
        text = self.callbacks.error_text(error)
        return p.Error(MASKED_ERROR if text is None else text, error)

    def end(self, *, is_aborted: bool) -> asyncio.Task[None]:
        """Stop the source and tell how the answer ended: begun by the first call, the same for all."""
        if self.ending is None:
            self.aborting.set()
            self.ending = asyncio.create_task(self._tell_end(is_aborted=is_aborted))
            ENDINGS.add(self.ending)
            self.ending.add_done_callback(ENDINGS.discard)
        return self.ending

    async def _tell_end(self, *, is_aborted: bool) -> None:
        for stream in self.streams:
            await close(stream)
        self.reducer.finish()
        assert self.source is not None
        outcome = self.source.outcome()
        values = {name: getattr(outcome, name) for name in Outcome.__struct_fields__}
        values["error"] = outcome.error or self.failure
        self.final = FinishEvent(
            ui_message=self.reducer.message(),
            is_aborted=is_aborted,
            abort_reason=self.abort_reason if is_aborted else None,
            is_continuation=self.is_continuation,
            **values,
        )
        self._let_go()
        self.done.set()
        try:
            if is_aborted:
                await self.callbacks.call("on_abort", self.final.steps)
        finally:
            await self.callbacks.call("on_finish", self.final)

    def _let_go(self) -> None:
        """Hold nothing any more that made the answer or showed it. Most of it refers back to the answer.

        All of it is then freed with the last reference, not when the garbage collector comes, which is the dearer the
        more it finds.
        """
        self.source = self.view = self.sink = None
        self.streams = []

    def add_metadata(self, batch: list[p.Part]) -> list[p.Part]:
        """The batch with what the application's callback says of its parts."""
        shown: list[p.Part] = []
        for part in batch:
            shown.append(part)
            if isinstance(part, p.TextDelta | p.ReasoningDelta | p.ToolInputDelta | p.DeltaRun):
                continue
            metadata = self._metadata_of(part)
            if metadata is None:
                continue
            if isinstance(part, p.Start | p.Finish):
                shown[-1] = replace(part, message_metadata=metadata)
            else:
                shown.append(p.MessageMetadata(metadata))
        return shown

    def _metadata_of(self, part: p.Part) -> Any:
        assert self.message_metadata is not None
        try:
            return self.message_metadata(part)
        except Exception:
            logger.exception("message_metadata failed")
            return None

    async def _field(self, name: str) -> Any:
        if not self.is_started:
            # Nobody is shown what a step that failed has brought.
            self.policy = replace(self.policy, resets_steps=True)
            async for _ in self.batches():
                pass
        await self.done.event.wait()
        assert self.final is not None
        if self.final.error is not None and name != "ui_message":
            raise self.final.error
        return getattr(self.final, name)


def current_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def take_cancellation(cancellations: int) -> None:
    """Take back the one cancellation by which `Answer.abort` got this task out of its wait.

    Raises:
        CancelledError: There was another one, which is not ours to take.
    """
    with contextlib.suppress(asyncio.CancelledError):
        # Not yet delivered, when `abort` was called by something that this very task was running.
        await asyncio.sleep(0)
    if current_task().uncancel() > cancellations:
        raise asyncio.CancelledError


async def close(stream: Any) -> None:
    """Close an async iterator, whatever it makes of that."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await stream.aclose()
    except asyncio.CancelledError:
        # The event loop shuts down. The end is told all the same.
        logger.debug("closing the answer's source was cancelled")
    except Exception:
        logger.exception("closing the answer's source failed")
