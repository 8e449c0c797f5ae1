"""`ui_message_stream`: an answer that the application writes itself, for those who do not use the model loop.

Upstream: ``createUIMessageStream`` (``ai/src/ui-message-stream/create-ui-message-stream.ts``, 7.0.173).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias, cast

from pydantic_core import to_jsonable_python

from usechat import parts as p
from usechat.errors import ConfigurationError, UsechatError
from usechat.generate.answer import Answer
from usechat.generate.asks import Open, Script, Stream
from usechat.generate.callbacks import Callbacks, FinishEvent, MessageMetadataCallback, Outcome
from usechat.generate.merge import OpenSteps, read_parts, rename_blocks
from usechat.generate.part_queue import PartQueue
from usechat.generate.turn import Turn
from usechat.generate.valid_parts import is_nothing, maybe_valid_part
from usechat.guard import Contained, describe_error, original_error
from usechat.json import MAX_VALUE_DEPTH, to_json_value
from usechat.protocol.options import MASKED_ERROR
from usechat.unsafe_keys import UnsafeKeyError, find_unsafe_key

__all__ = ["UIMessageStream", "UIMessageStreamWriter", "ui_message_stream"]

logger = logging.getLogger(__name__)

GRACE_SECONDS = 1.0
"""How long a cancelled writer or merged stream may take to end; one that does not is left behind."""

Execute: TypeAlias = Callable[["UIMessageStreamWriter"], Awaitable[None]]


class UIMessageStreamWriter:
    """What an application writes its answer with."""

    def __init__(self, abort: asyncio.Event, on_error: Callable[[BaseException], str | None]) -> None:
        self.queue = PartQueue()
        self.merging: list[asyncio.Task[None]] = []
        self.abort = abort
        """Set when the answer is stopped."""
        self.on_error = on_error

    def write(self, part: p.Part | None) -> None:
        """Send one part; from any thread. None, and a delta whose text is None, bring nothing.

        Raises:
            InvalidPartError: It is no part, or a field has a wrong value; the text says which.
        """
        if (valid := maybe_valid_part(part)) is not None:
            self.queue.put(valid)

    async def drain(self) -> None:
        """Wait while the reader is far behind: for those who write much."""
        await self.queue.drain()

    def write_text(self, text: str | None, *, id: str = "text") -> None:
        """Send a whole text block; none for no text.

        Raises:
            InvalidPartError: The text is something else than text.
        """
        if is_nothing(text):
            return
        delta = maybe_valid_part(p.TextDelta(id, cast("str", text)))
        for part in (p.TextStart(id), delta, p.TextEnd(id)):
            self.queue.put(part)

    def write_data(self, name: str, data: Any, *, id: str | None = None, transient: bool = False) -> None:
        """Send a ``data-NAME`` part; one with the same name and id replaces the earlier.

        Args:
            name: What comes after ``data-``.
            data: Whatever pydantic can write as JSON.
            id: Within the message.
            transient: Whether it reaches ``onData`` only and is not kept in the message.

        Raises:
            ValueError: JSON cannot hold the data, it is nested too deep, or it has a key that no client reads:
                ``__proto__``, or ``prototype`` within ``constructor``.
        """
        shown = to_json_value(to_jsonable_python(data), MAX_VALUE_DEPTH)
        if (path := find_unsafe_key(shown)) is not None:
            raise UnsafeKeyError(path)
        self.write(p.Data(name=name, data=shown, id=id, transient=transient or None))

    def merge(self, stream: Any) -> asyncio.Task[None]:
        """Send another stream's parts as they come, beside what is written; await the task to wait for its end.

        Args:
            stream: An async iterator of text, of parts, or of the ``anthropic`` package's stream events; or an answer.
        """
        prefix = f"{len(self.merging)}-" if self.merging else ""
        task = asyncio.create_task(self._drain(stream, prefix))
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
        """Let the application write, and wait until whatever it merges has ended."""
        try:
            with Contained():
                await execute(self)
            while pending := [task for task in self.merging if not task.done()]:
                await asyncio.wait(pending)
        except Exception as error:  # noqa: BLE001 - told to the client, as any error of an answer
            self.fail(original_error(error))
        finally:
            self.queue.close()

    def fail(self, error: BaseException) -> None:
        """Send an error."""
        if isinstance(error, UsechatError):
            logger.warning("the answer failed: %s", describe_error(error))
        else:
            logger.error("the answer failed", exc_info=error)
        text = self.on_error(error)
        self.queue.put(p.Error(MASKED_ERROR if text is None else text, error))


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
        self.finish_reason: p.FinishReason | None = None
        self.usage = p.Usage()
        self.metadata: Any = None
        self.failure: BaseException | None = None
        self.texts: list[str] = []

    def script(self) -> Script[None]:
        """Show what is written, as soon as it is."""
        self.parts.append(p.Start(message_id=self.message_id))
        yield Open(self.write)
        while (batch := (yield Stream.READ)) is not None:
            self.parts += [part for part in batch if self.keep(part)]
        if self.failure is not None:
            self.finish_reason = p.FinishReason("error")
        self.finish_reason = self.finish_reason or p.FinishReason("stop")
        self.parts.append(
            p.Finish(finish_reason=self.finish_reason, total_usage=self.usage, message_metadata=self.metadata)
        )

    def keep(self, part: p.Part) -> bool:
        """Whether to send the part now: there is one start, one finish, at the end, and one step at a time."""
        match part:
            case p.TextDelta():
                self.texts.append(part.delta)
                return True
            case p.Start():
                return part.message_metadata is not None
            case p.Finish():
                self.note_finish(part)
                return False
            case p.FinishStep():
                self.usage += part.usage
                self.finish_reason = part.finish_reason
                return self.steps.admits(part)
            case p.Abort():
                # Of a merged answer, which was stopped by itself: this one goes on.
                return False
            case p.Error():
                self.failure = part.error or UsechatError(part.error_text)
                return True
            case _:
                return self.steps.admits(part)

    def note_finish(self, finish: p.Finish) -> None:
        """Take over what a finish says that the application, or a merged answer, has sent."""
        self.finish_reason = finish.finish_reason
        self.metadata = finish.message_metadata if finish.message_metadata is not None else self.metadata
        if self.usage == p.Usage():
            self.usage = finish.total_usage

    async def write(self) -> AsyncGenerator[list[p.Part]]:
        """Let the application write; yield what it writes until it and whatever it merges have ended."""
        writer = self.make_writer()
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

    def outcome(self) -> Outcome:
        """How far the answer has come."""
        return Outcome(text="".join(self.texts), finish_reason=self.finish_reason, usage=self.usage, error=self.failure)


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
        return UIMessageStreamWriter(self.aborting, self.callbacks.error_text)


def ui_message_stream(
    source: Any,
    *,
    message_metadata: MessageMetadataCallback | None = None,
    on_part: Callable[[p.Part], Any] | None = None,
    on_finish: Callable[[FinishEvent], Any] | None = None,
    on_error: Callable[[BaseException], str | None] | None = None,
    on_abort: Callable[[Sequence[Any]], Any] | None = None,
) -> UIMessageStream:
    """An answer from anywhere, with the same responses and callbacks as `stream_text`.

    Args:
        source: An async function that gets a `UIMessageStreamWriter`; or an async iterator of text, of parts, or of
            the ``anthropic`` package's stream events. None and empty text among its items bring nothing, as in the
            last chunk of other APIs. Anything else that is no such item is an `InvalidPartError`: what came before it
            is kept, ``on_error`` and ``on_finish`` hear of it, and the browser is shown the masked text.
        message_metadata: Asked about each part that is no delta; what it returns is merged into the metadata.
        on_part: Gets each part.
        on_finish: Gets how the answer ended, exactly once whatever happens. The reader's last frames wait for it, for
            30 seconds at most.
        on_error: Gets each error; what it returns the browser is shown in place of "An error occurred.".
        on_abort: Called when the answer was stopped or its reader left.

    Raises:
        ConfigurationError: The source is neither.
    """
    is_stream = hasattr(source, "__aiter__")
    if not is_stream and not callable(source):
        raise ConfigurationError("ui_message_stream takes an async function or an async iterator")

    async def merge(writer: UIMessageStreamWriter) -> None:
        writer.merge(source)

    execute = merge if is_stream else cast("Execute", source)
    callbacks = Callbacks(on_part=on_part, on_finish=on_finish, on_error=on_error, on_abort=on_abort)
    return UIMessageStream(execute, callbacks, message_metadata)
