"""`generate_text`: an answer without streaming, for jobs and scripts."""

from __future__ import annotations

from typing import Any

from usechat.generate.answer import FinishEvent
from usechat.generate.stream_text import stream_text
from usechat.models.base import Model

__all__ = ["generate_text"]


async def generate_text(model: Model, **options: Any) -> FinishEvent:
    """As `stream_text`, whole: the text, the steps, the usage and the UI message.

    Args:
        model: For instance ``anthropic("claude-sonnet-4-6")``.
        options: Those of `stream_text`.

    Raises:
        ConfigurationError: The arguments contradict each other.
        RequestError: A message cannot be expressed to a model.
        ProviderError: The model failed.
    """
    result = stream_text(model, **options)
    await result.text
    assert result.final is not None
    return result.final
