"""The settings of a model call that `stream_text`, `stream_object` and their like take and hand on as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from usechat.models.base import Timeout

__all__ = ["CallOptions"]


class CallOptions(TypedDict, total=False):
    """All are the provider's to interpret; what is not given is left to it."""

    system: str | None
    """Instructions."""
    max_output_tokens: int | None
    """Tokens; the model's own limit without it."""
    temperature: float | None
    top_p: float | None
    top_k: int | None
    provider_options: Mapping[str, Mapping[str, Any]] | None
    """``{"anthropic": {…}}``, whatever else the provider's API takes."""
    headers: Mapping[str, str] | None
    """Sent to the provider."""
    max_retries: int | None
    """Of a request that failed before its first byte; the provider package's own number without it."""
    timeout: Timeout | None
    """How long the answer may take, and how long the provider may be silent."""
