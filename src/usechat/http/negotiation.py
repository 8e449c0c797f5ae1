"""Negotiation: chooses the dialect of a response.

An argument or a setting names it for all requests, the ``x-usechat-sdk`` header for one request. Without them, evidence
in the request raises the default as far as it proves a version (docs/protocol.md, Which version a client is of).
"""

from __future__ import annotations

from collections.abc import Mapping

from usechat.errors import ConfigurationError, RequestError
from usechat.messages.evidence import detect
from usechat.messages.ui import ChatRequest
from usechat.protocol.dialects import AUTO, LINE_MAJORS, Dialect, parse_dialect

__all__ = ["SDK_HEADER", "negotiate"]

SDK_HEADER = "x-usechat-sdk"
"""The request header by which a client names its AI SDK version: ``6.0.100``, or ``6`` for all releases of it."""


def negotiate(chat: ChatRequest | None, headers: Mapping[str, str], sdk: str | int | None = None) -> Dialect:
    """Return the dialect to answer in.

    Args:
        chat: The request's body; None when the body proves nothing, as of a completion.
        headers: The request's headers.
        sdk: The version that the application names, which goes before the header; None or ``auto`` to leave it to the
            request.

    Raises:
        RequestError: The request's header names no known version.
        ConfigurationError: The application names no known version.
    """
    dialect = None if sdk is None else parse_dialect(str(sdk))
    named = headers.get(SDK_HEADER)
    if dialect is None and named is not None:
        try:
            dialect = parse_dialect(named)
        except ConfigurationError as error:
            raise RequestError(str(error), path=SDK_HEADER) from None
    if dialect is None:
        return AUTO if chat is None else from_evidence(chat, headers)
    if chat is not None and not dialect.is_release and dialect.major in LINE_MAJORS:
        return raise_by_evidence(dialect, chat)
    return dialect


def raise_by_evidence(dialect: Dialect, chat: ChatRequest) -> Dialect:
    """Return the dialect of a major or minor, or of the later releases of it that alone can have sent the request."""
    oldest = detect(chat).oldest
    if oldest is None or oldest[0] != dialect.major or oldest <= dialect.version:
        return dialect
    return Dialect(oldest, exact=True, is_release=False)


def from_evidence(chat: ChatRequest, headers: Mapping[str, str]) -> Dialect:
    evidence = detect(chat, headers)
    if evidence.oldest is not None:
        return Dialect(evidence.oldest, exact=True, is_release=False)
    if evidence.version is not None:
        try:
            dialect = parse_dialect(evidence.version)
        except ConfigurationError:
            dialect = None
        if dialect is not None:
            return dialect
    return AUTO if evidence.minimum_major <= 5 else Dialect((evidence.minimum_major, 0, 0), exact=False)
