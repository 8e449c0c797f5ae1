"""An answer: parts to iterate over, values to await, and an HTTP response.

Defines how an answer is read and bound to its client; `usechat.answers.driven` makes it. Knows no HTTP and no encoder.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Unpack

from msgspec.structs import replace

from usechat.answers.arguments.response_options import ResponseOptions, check_response_options
from usechat.answers.callbacks import NO_RESPONSE, NOT_SAVED, Callbacks, FinishEvent, MessageMetadataCallback, Outcome
from usechat.answers.driven import Binding, DrivenAnswer
from usechat.answers.loop.outputs import Handover, Nowhere
from usechat.answers.loop.policy import policy_for
from usechat.answers.loop.results.model_response import ModelResponse
from usechat.answers.loop.results.step_result import StepResult, ToolCallResult
from usechat.answers.metadata import DefaultMetadata
from usechat.errors import ConfigurationError
from usechat.guard import exception_for
from usechat.ids import generate_id
from usechat.messages.model import ReasoningContent
from usechat.parts import (
    File,
    FinishReason,
    Part,
    SourceDocument,
    SourceUrl,
    TextDelta,
    Usage,
)
from usechat.protocol.dialects import Dialect
from usechat.protocol.options import EncoderOptions, WireFormat
from usechat.protocol.reducer import Reducer
from usechat.protocol.shaping import ChunkShaper, chunk_dialect

if TYPE_CHECKING:
    from usechat.http.response import StreamingAnswer
    from usechat.http.stream import AnswerStream, RequestHeaders
    from usechat.messages.ui import ChatRequest, CompletionRequest
    from usechat.runs.service import RunService

__all__ = ["Answer", "Callbacks", "FinishEvent", "MessageMetadataCallback", "Outcome"]


class Answer(DrivenAnswer):
    """One answer. It is made once: by a response, by iterating, or by awaiting one of its values.

    It belongs to the event loop that reads it: call its methods there.
    """

    async def prepare_apart(self) -> None:
        """Run the slow part of `prepare` for a large request in a thread.

        Raises:
            RequestError: The request cannot be answered.
        """

    def __aiter__(self) -> AsyncIterator[Part]:
        """Return the answer's parts, one by one."""
        return self.parts()

    async def batches(self) -> AsyncGenerator[list[Part]]:
        """Yield the answer's parts in batches, as they come. Closing the generator stops the answer.

        Raises:
            ConfigurationError: The answer has begun already.
            RequestError: The request cannot be answered.
        """
        output = Handover()
        self.start(output)
        try:
            async for batch in output.read():
                yield batch
        finally:
            await self.aclose()
            self.unread = output.unread

    async def parts(self) -> AsyncGenerator[Part]:
        """Yield the answer's parts, one by one."""
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for part in batch:
                    yield part

    @property
    def text(self) -> Awaitable[str]:
        """The text of the last step."""
        return self._field("text")

    @property
    def text_stream(self) -> AsyncGenerator[str]:
        """The text as it comes, of all steps. Closing the generator stops the answer.

            async for text in result.text_stream:
                print(text, end="")

        Raises:
            ConfigurationError: The answer has begun already.
            ProviderError: The model failed.
        """
        return self._text()

    async def _text(self) -> AsyncGenerator[str]:
        async with aclosing(self.batches()) as batches:
            async for batch in batches:
                for part in batch:
                    if isinstance(part, TextDelta) and part.delta:
                        yield part.delta
        if self.final is not None and self.final.error is not None:
            raise exception_for(self.final.error)

    @property
    def reasoning(self) -> Awaitable[Sequence[ReasoningContent]]:
        """The blocks of reasoning of the last step."""
        return self._field("reasoning")

    @property
    def reasoning_text(self) -> Awaitable[str]:
        """The text of the reasoning of the last step."""
        return self._field("reasoning_text")

    @property
    def sources(self) -> Awaitable[Sequence[SourceUrl | SourceDocument]]:
        """The sources of all steps."""
        return self._field("sources")

    @property
    def files(self) -> Awaitable[Sequence[File]]:
        """The files that the model made in all steps."""
        return self._field("files")

    @property
    def tool_calls(self) -> Awaitable[Sequence[ToolCallResult]]:
        """The tool calls of all steps, each with its output or error."""
        return self._field("tool_calls")

    @property
    def model_response(self) -> Awaitable[ModelResponse]:
        """The provider's response to the last model call: its id, the model, headers, rate limits, retry-after."""
        return self._field("response")

    @property
    def warnings(self) -> Awaitable[Sequence[str]]:
        """Sentences about settings and content that were changed or left out for the model, of all steps."""
        return self._field("warnings")

    @property
    def usage(self) -> Awaitable[Usage]:
        """The usage of all steps."""
        return self._field("usage")

    @property
    def finish_reason(self) -> Awaitable[FinishReason | None]:
        """The reason for the end of the last step."""
        return self._field("finish_reason")

    @property
    def steps(self) -> Awaitable[Sequence[StepResult]]:
        """The steps of the answer."""
        return self._field("steps")

    @property
    def ui_message(self) -> Awaitable[Mapping[str, Any]]:
        """The assistant's message as the client has it; partial when the answer failed."""
        return self._field("ui_message")

    def __iter__(self) -> Iterator[Any]:
        raise ConfigurationError(f"read an answer with `async for`; and {NO_RESPONSE}")

    @classmethod
    def __get_pydantic_core_schema__(cls, *_: Any) -> Any:
        # FastAPI asks for it when a route is annotated to return an answer.
        raise ConfigurationError(f"{NO_RESPONSE}, and let its annotation be StreamingAnswer")

    def response(
        self,
        chat: ChatRequest | CompletionRequest | None = None,
        *,
        runs: RunService | None = None,
        **options: Unpack[ResponseOptions],
    ) -> StreamingAnswer:
        """Return the answer as an HTTP response in the client's protocol.

        Args:
            chat: The request. It tells the client's version and the continued message.
            runs: Keeps the answer, so that it continues without its reader and can be read again.
            **options: As below; see `ResponseOptions`.

                - ``sdk``: the client's AI SDK version: a release (``6.0.100``), a major or minor (``7``, ``3.4``) for
                  what every release of it accepts, or ``auto`` to tell it from the request.
                - ``wire_format``: ``ui-message-stream``, ``data-stream``, ``text-stream`` or ``events``; without it,
                  the chat format of the client's version.
                - ``message_id``: the new message's id, a function that makes one, or True for a random one. Without
                  it the client keeps the id it made itself, except with ``runs``.
                - ``headers``: beside the format's own; None as a value takes one of those away.
                - ``heartbeat``: seconds of silence after which a frame is sent that clients ignore, 15 without it;
                  None for no such frame.
                - ``chat_id``: the chat under which ``runs`` keeps the answer; the request's own without it.
                - ``send_reasoning``, ``send_sources``, ``send_start``, ``send_finish``: whether these are sent.
                - ``send_usage``, ``tool_call_streaming``: for AI SDK 4, whether the ends of steps carry the usage,
                  and whether a call's input is shown as it arrives.
                - ``tool_errors``: what a browser sees of a tool's exception: ``masked`` or ``shown``.
                - ``breaks_on_error``: whether a text stream that fails breaks off, so that its client notices.
                - ``strict``: raise for an illegal part instead of mending it; for tests.

        Raises:
            ConfigurationError: An option is unknown or wrong, or the request is a turn of a saved chat.
        """
        check_response_options(options)
        if getattr(chat, "is_planned", False):
            raise ConfigurationError(NOT_SAVED)
        # Imported only here: an answer alone needs no web framework.
        from usechat.http.new_run import respond

        return respond(self, chat, runs=runs, **options)

    async def stream(
        self,
        request_headers: RequestHeaders | None = None,
        chat: ChatRequest | CompletionRequest | None = None,
        *,
        runs: RunService | None = None,
        **options: Unpack[ResponseOptions],
    ) -> AnswerStream:
        """Begin the answer; return its response for any framework: a status, headers and an iterator of bytes.

            status, headers, body = await answer.stream(request.headers, chat)

        Close the body, cancel its reading or let go of it when the reader leaves. A request that is refused has its
        status and a body of JSON, too.

        Args:
            request_headers: The request's headers. They tell the client's version.
            chat: The request, as for `response`; so are the others.
            runs: Keeps the answer.
            **options: See `response`.

        Raises:
            ConfigurationError: An option is unknown or wrong.
        """
        return await self.response(chat, runs=runs, **options).stream(request_headers)

    async def aclose(self) -> None:
        """Stop a running answer and wait for its callbacks. An answer that was never read counts as stopped."""
        self.abort()
        if not self.is_started:
            self.start(Nowhere())
        elif self.is_telling and self.task is not asyncio.current_task():
            # No reader is left for whom `on_part` would be awaited.
            self._cancel()
        # A callback in the driver's task cannot wait for the end of that task.
        if self.task is not None and self.task is not asyncio.current_task():
            await asyncio.wait({self.task})

    def bind(
        self,
        dialect: Dialect,
        options: EncoderOptions,
        *,
        message: Mapping[str, Any] | None = None,
        message_id: str | None = None,
        wire_format: WireFormat | None = None,
    ) -> None:
        """Bind the answer to the client that reads it, before it begins.

        Args:
            dialect: The client's dialect.
            options: The encoder's options.
            message: The assistant's message that the answer continues.
            message_id: The id to announce; None to leave it to the client.
            wire_format: The client's wire format; by default the chat format of its version.

        Raises:
            ConfigurationError: The answer has begun already.
        """
        self._check_new()
        self.binding = Binding(dialect, options, message, message_id, wire_format)
        policy = policy_for(dialect, is_continuation=message is not None)
        # Only chunks can make a client forget the parts of a step.
        can_reset = wire_format in (None, "ui-message-stream")
        self.policy = policy if can_reset else replace(policy, resets_steps=False)
        self.is_bound = True
        self.is_continuation = message is not None
        self.message_id = message_id
        if message is not None and isinstance(self.message_metadata, DefaultMetadata):
            self.message_metadata.continue_message(message.get("metadata"))
        self.shaper = ChunkShaper(chunk_dialect(dialect, wire_format), options)
        self.reducer = Reducer(message_id or generate_id("msg", 16), message=message, shaper=self.shaper)

    def bind_inner(self, inner: Answer) -> None:
        """Bind an answer that is merged into this one to the same client, unless it is bound or begun already."""
        if self.binding is None or inner.is_bound or inner.is_started:
            return
        known = self.binding
        # This answer mends or raises illegal parts of the inner one, and logs them once.
        options = replace(known.options, strict=False)
        inner.bind(
            known.dialect, options, message=known.message, message_id=known.message_id, wire_format=known.wire_format
        )
        inner.shaper.lifecycle.reports = False
        inner.chat_id = self.chat_id

    async def _field(self, name: str) -> Any:
        if not self.is_started:
            # The parts of a failed step are shown to nobody.
            self.policy = replace(self.policy, resets_steps=True)
            task = self.start(Nowhere())
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError:
                await self.aclose()
                raise
        await self.done.wait()
        assert self.final is not None
        if self.final.error is not None and name != "ui_message":
            raise exception_for(self.final.error)
        return getattr(self.final, name)
