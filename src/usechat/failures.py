"""Texts of failures: a fixed text for the browser, the error's own text for the log, and an id in both.

A provider's texts name keys, organisations and models, so the browser never gets them. Each kind of failure has a fixed
text instead, which says what the user can do. Knows no provider's client.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from usechat.errors import (
    ConfigurationError,
    InvalidPartError,
    InvalidToolApprovalError,
    ProviderConnectionError,
    ProviderError,
    ProviderStreamError,
    RequestError,
    UsechatError,
)
from usechat.guard import describe_error
from usechat.protocol.options import MASKED_ERROR

__all__ = ["log_failure", "shown_text"]

LATER: Final = "Try again in a minute."
UNREACHABLE: Final = f"The model cannot be reached. {LATER}"
BROKEN: Final = "The model's answer broke off. Try again."
WORDS: Final[dict[str, str]] = {
    "approval": "This approval does not count any more, and the tool has not run. Ask for it again.",
    "authentication": "The model's provider does not accept the key of this server.",
    "billing": "The model's provider refuses this server for lack of credit.",
    "busy": f"The model is overloaded at the moment. {LATER}",
    "connection": UNREACHABLE,
    "broken": BROKEN,
    "empty": "The model's answer was empty.",
    "failed": f"The model's provider has failed. {LATER}",
    "file": "The model cannot read a file of this conversation.",
    "invalid-part": "This server's answer held something that cannot be sent.",
    "invalid-request": "The model's provider does not accept this conversation.",
    "misconfigured": "This server is not set up for its model.",
    "permission": "This server's key may not use the model.",
    "rate-limit": f"The model gets too many requests at the moment. {LATER}",
    "timeout": "The model did not answer in time. Try again.",
    "too-long": "The conversation is too long for the model.",
    "unknown-model": "The model's provider does not know the model.",
}
"""The browser's texts by kind of failure. For other failures it gets `MASKED_ERROR`."""
KINDS: Final[dict[str | int, str]] = {
    # the provider's code, or the HTTP status if the code is unknown
    "authentication_error": "authentication",
    "billing_error": "billing",
    "connection_error": "connection",
    "connection_lost": "broken",
    "empty_answer": "empty",
    "incomplete_answer": "broken",
    "not_found_error": "unknown-model",
    "overloaded_error": "busy",
    "permission_error": "permission",
    "rate_limit_error": "rate-limit",
    "request_too_large": "too-long",
    "timeout": "timeout",
    "timeout_error": "timeout",
    401: "authentication",
    402: "billing",
    403: "permission",
    404: "unknown-model",
    408: "timeout",
    413: "too-long",
    429: "rate-limit",
    503: "busy",
    504: "timeout",
    529: "busy",
}
REFUSALS: Final = (
    # An invalid request has no finer code, only Anthropic's text (errors of the Messages API, 2026-09).
    (re.compile(r"credit balance", re.IGNORECASE), "billing"),
    (re.compile(r"prompt is too long|context (limit|window)|exceed.* maximum .*tokens", re.IGNORECASE), "too-long"),
    (re.compile(r"\b(image|images|document|pdf|file)\b", re.IGNORECASE), "file"),
)


def shown_text(error: BaseException, chosen: str | None) -> str:
    """Return the browser's text for a failure.

    Args:
        error: The failure.
        chosen: The text that ``on_error`` returned. It overrides the fixed texts.
    """
    if chosen is not None:
        return chosen
    if isinstance(error, RequestError):
        # The client must learn the mistake in its request. The text repeats nothing of the request.
        return describe_error(error)
    words = WORDS.get(kind_of(error) or "")
    if words is None and not isinstance(error, ProviderError):
        return MASKED_ERROR
    assert isinstance(error, UsechatError)
    return f"{words or MASKED_ERROR} (error {error.log_id})"


def kind_of(error: BaseException) -> str | None:
    """Return the kind of a failure, a key of `WORDS`; None when no kind fits."""
    match error:
        case ConfigurationError():
            return "misconfigured"
        case InvalidPartError():
            return "invalid-part"
        case InvalidToolApprovalError():
            return "approval"
        case ProviderError():
            return KINDS.get(error.code or "") or KINDS.get(error.status or 0) or kind_of_failure(error)
        case _:
            return None


def kind_of_failure(error: ProviderError) -> str | None:
    if error.code == "invalid_request_error" or error.status in (400, 422):
        found = (kind for pattern, kind in REFUSALS if pattern.search(error.message))
        return next(found, "invalid-request")
    if error.code == "api_error" or (error.status or 0) >= 500:
        return "failed"
    if isinstance(error, ProviderConnectionError):
        return "connection"
    return "broken" if isinstance(error, ProviderStreamError) else None


def log_failure(logger: logging.Logger, what: str, error: BaseException) -> None:
    """Log a failure: an error of this package in one line with its id, any other with its traceback."""
    if isinstance(error, UsechatError):
        code = f", {error.code}" if isinstance(error, ProviderError) and error.code else ""
        logger.warning("%s (error %s%s): %s", what, error.log_id, code, describe_error(error))
    else:
        logger.error(what, exc_info=error)
