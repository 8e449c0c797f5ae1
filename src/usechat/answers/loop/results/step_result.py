"""The result of one step: its text, its calls and their outcomes, its usage and the provider's response."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from usechat.answers.loop.results.model_response import ModelResponse
from usechat.messages.model import AssistantMessage, ModelMessage, ReasoningContent, UserMessage
from usechat.parts import File, FinishReason, ProviderMetadata, SourceDocument, SourceUrl, Usage

__all__ = ["StepResult", "ToolCallResult"]


class ToolCallResult(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of a step and its outcome."""

    tool_call_id: str
    tool_name: str
    input: Any
    provider_executed: bool = False
    output: Any = None
    error_text: str | None = None
    is_resolved: bool = False
    """Whether there is an output, an error or a denial."""


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """One step: a model call and its tools."""

    step_number: int
    """From 0."""
    text: str
    reasoning_text: str
    tool_calls: Sequence[ToolCallResult]
    sources: Sequence[SourceUrl | SourceDocument]
    files: Sequence[File]
    finish_reason: FinishReason
    usage: Usage
    provider_metadata: ProviderMetadata | None
    response_id: str | None = None
    """The provider's id of the model's response."""
    model_id: str | None = None
    """The provider's name of the model that answered; the name of the requested model when the provider gives none."""
    messages: Sequence[ModelMessage]
    """The messages that the step adds to the conversation."""
    steering_messages: Sequence[UserMessage] = ()
    """Messages that the user sent during the answer. They come before ``messages``."""
    warnings: Sequence[str] = ()
    """Sentences about settings and content of the call that were changed or left out for its model."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    """The provider's headers as they came; ``response.headers`` is easier to read."""

    @property
    def response(self) -> ModelResponse:
        """The provider's response: id, model, headers, rate limits."""
        return ModelResponse(id=self.response_id, model_id=self.model_id, raw_headers=self.headers)

    @property
    def reasoning(self) -> Sequence[ReasoningContent]:
        """The blocks of reasoning, with the provider's signatures."""
        said = [message for message in self.messages if isinstance(message, AssistantMessage)]
        return [item for message in said for item in message.content if isinstance(item, ReasoningContent)]
