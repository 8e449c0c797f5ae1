"""Calls of Anthropic models and what they answer, for the tests of `usechat.models.claude.model`."""

from __future__ import annotations

from typing import Any

import msgspec

from usechat.messages.model import TextContent, UserMessage
from usechat.models import anthropic
from usechat.models.base import ModelCall
from usechat.models.claude.model import AnthropicModel
from usechat.parts import ModelFinish, ModelPart, TextDelta
from usechat.testing.replay import ReplayServer

__all__ = ["CALL", "OVERLOADED", "finish", "model_for", "read", "texts"]

CALL = ModelCall(messages=[UserMessage((TextContent("When is high water?"),))])
OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"busy"}}'


async def read(model: AnthropicModel, call: ModelCall = CALL) -> list[ModelPart]:
    """All parts of an answer."""
    return [part async for batch in model.stream(call) for part in batch]


def texts(parts: list[ModelPart]) -> str:
    """The text of an answer."""
    return "".join(part.delta for part in parts if isinstance(part, TextDelta))


def finish(parts: list[ModelPart]) -> ModelFinish:
    """How an answer ended, as its events tell: without the response's headers."""
    last = parts[-1]
    assert isinstance(last, ModelFinish)
    return msgspec.structs.replace(last, headers=())


def model_for(server: ReplayServer, **options: Any) -> AnthropicModel:
    """A model whose provider is ``server``."""
    return anthropic("claude-sonnet-4-6", base_url=server.url, api_key="key-1", **options)
