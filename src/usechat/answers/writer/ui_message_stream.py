"""`ui_message_stream`: an answer that the application writes itself, without the model loop.

Upstream: ``createUIMessageStream`` (``ai/src/ui-message-stream/create-ui-message-stream.ts``, 7.0.173).
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias, cast, overload

import anyio.to_thread

from usechat.answers.answer import Answer
from usechat.answers.callbacks import Callbacks, FinishEvent, MessageMetadataCallback, Outcome
from usechat.answers.calls.execute import runs_on_loop
from usechat.answers.loop.asks import READ, Open, Script
from usechat.answers.loop.turn import Turn
from usechat.answers.writer.data_parts import NOT_GIVEN, data_part
from usechat.answers.writer.merge import OpenSteps, read_parts, rename_blocks
from usechat.answers.writer.part_queue import PartQueue
from usechat.answers.writer.valid_parts import is_nothing, maybe_valid_part
from usechat.checks import check_function, named
from usechat.errors import ConfigurationError, UsechatError
from usechat.failures import log_failure, shown_text
from usechat.guard import Contained, original_error
from usechat.parts import (
    Abort,
    Error,
    Finish,
    FinishReason,
    FinishStep,
    Part,
    Start,
    TextDelta,
    TextEnd,
    TextStart,
    ToolOutputAvailable,
    ToolOutputError,
    Usage,
)

__all__ = ["UIMessageStream", "UIMessageStreamWriter", "ui_message_stream"]

logger = logging.getLogger(__name__)

GRACE_SECONDS = 2.0
"""Seconds that a cancelled writer or merged stream may take to end. A slower one is abandoned. The tools of a merged
answer have one second."""

Execute: TypeAlias = Callable[["UIMessageStreamWriter"], Awaitable[None] | AsyncIterator[Any] | None]


class UIMessageStreamWriter:
    """The writer of an application's answer."""

    def __init__(
        self,
        abort: asyncio.Event,
        on_error: Callable[[BaseException], str | None],
        bind_inner: Callable[[Answer], None] = lambda answer: None,
    ) -> None:
        self.bind_inner = bind_inner
        self.answers: list[Answer] = []
        """The merged answers."""
        self.queue = PartQueue()
        self.merging: list[asyncio.Task[None]] = []
        self.abort = abort
        """Set when the answer is stopped."""
        self.on_error = on_error
        self.loop: asyncio.AbstractEventLoop | None = None
        self.thread = 0
        """The event loop and its thread, while a plain function writes in another thread."""

    def write(self, part: Part | None) -> None:
        """Send one part. Callable from any thread. None, and a delta whose text is None, send nothing.

        Raises:
            InvalidPartError: The part or one of its fields is wrong; the text says which.
        """
        if (valid := maybe_valid_part(part)) is not None:
            self.queue.put(valid)

    async def drain(self) -> None:
        """Wait while the reader is far behind. Call this when you write much."""
        await self.queue.drain()

    def write_text(self, text: str | None, *, id: str = "text") -> None:
        """Send a whole text block; nothing when the text is empty.

        Raises:
            InvalidPartError: The text is not a str.
        """
        if is_nothing(text):
            return
        delta = maybe_valid_part(TextDelta(id, cast("str", text)))
        for part in (TextStart(id), delta, TextEnd(id)):
            self.queue.put(part)

    @overload
    def write_data(self, name: str, data: Any, *, id: str | None = None, transient: bool = False) -> None: ...
    @overload
    def write_data(self, name: object, /, *, id: str | None = None, transient: bool = False) -> None: ...
    def write_data(self, name: Any, data: Any = NOT_GIVEN, *, id: str | None = None, transient: bool = False) -> None:
        """Send a ``data-NAME`` part. A later one with the same name and id replaces it.

            writer.write_data("progress", {"done": 3}, id="search")
            writer.write_data(Progress(done=3), id="search")        # the same, with its name from the class

        Args:
            name: The name after ``data-``; or a value whose class names it: ``SearchHit`` is ``data-searchHit``, and a
                class with an attribute ``data_name`` has that name.
            data: Any value that pydantic can write as JSON.
            id: The part's id within the message.
            transient: True: only ``onData`` gets it; it is not kept in the message.

        Raises:
            ValueError: JSON cannot hold the data, it is nested too deep, or it has a key that no client reads:
                ``__proto__``, or ``prototype`` within ``constructor``.
        """
        self.write(data_part(name, data, id=id, transient=transient))

    def merge(self, stream: Any) -> asyncio.Task[None]:
        """Send another stream's parts as they come. Await the returned task to wait for the stream's end.

        Args:
            stream: An async iterator of text, of parts, of the AI SDK's chunks as dicts, or of the ``anthropic``
                package's stream events; or an answer, which is bound to this answer's client: approvals, errors and
                the continued message.

        Raises:
            ConfigurationError: The stream is something else.
        """
        if not hasattr(stream, "__aiter__"):
            raise ConfigurationError(f"merge takes an async iterator or an answer, not {named(stream)}")
        if self.loop is not None and threading.get_ident() != self.thread:
            return asyncio.run_coroutine_threadsafe(self._merge_on_loop(stream), self.loop).result()
        return self._merge(stream)

    async def _merge_on_loop(self, stream: Any) -> asyncio.Task[None]:
        return self._merge(stream)

    def _merge(self, stream: Any) -> asyncio.Task[None]:
        if isinstance(stream, Answer):
            self.bind_inner(stream)
            self.answers.append(stream)
        prefix = f"{len(self.merging)}-" if self.merging else ""
        task = asyncio.create_task(self._drain(stream, prefix))
        if self.queue.is_closed:
            # A thread goes on although its answer is over: nobody would read, or stop, what it merges.
            task.cancel()
        self.merging.append(task)
        return task

    async def _drain(self, stream: Any, prefix: str) -> None:
        try:
            with Contained():
                async with aclosing(read_parts(stream)) as parts:
                    async for part in parts:
                        self.write(rename_blocks(part, prefix) if prefix else part)
                        await self.drain()
        except Exception as error:  # noqa: BLE001 - told to the client, as any error of an answer
            self.fail(original_error(error))

    async def run(self, execute: Execute) -> None:
        """Call the application's function, and wait until its merged streams have ended."""
        try:
            with Contained():
                await self._call(execute)
            while pending := [task for task in self.merging if not task.done()]:
                await asyncio.wait(pending)
        except Exception as error:  # noqa: BLE001 - told to the client, as any error of an answer
            self.fail(original_error(error))
        finally:
            self.queue.close()

    async def _call(self, execute: Execute) -> None:
        if runs_on_loop(execute):
            result: Any = execute(self)
        else:
            # It may block.
            self.loop, self.thread = asyncio.get_running_loop(), threading.get_ident()
            result = await anyio.to_thread.run_sync(execute, self, abandon_on_cancel=True)
        if inspect.isawaitable(result):
            result = await result
        if hasattr(result, "__aiter__"):
            self._merge(result)
        elif result is not None:
            raise ConfigurationError(f"the writer's function returned {named(result)}: write with the writer it gets")

    def fail(self, error: BaseException) -> None:
        """Send an error."""
        log_failure(logger, "the answer failed", error)
        self.queue.put(Error(shown_text(error, self.on_error(error)), error))


