"""Parts of the message and its steps: their starts and ends, errors, and changes of the whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from usechat.parts.values import FinishReason, ProviderMetadata, Usage

__all__ = [
    "Abort",
    "Error",
    "Finish",
    "FinishStep",
    "MessageMetadata",
    "ModelFinish",
    "ResetStep",
    "Start",
    "StartStep",
    "SteeringMessage",
]


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """The start of the answer."""

    message_id: str | None = None
    """The UI message's id.

    In a continuation it is absent or the id of the continued message (docs/protocol.md, UI message stream).
    """
    message_metadata: Any = None


class StartStep(msgspec.Struct, frozen=True, kw_only=True):
    """The start of a step, that is a model call and its tools."""

    message_id: str | None = None
    """The message id for AI SDK 4 (its ``f:`` frame)."""


class MessageMetadata(msgspec.Struct, frozen=True):
    """Metadata of the message, which the client merges deeply with earlier metadata."""

    message_metadata: Any


class ModelFinish(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a model call. Only models yield it; the loop replaces it by `FinishStep`."""

    finish_reason: FinishReason
    usage: Usage
    provider_metadata: ProviderMetadata | None = None
    response_id: str | None = None
    model_id: str | None = None
    is_complete: bool = True
    """Whether the message came to its end. An incomplete one was cut, unless the provider gave a reason."""
    headers: tuple[tuple[bytes, bytes], ...] = ()
    """The response's headers, as the provider sent them."""
    warnings: tuple[str, ...] = ()
    """Sentences about settings and content of the call that were changed or left out for this model."""


class FinishStep(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a step, that is a model call and its tools."""

    finish_reason: FinishReason
    usage: Usage
    provider_metadata: ProviderMetadata | None = None
    is_continued: bool = False
    response_id: str | None = None
    """The provider's id of the model's answer."""
    model_id: str | None = None
    """The provider's name of the model that answered."""


class Finish(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the answer, with the finish reason of the last step and the usage of all steps."""

    finish_reason: FinishReason
    total_usage: Usage
    message_metadata: Any = None


class Abort(msgspec.Struct, frozen=True):
    """The end of an answer that was stopped."""

    reason: str | None = None


class Error(msgspec.Struct, frozen=True):
    """A failure of the answer. The client ignores all parts after it."""

    error_text: str
    """The text for the browser."""
    error: BaseException | None = None
    """The exception; it is never sent."""


class ResetStep(msgspec.Struct, frozen=True):
    """The restart of a step: the client removes the step's parts (AI SDK 7.0.70 and later)."""


class SteeringMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A user message that the answer took in while it ran (AI SDK 7.0.163 and later)."""

    id: str
    parts: tuple[Mapping[str, Any], ...]
