"""The end of an answer, and the application's callbacks. Knows no HTTP and no encoder."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeAlias

import msgspec
from typing_extensions import TypeVar

from usechat.answers.calls.events import StepStartEvent, ToolEndEvent, ToolStartEvent
from usechat.answers.loop.results.model_response import ModelResponse
from usechat.answers.loop.results.step_result import StepResult, ToolCallResult
from usechat.checks import check_function
from usechat.errors import ConfigurationError
from usechat.guard import Contained, exception_for, is_being_cancelled, original_error
from usechat.messages.model import ModelMessage, ReasoningContent
from usechat.messages.ui import UIMessage
from usechat.parts import File, FinishReason, Part, SourceDocument, SourceUrl, Usage

__all__ = ["NOT_SAVED", "NO_RESPONSE", "Callbacks", "FinishEvent", "MessageMetadataCallback", "Outcome"]

logger = logging.getLogger(__name__)

OutputT_co = TypeVar("OutputT_co", covariant=True, default=str)

NO_RESPONSE = "an answer is no response: return answer.response(chat) from the route"
NOT_SAVED = (
    "this request belongs to a saved chat, and this response would not be saved: "
    "return turn.respond(agent.stream(turn.messages)) in place of agent.respond(turn.request)"
)

MessageMetadataCallback: TypeAlias = Callable[[Part], Any]
"""Called for each part except deltas. Its result is merged into the message's metadata."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The progress of an answer."""

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage = Usage()
    steps: Sequence[StepResult] = ()
    response_messages: Sequence[ModelMessage] = ()
    error: BaseException | None = None


class FinishEvent(msgspec.Struct, Generic[OutputT_co], frozen=True, kw_only=True):
    """The end of an answer, whole or partial: the argument of ``on_finish``."""

    ui_message: Mapping[str, Any]
    """The assistant's message as the client has it, as JSON."""
    text: str
    """The text of the last step."""
    finish_reason: FinishReason | None
    """None when the answer was stopped or failed before it had one."""
    usage: Usage
    """The usage of all steps."""
    steps: Sequence[StepResult]
    response_messages: Sequence[ModelMessage] = ()
    """The model messages that the answer adds, with the results of approved tools. A later call can take them."""
    request_messages: Sequence[UIMessage | Mapping[str, Any]] = ()
    """The UI messages of the request that the answer is the response to; see `messages`."""
    tool_errors: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """The model's text by call, for failed calls of which the client was shown another text, and for calls that the end
    of the answer kept from beginning."""
    is_aborted: bool = False
    """Whether the reader left or the answer was stopped."""
    abort_reason: str | None = None
    """The reason given to `Answer.abort`."""
    is_continuation: bool = False
    """Whether the message continues the last one of the request."""
    error: BaseException | None = None
    parsed: Any = None
    """The value of `output`; None when there is none."""
    output_error: BaseException | None = None
    """The reason why there is no output: the failure, or a `NoObjectGeneratedError`."""

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The chat's messages as the client has them at the end, as JSON. Save this list.

        They are the messages of the request that `Answer.response` got, and `ui_message`: as the last one, or in place
        of the last one if it continues that. A message without parts is left out. Where the answer is no response to a
        request, or is merged into another one, its own message is all there is.
        """
        earlier = self.request_messages[:-1] if self.is_continuation else self.request_messages
        shown = [message.to_json() if isinstance(message, UIMessage) else message for message in earlier]
        return [*shown, self.ui_message] if self.ui_message.get("parts") else shown

    @property
    def output(self) -> OutputT_co:
        """What ``output=Output.object(…)`` asked for, checked and of its type; the text without an output.

        Raises:
            NoObjectGeneratedError: The text does not fit, or the answer ended before the model wrote it.
            ProviderError: The model failed.
        """
        if self.output_error is not None:
            raise exception_for(self.output_error)
        return self.parsed

    @property
    def reasoning(self) -> Sequence[ReasoningContent]:
        """The blocks of reasoning of the last step."""
        return self.steps[-1].reasoning if self.steps else ()

    @property
    def reasoning_text(self) -> str:
        """The text of the reasoning of the last step."""
        return self.steps[-1].reasoning_text if self.steps else ""

    @property
    def sources(self) -> Sequence[SourceUrl | SourceDocument]:
        """The sources of all steps."""
        return [source for step in self.steps for source in step.sources]

    @property
    def files(self) -> Sequence[File]:
        """The files that the model made in all steps."""
        return [file for step in self.steps for file in step.files]

    @property
    def tool_calls(self) -> Sequence[ToolCallResult]:
        """The tool calls of all steps, each with its output or error."""
        return [call for step in self.steps for call in step.tool_calls]

    @property
    def response(self) -> ModelResponse:
        """The provider's response to the last model call: its id, the model, headers, rate limits."""
        return self.steps[-1].response if self.steps else ModelResponse()

    @property
    def warnings(self) -> Sequence[str]:
        """Sentences about settings and content that were changed or left out for the model, of all steps."""
        return [warning for step in self.steps for warning in step.warnings]

    def outcome(self) -> Outcome:
        """Return the event as an outcome."""
        return Outcome(**{name: getattr(self, name) for name in Outcome.__struct_fields__})