class WriterTurn(Turn):
    """The turn of a function that writes: `Start` before its parts and `Finish` after, unless it writes its own."""

    def __init__(
        self, execute: Execute, message_id: str | None, make_writer: Callable[[], UIMessageStreamWriter]
    ) -> None:
        super().__init__()
        self.execute = execute
        self.message_id = message_id
        self.make_writer = make_writer
        self.steps = OpenSteps()
        self.finish_reason: FinishReason | None = None
        self.usage = Usage()
        self.metadata: Any = None
        self.failure: BaseException | None = None
        self.texts: list[str] = []
        self.answers: list[Answer] = []
        self.late: list[Part] = []

    def script(self) -> Script[None]:
        """Show the written parts as they come."""
        self.parts.append(Start(message_id=self.message_id))
        yield Open(self.write)
        while (batch := (yield READ)) is not None:
            self.parts += [part for part in batch if self.keep(part)]
        if self.failure is not None:
            self.finish_reason = FinishReason("error")
            if self.steps.count:
                # The stream that failed does not end its step any more.
                self.parts.append(FinishStep(finish_reason=self.finish_reason, usage=Usage()))
        self.finish_reason = self.finish_reason or FinishReason("stop")
        self.parts.append(
            Finish(finish_reason=self.finish_reason, total_usage=self.usage, message_metadata=self.metadata)
        )

    def keep(self, part: Part) -> bool:
        """Return whether to send the part now: one start, one finish at the end, and one open step at a time."""
        match part:
            case TextDelta():
                self.texts.append(part.delta)
                return True
            case Start():
                return part.message_metadata is not None
            case Finish():
                self.note_finish(part)
                return False
            case FinishStep():
                self.usage += part.usage
                self.finish_reason = part.finish_reason
                return self.steps.admits(part)
            case Abort():
                # A merged answer was stopped by itself. This one goes on.
                return False
            case Error():
                self.failure = part.error or UsechatError(part.error_text)
                return True
            case _:
                return self.steps.admits(part)

    def note_finish(self, finish: Finish) -> None:
        """Keep the values of a finish that the application or a merged answer has sent."""
        self.finish_reason = finish.finish_reason
        self.metadata = finish.message_metadata if finish.message_metadata is not None else self.metadata
        if self.usage == Usage():
            self.usage = finish.total_usage

    async def write(self) -> AsyncGenerator[list[Part]]:
        """Call the application's function. Yield its parts until it and its merged streams have ended."""
        writer = self.make_writer()
        self.answers = writer.answers
        task = asyncio.create_task(writer.run(self.execute))
        try:
            while (batch := await writer.queue.take()) is not None:
                yield batch
        finally:
            tasks = [task, *writer.merging]
            for each in tasks:
                each.cancel()
            _, stubborn = await asyncio.wait(tasks, timeout=GRACE_SECONDS)
            if stubborn:
                logger.warning("a writer or a merged stream goes on although it was cancelled")
            unread = [*writer.queue.parts, *(part for answer in writer.answers for part in answer.unread)]
            self.late = [part for part in unread if isinstance(part, ToolOutputAvailable | ToolOutputError)]

    def late_parts(self) -> list[Part]:
        """Remove and return the outcomes of merged answers' tools that came after this answer was stopped."""
        late, self.late = self.late, []
        return late

    @property
    def unbegun(self) -> Mapping[str, str]:
        """The model's words for calls of merged answers that never began, by call id."""
        return {call: words for answer in self.answers for call, words in answer.unbegun.items()}

    def outcome(self) -> Outcome:
        """Return the progress of the answer."""
        merged = [answer.progress() for answer in self.answers]
        return Outcome(
            text="".join(self.texts),
            finish_reason=self.finish_reason,
            usage=self.usage,
            steps=tuple(step for each in merged for step in each.steps),
            response_messages=tuple(message for each in merged for message in each.response_messages),
            error=self.failure,
        )


