"""Every exception usechat raises, in one place.

    UsechatError
    ├─ ConfigurationError      a key, a setting or an optional dependency is missing or wrong
    ├─ RequestError            the client's body is wrong: path into it and an HTTP status
    ├─ StreamProtocolError     an illegal part was about to be sent: our bug, never the client's
    ├─ InvalidPartError        the application sent something that is no part, or a part with a field of a wrong type
    ├─ ApplicationError        the application's code raised something that is no `Exception`, such as `SystemExit`
    ├─ DecodeError             bytes that are no frame of a decoder's format
    ├─ ProviderError           the model provider failed
    │  ├─ ProviderStatusError  it answered with an HTTP error status
    │  ├─ ProviderStreamError  it sent an error event, or its stream was cut
    │  ├─ ProviderConnectionError  it could not be reached, or not in time
    │  └─ AnswerTimeoutError   a time limit of the answer has passed
    ├─ ToolError               a tool call cannot be executed
    │  ├─ NoSuchToolError      the model named an unknown tool
    │  ├─ InvalidToolInputError  the input does not fit the tool's schema
    │  ├─ ToolCallRepairError  the application's repair of a call failed
    │  ├─ ToolExecutionError   the tool raised, hung or returned something that JSON cannot hold
    │  └─ InvalidToolApprovalError  an approval is forged, altered or answers no open request
    ├─ NoObjectGeneratedError  the model's answer is not the requested object
    ├─ RunError                a run cannot be created, read or written
    ├─ AnswerFailedError       an answer failed, and its wire format cannot tell so
    └─ ChatError               a saved chat is missing, belongs to another owner or is being written

Errors carry data, not only text: everything that a caller decides on is an attribute.
"""

from __future__ import annotations

import secrets
from typing import Literal

__all__ = [
    "AnswerFailedError",
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

    @property
    def log_id(self) -> str:
        """An id of this failure, which is in its log line and in the browser's text."""
        return self.__dict__.setdefault("_log_id", secrets.token_hex(4))


class ConfigurationError(UsechatError):
    """A key, a setting or an optional dependency is missing or wrong. The text says how to fix it."""


class RequestError(UsechatError):
    """The client's request cannot be answered.

    Args:
        message: One short sentence; it never repeats what the client sent.
        path: The path in the body, for example ``messages[2].parts[0].type``; empty for the whole body.
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
    """The application sent something that cannot be part of an answer.

    Args:
        message: What is wrong, with the names of part, field and type. It repeats no value.
        part: The name of the part's class, or of the wrong value's class.
        field: The field with the wrong value; None for the whole part.
    """

    def __init__(self, message: str, *, part: str, field: str | None = None) -> None:
        super().__init__(message)
        self.part = part
        self.field = field


class ApplicationError(UsechatError):
    """The application's code raised something that is no `Exception`: `SystemExit`, the panic of a Rust extension.

    Readers of the answer get this error instead, because `SystemExit` would end the event loop. Callbacks get the
    original.

    Args:
        error: The original.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(f"the application raised {type(error).__name__}")
        self.error = error


class DecodeError(UsechatError):
    """A decoder met bytes that are no frame of its wire format."""


class ProviderError(UsechatError):
    """The model provider failed.

    Args:
        message: The provider's own text, for logs; the browser gets a fixed text for each kind of failure. A long
            message is cut, because it goes into log lines.
        provider: The provider's name, for example ``anthropic``.
        code: The provider's error type, for example ``overloaded_error``; or one of this package: ``timeout``,
            ``connection_error``, ``connection_lost``, ``invalid_response``, ``invalid_json``, ``no_events``,
            ``empty_answer``, ``incomplete_answer``.
        status: The HTTP status, if there was one.
        request_id: The provider's id of the request, if there was one.
        is_retryable: Whether the same request may succeed later.
        retry_after: Seconds after which the provider asks for another try; None if it does not say.
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
        limit: The field of `usechat.Timeout`.
        seconds: The limit in seconds.
        provider: The provider of the model.
    """

    def __init__(
        self, limit: Literal["total", "step", "first_chunk", "chunk"], seconds: float, *, provider: str
    ) -> None:
        super().__init__(
            f"the answer was ended: {_PASSED[limit]} {seconds:g} s (timeout.{limit})",
            provider=provider,
            code="timeout",
            # For these limits another try may be quicker. For the others, the time of all tries has passed.
            is_retryable=limit in ("first_chunk", "chunk"),
        )
        self.limit = limit
        self.seconds = seconds


class ToolError(UsechatError):
    """A tool call cannot be executed.

    Args:
        message: The text for the model.
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
    """The model named a tool that it was not given."""

    sdk_name = "AI_NoSuchToolError"


class InvalidToolInputError(ToolError):
    """The tool's input is no JSON or does not fit its schema."""

    sdk_name = "AI_InvalidToolInputError"


class ToolCallRepairError(ToolError):
    """The application's repair of a broken tool call failed."""

    sdk_name = "AI_ToolCallRepairError"


class ToolExecutionError(ToolError):
    """The tool raised, did not end in time, or returned something that JSON cannot hold."""


class InvalidToolApprovalError(ToolError):
    """An approval is unsigned, forged, altered or answers no open request."""

    sdk_name = "AI_InvalidToolApprovalError"


class NoObjectGeneratedError(UsechatError):
    """The model's text is no JSON, or not the requested object.

    Args:
        message: The mistake in the text.
        text: The model's text.
        finish_reason: The finish reason in AI SDK 7's words: after ``length`` the text is cut, after ``content-filter``
            the model has refused.
    """

    def __init__(self, message: str, *, text: str, finish_reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.text = text
        self.finish_reason = finish_reason


class RunError(UsechatError):
    """A run cannot be created, read or written.

    Args:
        message: One short sentence.
        code: The kind of failure: ``missing``, ``exists``, ``fenced``, ``full`` or ``unavailable``.
    """

    def __init__(self, message: str, *, code: Literal["missing", "exists", "fenced", "full", "unavailable"]) -> None:
        super().__init__(message)
        self.code = code


class AnswerFailedError(UsechatError):
    """An answer failed, and its wire format has no frame for errors.

    The client gets an error status or a broken connection. The text is for the client.
    """


class ChatError(UsechatError):
    """A saved chat cannot be read or written.

    Args:
        message: One short sentence, fit for the client.
        code: The kind of failure. ``missing``: there is no such chat. ``forbidden``: the chat is another owner's.
            ``conflict``: another turn is being written, or was written meanwhile. ``unavailable``: the database is
            locked, full or damaged, or cannot be reached.
        run_id: The run that holds the chat, for a conflict with an open turn. A conflict without it means that the chat
            has changed since the turn was planned, so the turn can be planned again.
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