class Callbacks(msgspec.Struct, frozen=True):
    """The application's callbacks. Each may be plain or async. Their exceptions are logged and not raised.

    Raises:
        ConfigurationError: A callback is no function, or ``on_error`` is async: its text goes into the answer at once.
    """

    on_part: Callable[[Part], Any] | None = None
    on_step_finish: Callable[[StepResult], Any] | None = None
    on_finish: Callable[[FinishEvent[Any]], Any] | None = None
    on_error: Callable[[BaseException], str | None] | None = None
    on_abort: Callable[[Sequence[StepResult]], Any] | None = None
    on_step_start: Callable[[StepStartEvent], Any] | None = None
    on_tool_start: Callable[[ToolStartEvent], Any] | None = None
    on_tool_end: Callable[[ToolEndEvent], Any] | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_function(name, getattr(self, name))
        if inspect.iscoroutinefunction(self.on_error):
            raise ConfigurationError("on_error must be a plain function: its text goes into the answer at once")

    def __iter__(self) -> Iterator[Any]:
        # What FastAPI does with an answer in place of its response: it looks for members to write as JSON.
        raise ConfigurationError(NO_RESPONSE)

    async def call(self, name: str, value: Any) -> None:
        """Call a callback, if it is set, and await it."""
        rest = self.begin(name, value)
        if rest is not None:
            await rest

    def begin(self, name: str, value: Any) -> Coroutine[Any, Any, None] | None:
        """Call a callback, if it is set. Return what is left to await; None when nothing is."""
        callback = getattr(self, name)
        if callback is None:
            return None
        try:
            with Contained():
                result = callback(value)
        except Exception as error:  # noqa: BLE001 - logged
            log_failed_callback(name, error)
            return None
        return finish_callback(name, result) if inspect.isawaitable(result) else None

    def error_text(self, error: BaseException) -> str | None:
        """Return the text of ``on_error`` for the browser; None, also for a blank one, for our own text."""
        if self.on_error is None:
            return None
        try:
            with Contained():
                text: Any = self.on_error(error)
        except Exception:
            logger.exception("on_error failed")
            return None
        if inspect.iscoroutine(text):
            text.close()
            logger.error("on_error must be a plain function: its text goes into the answer at once")
        # A blank text would come back as an error without words, which the Messages API refuses.
        return text if isinstance(text, str) and text.strip() else None


async def finish_callback(name: str, result: Awaitable[Any]) -> None:
    try:
        with Contained():
            await result
    except Exception as error:  # noqa: BLE001 - logged
        log_failed_callback(name, error)
        if is_being_cancelled():
            # The callback raised its own error in place of the cancellation. The answer must end all the same.
            raise asyncio.CancelledError from None


def log_failed_callback(name: str, error: Exception) -> None:
    raised = original_error(error)
    how = "was cancelled" if isinstance(raised, asyncio.CancelledError) else "failed"
    logger.error("%s %s", name, how, exc_info=raised)
