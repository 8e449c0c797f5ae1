"""Records a step: from its parts to the model messages that the next step is given, and to a `StepResult`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from usechat.messages.model import (
    AssistantContent,
    AssistantMessage,
    CustomContent,
    FileContent,
    ModelMessage,
    ReasoningContent,
    TextContent,
    ToolApprovalRequestContent,
    ToolApprovalResponseContent,
    ToolCallContent,
    ToolContent,
    ToolMessage,
    ToolResultContent,
    ToolResultOutput,
    UserMessage,
)
from usechat.parts import (
    Custom,
    File,
    FinishReason,
    FinishStep,
    ModelPart,
    Part,
    ProviderMetadata,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    SourceDocument,
    SourceUrl,
    TextDelta,
    TextEnd,
    TextStart,
    ToolApprovalRequest,
    ToolApprovalResponse,
    ToolInputAvailable,
    ToolInputDelta,
    ToolInputError,
    ToolInputStart,
    ToolOutputAvailable,
    ToolOutputDenied,
    ToolOutputError,
    Usage,
)

__all__ = ["StepRecorder", "StepResult", "ToolCallResult"]


class ToolCallResult(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call of a step and what came of it."""

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
    """The provider's id of the model's answer."""
    model_id: str | None = None
    """The model that answered, as the provider names it; where it does not, the one that was asked."""
    messages: Sequence[ModelMessage]
    """What the step adds to the conversation."""
    steering_messages: Sequence[UserMessage] = ()
    """What the user had said in the meantime: it comes before ``messages``."""


class StepRecorder:
    """Takes the parts of one step."""

    __slots__ = (
        "answered",
        "blocks",
        "calls",
        "content",
        "decisions",
        "files",
        "has_begun_call",
        "reasoning",
        "results",
        "sources",
        "text",
    )

    def __init__(self) -> None:
        self.blocks: dict[tuple[str, str], Block] = {}
        self.text: dict[str, list[str]] = {}
        """The pieces of each text block: deltas are added to them without coming by `take`."""
        self.reasoning: dict[str, list[str]] = {}
        """The pieces of each reasoning block, likewise."""
        self.content: list[Block | AssistantContent] = []
        self.results: dict[str, ToolResultContent] = {}
        self.decisions: list[ToolApprovalResponseContent] = []
        self.answered: dict[str, None] = {}
        """The calls, of this step or an earlier one, that an output or an error has come for."""
        self.calls: dict[str, ToolCallResult] = {}
        self.sources: list[SourceUrl | SourceDocument] = []
        self.files: list[File] = []
        self.has_begun_call = False
        """Whether a tool's input has begun, which is recorded when it is whole."""

    @property
    def has_content(self) -> bool:
        """Whether there is anything that every client shows."""
        return any(not isinstance(part, CustomContent) for part in (*self.content, *self.sources, *self.files))

    @property
    def has_begun_block(self) -> bool:
        """Whether a block has begun, though nothing may have come of it."""
        return self.has_begun_call or self.has_content

    def take_delta(self, part: ModelPart) -> bool:
        """Record a delta of an open block; return False for any other part, which is left to `take`.

        Tool input is recorded when it is whole.
        """
        kind = type(part)
        if kind is ToolInputDelta:
            return True
        if kind is not TextDelta and kind is not ReasoningDelta:
            return False
        if part.provider_metadata is not None:  # type: ignore[union-attr]
            return False
        pieces = (self.text if kind is TextDelta else self.reasoning).get(part.id)  # type: ignore[union-attr]
        if pieces is not None:
            pieces.append(part.delta)  # type: ignore[union-attr]
        return pieces is not None

    def take(self, part: Part) -> None:
        """Record one part."""
        handler = HANDLERS.get(type(part))
        if handler is not None:
            handler(self, part)

    def take_result(self, result: ToolResultContent) -> None:
        """Record what the model is to get for a call, which may be other than what the client is shown."""
        self.results[result.tool_call_id] = result

    def resolve(self, tool_call_id: str, *, output: Any = None, error_text: str | None = None) -> None:
        """Note how a call ended."""
        call = self.calls.get(tool_call_id)
        if call is not None:
            self.calls[tool_call_id] = msgspec.structs.replace(
                call, output=output, error_text=error_text, is_resolved=True
            )

    @property
    def open_calls(self) -> list[ToolCallResult]:
        """Calls that somebody else than the provider has still to answer."""
        return [call for call in self.own_calls if not call.is_resolved]

    @property
    def own_calls(self) -> list[ToolCallResult]:
        """Calls that the provider does not carry out."""
        return [call for call in self.calls.values() if not call.provider_executed]

    def messages(self) -> list[ModelMessage]:
        """Return the assistant's message, and the tools' one when there are results."""
        results = (self.results.get(call.tool_call_id) for call in self.own_calls)
        answers: tuple[ToolContent, ...] = (*self.decisions, *(result for result in results if result is not None))
        content = tuple(item.content() if isinstance(item, Block) else item for item in self.content)
        assistant = [AssistantMessage(content)] if content else []
        return [*assistant, *([ToolMessage(answers)] if answers else [])]

    def result(self, step_number: int, finish: FinishStep, steering_messages: Sequence[UserMessage] = ()) -> StepResult:
        """Return the step as a whole."""
        return StepResult(
            step_number=step_number,
            text=self.joined("text"),
            reasoning_text=self.joined("reasoning"),
            tool_calls=tuple(self.calls.values()),
            sources=tuple(self.sources),
            files=tuple(self.files),
            finish_reason=finish.finish_reason,
            usage=finish.usage,
            provider_metadata=finish.provider_metadata,
            response_id=finish.response_id,
            model_id=finish.model_id,
            messages=tuple(self.messages()),
            steering_messages=steering_messages,
        )

    def joined(self, kind: str) -> str:
        """Return all ``text`` or all ``reasoning`` so far."""
        return "".join("".join(item.texts) for item in self.content if isinstance(item, Block) and item.kind == kind)


