"""`ui_message_stream`: an answer that the application writes itself, for those who do not use the model loop.

Upstream: ``createUIMessageStream`` (``ai/src/ui-message-stream/create-ui-message-stream.ts``, 7.0.173).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

from usechat import parts as p
from usechat.errors import ConfigurationError
from usechat.generate.answer import Answer, Callbacks, FinishEvent, MessageMetadataCallback, Outcome, Source
from usechat.generate.merge import read_parts
from usechat.protocol.options import MASKED_ERROR

__all__ = ["UIMessageStream", "UIMessageStreamWriter", "ui_message_stream"]

logger = logging.getLogger(__name__)

Execute: TypeAlias = Callable[["UIMessageStreamWriter"], Awaitable[None]]


class UIMessageStreamWriter:
    """What an application writes its answer with."""

    def __init__(self, abort: asyncio.Event, on_error: Callable[[BaseException], str | None]) -> None:
        self.queue: asyncio.Queue[p.Part | None] = asyncio.Queue()
        self.merging: list[asyncio.Task[None]] = []
        self.abort = abort
        """Set when the answer is stopped."""
        self.on_error = on_error
        self.failure: BaseException | None = None

    def write(self, part: p.Part) -> None:
        """Send one part."""
        self.queue.put_nowait(part)

    def write_text(self, text: str, *, id: str = "text") -> None:
        """Send a whole text block."""
        for part in (p.TextStart(id), p.TextDelta(id, text), p.TextEnd(id)):
            self.write(part)

    def write_data(self, name: str, data: Any, *, id: str | None = None, transient: bool = False) -> None:
        """Send a ``data-NAME`` part; one with the same name and id replaces the earlier."""
        self.write(p.Data(name=name, data=data, id=id, transient=transient or None))

    def merge(self, stream: Any) -> asyncio.Task[None]:
        """Send another stream's parts as they come, beside what is written; await the task to wait for its end.

        Args:
            stream: An async iterator of text, of parts, or of the ``anthropic`` package's stream events; or an answer.
        """
        task = asyncio.create_task(self._drain(stream))
        self.merging.append(task)
        return task

    async def _drain(self, stream: Any) -> None:
        try:
            async for part in read_parts(stream):
                self.write(part)
        except Exception as error:  # noqa: BLE001 - told to the client, as any error of an answer
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Send an error."""
        self.failure = error
        logger.error("the answer failed", exc_info=error)
        text = self.on_error(error)
        self.write(p.Error(MASKED_ERROR if text is None else text, error))


class WriterSource:
    """The parts that a function writes: with `Start` before them and `Finish` after, unless it writes its own."""

    def __init__(self, execute: Execute, writer: UIMessageStreamWriter, message_id: str | None) -> None:
        self.execute = execute
        self.writer = writer
        self.message_id = message_id
        self.finish: p.Finish | None = None
        self.texts: list[str] = []

    async def run(self) -> AsyncIterator[list[p.Part]]:
        """What is written, as soon as it is."""
        yield [p.Start(message_id=self.message_id)]
        task = asyncio.create_task(self.write())
        try:
            is_open = True
            while is_open:
                batch = [await self.writer.queue.get()]
                while not self.writer.queue.empty():
                    batch.append(self.writer.queue.get_nowait())
                is_open = None not in batch
                parts = [part for part in batch if part is not None and self.keep(part)]
                if parts:
                    yield parts
            self.finish = self.finish or p.Finish(
                finish_reason=p.FinishReason("error" if self.writer.failure else "stop"), total_usage=p.Usage()
            )
            yield [self.finish]
        finally:
            tasks = [task, *self.writer.merging]
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def keep(self, part: p.Part) -> bool:
        """Whether to send the part now: there is one start and, at the end, one finish."""
        if isinstance(part, p.TextDelta):
            self.texts.append(part.delta)
        elif isinstance(part, p.Finish):
            self.finish = part
        return not isinstance(part, p.Finish) and not (isinstance(part, p.Start) and part.message_metadata is None)

    async def write(self) -> None:
        try:
            await self.execute(self.writer)
            while pending := [task for task in self.writer.merging if not task.done()]:
                await asyncio.wait(pending)
        except Exception as error:  # noqa: BLE001 - told to the client, as any error of an answer
            self.writer.fail(error)
        finally:
            self.writer.queue.put_nowait(None)

    def outcome(self) -> Outcome:
        """How far the answer has come."""
        return Outcome(
            text="".join(self.texts),
            finish_reason=self.finish.finish_reason if self.finish else None,
            usage=self.finish.total_usage if self.finish else p.Usage(),
            error=self.writer.failure,
        )


class UIMessageStream(Answer):
    """An answer that the application writes."""

    def __init__(
        self, execute: Execute, callbacks: Callbacks, message_metadata: MessageMetadataCallback | None
    ) -> None:
        super().__init__(callbacks, message_metadata)
        self.execute = execute

    def make_source(self) -> Source:
        """The writer's queue."""
        writer = UIMessageStreamWriter(self.abort_event, self.callbacks.error_text)
        return WriterSource(self.execute, writer, self.message_id)


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
            the ``anthropic`` package's stream events.
        message_metadata: Asked about each part that is no delta; what it returns is merged into the metadata.
        on_part: Gets each part.
        on_finish: Gets how the answer ended, exactly once whatever happens.
        on_error: Gets each error; what it returns the browser is shown in place of "An error occurred.".
        on_abort: Called when the answer was stopped or its reader left.

    Raises:
        ConfigurationError: The source is neither.
    """
    if not callable(source) and not hasattr(source, "__aiter__"):
        raise ConfigurationError("ui_message_stream takes an async function or an async iterator")

    async def merge(writer: UIMessageStreamWriter) -> None:
        writer.merge(source)

    execute = cast("Execute", source) if callable(source) else merge
    callbacks = Callbacks(on_part=on_part, on_finish=on_finish, on_error=on_error, on_abort=on_abort)
    return UIMessageStream(execute, callbacks, message_metadata)