class UIMessageStream(Answer):
    """An answer that the application writes."""

    def __init__(
        self, execute: Execute, callbacks: Callbacks, message_metadata: MessageMetadataCallback | None
    ) -> None:
        super().__init__(callbacks, message_metadata)
        self.execute = execute

    def make_turn(self) -> Turn:
        """Return the turn of the application's function."""
        return WriterTurn(self.execute, self.message_id, self._make_writer)

    def _make_writer(self) -> UIMessageStreamWriter:
        return UIMessageStreamWriter(self.aborting, self.callbacks.error_text, self.bind_inner)


def ui_message_stream(
    source: Execute | AsyncIterable[Any],
    *,
    message_metadata: MessageMetadataCallback | None = None,
    on_part: Callable[[Part], Any] | None = None,
    on_finish: Callable[[FinishEvent[Any]], Any] | None = None,
    on_error: Callable[[BaseException], str | None] | None = None,
    on_abort: Callable[[Sequence[Any]], Any] | None = None,
) -> UIMessageStream:
    """Make an answer from anywhere, with the same responses and callbacks as `stream_text`.

        async def write(writer: UIMessageStreamWriter) -> None:
            writer.write_text("Hello")

        return ui_message_stream(write).response(chat)

    Args:
        source: A function that gets a `UIMessageStreamWriter`, async or plain (which runs in a thread); or an async
            iterator of text, of parts, of the AI SDK's chunks as dicts, or of the ``anthropic`` package's stream
            events. Its first item tells which; any other kind is an error that names it. None and empty text among
            its items send nothing, as in the last chunk of other APIs. A later item of another kind is an
            `InvalidPartError`: what came before it is kept, ``on_error`` and ``on_finish`` hear of it, and the browser
            is shown fixed words.
        message_metadata: Asked about each part that is no delta; what it returns is merged into the metadata.
        on_part: Gets each part.
        on_finish: Gets how the answer ended, exactly once whatever happens. The reader's last frames wait for it, for
            30 seconds at most.
        on_error: Gets each error. The browser is shown its result in place of our own text.
        on_abort: Called when the answer was stopped or its reader left.

    Raises:
        ConfigurationError: The source is of another kind, or a callback is no function.
    """
    is_stream = hasattr(source, "__aiter__")
    if not is_stream and not callable(source):
        raise ConfigurationError(f"ui_message_stream takes an async function or an async iterator, not {named(source)}")
    check_function("message_metadata", message_metadata)

    async def merge(writer: UIMessageStreamWriter) -> None:
        writer.merge(source)

    execute = merge if is_stream else cast("Execute", source)
    callbacks = Callbacks(on_part=on_part, on_finish=on_finish, on_error=on_error, on_abort=on_abort)
    return UIMessageStream(execute, callbacks, message_metadata)
