"""Every exception usechat raises, in one place.

    UsechatError
    ├─ ConfigurationError      a key, a setting or an optional dependency is missing or wrong
    ├─ RequestError            the client's body is wrong: path into it and an HTTP status
    ├─ StreamProtocolError     an illegal part was about to be sent: our bug, never the client's
    ├─ InvalidPartError        the application brought something that is no part, or has a field of a wrong type
    ├─ ApplicationError        the application's code raised what is no `Exception`, `SystemExit` for instance
    ├─ DecodeError             bytes that are none of the frames a decoder knows
    ├─ ProviderError           the model provider failed
    │  ├─ ProviderStatusError  it answered with an HTTP error status
    │  ├─ ProviderStreamError  it sent an error event, or its stream was cut
    │  ├─ ProviderConnectionError  it could not be reached, or in time
    │  └─ AnswerTimeoutError   a time limit of the answer has passed
    ├─ ToolError               a tool call that cannot be carried out
    │  ├─ NoSuchToolError      the model named a tool that is not there
    │  ├─ InvalidToolInputError  the input does not fit the tool's schema
    │  ├─ ToolCallRepairError  the application's repair of a call failed
    │  ├─ ToolExecutionError   the tool raised, hung or answered something JSON cannot hold
    │  └─ InvalidToolApprovalError  an approval that is forged, altered or out of place
    ├─ NoObjectGeneratedError  the model answered with something else than the object asked for
    ├─ RunError                a run cannot be created, read or written
    └─ ChatError               a saved chat is not there, not yours, or somebody else is writing to it

Errors carry data, not only text: what a caller decides on is an attribute.
"""

from __future__ import annotations

from typing import Literal

__all__ = [
    "AnswerTimeoutError",
    "ApplicationError",
    "ChatError",
    "ConfigurationError",
    "DecodeError",
    "InvalidPartError",
    "InvalidToolApprovalError",
    "InvalidToolInputError",
    "NoObjectGeneratedError",
    "NoSuchToolError",
    "ProviderConnectionError",
    "ProviderError",
    "ProviderStatusError",
    "ProviderStreamError",
    "RequestError",
    "RunError",
    "StreamProtocolError",
    "ToolCallRepairError",
    "ToolError",
    "ToolExecutionError",
    "UsechatError",
]


_MAX_MESSAGE = 2000
_PASSED = {
    "total": "it took longer than",
    "step": "a step took longer than",
    "first_chunk": "the model brought nothing within",
    "chunk": "the model brought nothing more for",
}


class UsechatError(Exception):
    """Base of all exceptions of this package."""


class ConfigurationError(UsechatError):
    """A key, a setting or an optional dependency is missing or wrong. The text says how to mend it."""


class RequestError(UsechatError):
    """The client's request cannot be answered.

    Args:
        message: One short sentence; it never repeats what the client sent.
        path: Where in the body, as in ``messages[2].parts[0].type``; empty for the body as a whole.
        status: The HTTP status to answer with (400, 401, 409, 413, 415 or 422).
    """

    def __init__(self, message: str, *, path: str = "", status: int = 400) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.message = message
        self.path = path
        self.status = status


class StreamProtocolError(UsechatError):
    """An illegal part was about to be sent: a defect in this package, raised in strict mode only."""


class InvalidPartError(UsechatError, TypeError):
    """The application brought something that cannot be part of an answer.

    Args:
        message: What is wrong, with the names of part, field and type. It repeats no value.
        part: The part's class, or the class of what is none.
        field: The field that has a wrong value; None for the part as a whole.
    """

    def __init__(self, message: str, *, part: str, field: str | None = None) -> None:
        super().__init__(message)
        self.part = part
        self.field = field