class Block:
    """A text or reasoning block of the step."""

    __slots__ = ("kind", "metadata", "texts")

    def __init__(self, kind: str, metadata: ProviderMetadata | None) -> None:
        self.kind = kind
        self.texts: list[str] = []
        self.metadata: dict[str, Mapping[str, Any]] = dict(metadata or {})

    def merge(self, metadata: ProviderMetadata | None) -> None:
        for provider, values in (metadata or {}).items():
            self.metadata[provider] = {**self.metadata.get(provider, {}), **values}

    def content(self) -> AssistantContent:
        class_ = TextContent if self.kind == "text" else ReasoningContent
        return class_("".join(self.texts), self.metadata or None)


def start(kind: str):
    def take(self: StepRecorder, part: TextStart | ReasoningStart) -> None:
        block = Block(kind, part.provider_metadata)
        self.blocks[kind, part.id] = block
        self.content.append(block)
        (self.text if kind == "text" else self.reasoning)[part.id] = block.texts

    return take


def grow(kind: str):
    def take(self: StepRecorder, part: TextDelta | ReasoningDelta) -> None:
        block = self.blocks.get((kind, part.id))
        if block is not None:
            block.texts.append(part.delta)
            block.merge(part.provider_metadata)

    return take


def end(kind: str):
    def take(self: StepRecorder, part: TextEnd | ReasoningEnd) -> None:
        block = self.blocks.get((kind, part.id))
        if block is not None:
            block.merge(part.provider_metadata)

    return take


def take_call(self: StepRecorder, part: ToolInputAvailable | ToolInputError) -> None:
    self.calls[part.tool_call_id] = ToolCallResult(
        tool_call_id=part.tool_call_id,
        tool_name=part.tool_name,
        input=part.input,
        provider_executed=bool(part.provider_executed),
    )
    # A broken call goes back without an input that is a text or a number (``to-response-messages.ts``, 7.0.173).
    is_broken = isinstance(part, ToolInputError) and isinstance(part.input, str | int | float)
    self.content.append(
        ToolCallContent(
            tool_call_id=part.tool_call_id,
            tool_name=part.tool_name,
            input={} if is_broken else part.input,
            provider_executed=part.provider_executed,
            provider_options=part.provider_metadata,
        )
    )


def take_output(self: StepRecorder, part: ToolOutputAvailable) -> None:
    if part.preliminary:
        return
    self.answered[part.tool_call_id] = None
    self.resolve(part.tool_call_id, output=part.output)
    if part.provider_executed:
        add_provider_result(self, part, ToolResultOutput("json", part.output))


def take_error(self: StepRecorder, part: ToolOutputError) -> None:
    self.answered[part.tool_call_id] = None
    self.resolve(part.tool_call_id, error_text=part.error_text)
    if part.provider_executed:
        add_provider_result(self, part, ToolResultOutput("error-json", part.error_text))


def add_provider_result(
    self: StepRecorder, part: ToolOutputAvailable | ToolOutputError, output: ToolResultOutput
) -> None:
    self.content.append(
        ToolResultContent(
            tool_call_id=part.tool_call_id,
            tool_name=part.tool_name,
            output=output,
            provider_options=part.provider_metadata,
        )
    )


def take_denied(self: StepRecorder, part: ToolOutputDenied) -> None:
    self.resolve(part.tool_call_id)


def take_request(self: StepRecorder, part: ToolApprovalRequest) -> None:
    self.content.append(
        ToolApprovalRequestContent(
            approval_id=part.approval_id,
            tool_call_id=part.tool_call_id,
            signature=part.signature,
            is_automatic=part.is_automatic,
            reason=part.reason,
            input_schema_input=msgspec.UNSET if part.input_schema_input is None else part.input_schema_input,
        )
    )


def take_decision(self: StepRecorder, part: ToolApprovalResponse) -> None:
    self.decisions.append(
        ToolApprovalResponseContent(approval_id=part.approval_id, approved=part.approved, reason=part.reason)
    )


def take_source(self: StepRecorder, part: SourceUrl | SourceDocument) -> None:
    self.sources.append(part)


def take_file(self: StepRecorder, part: File) -> None:
    self.files.append(part)
    head, _, data = part.url.partition(",")
    is_data = head.startswith("data:")
    self.content.append(
        FileContent(media_type=part.media_type, url=None if is_data else part.url, data=data if is_data else None)
    )


def take_custom(self: StepRecorder, part: Custom) -> None:
    self.content.append(CustomContent(part.kind, part.provider_metadata))


def take_input_start(self: StepRecorder, part: ToolInputStart) -> None:
    self.has_begun_call = True


HANDLERS: dict[type, Any] = {
    TextStart: start("text"),
    TextDelta: grow("text"),
    TextEnd: end("text"),
    ReasoningStart: start("reasoning"),
    ReasoningDelta: grow("reasoning"),
    ReasoningEnd: end("reasoning"),
    ToolInputStart: take_input_start,
    ToolInputAvailable: take_call,
    ToolInputError: take_call,
    ToolOutputAvailable: take_output,
    ToolOutputError: take_error,
    ToolOutputDenied: take_denied,
    ToolApprovalRequest: take_request,
    ToolApprovalResponse: take_decision,
    SourceUrl: take_source,
    SourceDocument: take_source,
    File: take_file,
    Custom: take_custom,
}
"""Parts without a row leave nothing for the model."""