class ApplicationError(UsechatError):
    """The application's code raised what is no `Exception`: `SystemExit`, the panic of a Rust extension.

    Whoever reads the answer gets this one in its place, because `SystemExit` would end the event loop. Callbacks get
    the original.

    Args:
        error: What was raised.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"the application raised {type(error).__name__}")
        self.error = error


class DecodeError(UsechatError):
    """A decoder met bytes that are no frame of its wire format."""


class ProviderError(UsechatError):
    """The model provider failed.

    Args:
        message: The provider's own words, for logs; the browser gets a masked text. Of a long one the beginning is
            kept, because it goes into log lines.
        provider: For instance ``anthropic``.
        code: The provider's error type, for instance ``overloaded_error``.
        status: The HTTP status, where there was one.
        request_id: The provider's id of the request, where there was one.
        is_retryable: Whether the same request may succeed later.
        retry_after: After how many seconds the provider wants to be asked again, where it says so.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        code: str | None = None,
        status: int | None = None,
        request_id: str | None = None,
        is_retryable: bool = False,
        retry_after: float | None = None,
    ) -> None:
        if len(message) > _MAX_MESSAGE:
            message = f"{message[:_MAX_MESSAGE]} … ({len(message) - _MAX_MESSAGE} more characters)"
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.code = code
        self.status = status
        self.request_id = request_id
        self.is_retryable = is_retryable
        self.retry_after = retry_after


class ProviderStatusError(ProviderError):
    """The provider answered with an HTTP error status."""


class ProviderStreamError(ProviderError):
    """The provider sent an error event, or its stream broke off before its end."""


class ProviderConnectionError(ProviderError):
    """The provider could not be reached, or did not answer in time."""


class AnswerTimeoutError(ProviderError):
    """A time limit of the answer has passed; its ``code`` is ``timeout``.

    Args:
        limit: Which one of `usechat.Timeout`.
        seconds: How long it is.
        provider: Of the model that was waited for.
    """

    def __init__(
        self, limit: Literal["total", "step", "first_chunk", "chunk"], seconds: float, *, provider: str
    ) -> None:
        super().__init__(
            f"the answer was ended: {_PASSED[limit]} {seconds:g} s (timeout.{limit})",
            provider=provider,
            code="timeout",
            # Another try may be quicker; the time for all tries is over.
            is_retryable=limit in ("first_chunk", "chunk"),
        )
        self.limit = limit
        self.seconds = seconds


class ToolError(UsechatError):
    """A tool call that cannot be carried out.

    Args:
        message: What went wrong, for the model to read.
        tool_name: The name the model used.
        tool_call_id: The id of the call.
    """

    sdk_name = "Error"
    """The name the AI SDK gives this error; its text begins with it in AI SDK 7."""

    def __init__(self, message: str, *, tool_name: str, tool_call_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.tool_name = tool_name
        self.tool_call_id = tool_call_id


class NoSuchToolError(ToolError):
    """The model named a tool that is not among those it was given."""

    sdk_name = "AI_NoSuchToolError"


class InvalidToolInputError(ToolError):
    """The tool's input is no JSON or does not fit its schema."""

    sdk_name = "AI_InvalidToolInputError"


class ToolCallRepairError(ToolError):
    """The application's repair of a broken tool call failed itself."""

    sdk_name = "AI_ToolCallRepairError"


class ToolExecutionError(ToolError):
    """The tool raised, did not end in time, or answered something JSON cannot hold."""


class InvalidToolApprovalError(ToolError):
    """An approval that is unsigned, forged, altered or answers no open request."""

    sdk_name = "AI_InvalidToolApprovalError"


class NoObjectGeneratedError(UsechatError):
    """The model's text is no JSON, or not the object it was asked for.

    Args:
        message: What is wrong with it.
        text: What the model wrote.
        finish_reason: Why it ended, in AI SDK 7's words: after ``length`` the text is cut, after ``content-filter`` the
            model has refused.
    """

    def __init__(self, message: str, *, text: str, finish_reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.finish_reason = finish_reason


class RunError(UsechatError):
    """A run cannot be created, read or written.

    Args:
        message: What went wrong.
        code: What a caller can decide on.
    """

    def __init__(self, message: str, *, code: Literal["missing", "exists", "fenced", "full", "unavailable"]) -> None:
        super().__init__(message)
        self.code = code


class ChatError(UsechatError):
    """A saved chat cannot be read or written.

    Args:
        message: One short sentence, fit for the client.
        code: What a caller can decide on: ``missing``, there is no such chat; ``forbidden``, it is another owner's;
            ``conflict``, another turn is being written or was written meanwhile; ``unavailable``, the database is not
            to be reached, locked, full or damaged.
        run_id: The run that holds the chat, where that is the conflict. Without one, the chat has moved on: what was
            planned on its earlier state can be planned anew.
    """

    def __init__(
        self,
        message: str,
        *,
        code: Literal["missing", "conflict", "forbidden", "unavailable"],
        run_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.run_id = run_id
