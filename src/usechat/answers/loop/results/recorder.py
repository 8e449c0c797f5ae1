"""Record the parts of a step: as model messages for the next step, and as a `StepResult`.

Knows no model, no tools and no wire format.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from usechat.answers.loop.results.step_result import StepResult, ToolCallResult
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
    FinishStep,
    ModelFinish,
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
)

__all__ = ["StepRecorder", "StepResult", "ToolCallResult"]


class StepRecorder:
    """Recorder of the parts of one step."""

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
        """The pieces of each text block, by block id. `feed_deltas` appends to them directly."""
        self.reasoning: dict[str, list[str]] = {}
        """The pieces of each reasoning block, by block id. `feed_deltas` appends to them directly."""
        self.content: list[Block | AssistantContent] = []
        self.results: dict[str, ToolResultContent] = {}
        self.decisions: list[ToolApprovalResponseContent] = []
        self.answered: dict[str, None] = {}
        """The calls, of this step or an earlier one, that have an output or an error. An ordered set."""
        self.calls: dict[str, ToolCallResult] = {}
        self.sources: list[SourceUrl | SourceDocument] = []
        self.files: list[File] = []
        self.has_begun_call = False
        """Whether a tool's input has begun. The call itself is recorded when its input is complete."""

    @property
    def has_content(self) -> bool:
        """Whether the step has content that every client shows."""
        return any(not isinstance(part, CustomContent) for part in (*self.content, *self.sources, *self.files))

    @property
    def has_output(self) -> bool:
        """Whether the model has written something: text, reasoning, or any other content. An empty block is nothing."""
        return any(
            any(part.texts) if isinstance(part, Block) else not isinstance(part, CustomContent) for part in self.content
        )

    @property
    def has_sure_content(self) -> bool:
        """Whether the step has content that no backend leaves out, as it may do with reasoning and sources."""
        return bool(self.files) or any(
            part.kind == "text" if isinstance(part, Block) else isinstance(part, ToolCallContent)
            for part in self.content
        )

    @property
    def has_custom(self) -> bool:
        """Whether the step has a part of the provider's own."""
        return any(isinstance(part, CustomContent) for part in self.content)

    @property
    def has_begun_block(self) -> bool:
        """Whether a block has begun; it may still be empty."""
        return self.has_begun_call or self.has_content

    def feed_deltas(self, parts: Iterator[ModelPart], shown: list[Part]) -> ModelPart | None:
        """Record the next deltas of open blocks and append them to ``shown``. Return the part that ends them, or None.

        The caller feeds that part to `feed`. Deltas of a tool's input are only appended: the input is recorded when it
        is complete.
        """
        part: Any
        for part in parts:
            kind = part.__class__
            if kind is not ToolInputDelta:
                if kind is TextDelta:
                    pieces = self.text.get(part.id)
                elif kind is ReasoningDelta:
                    pieces = self.reasoning.get(part.id)
                else:
                    return part
                if pieces is None or part.provider_metadata is not None:
                    return part
                pieces.append(part.delta)
            shown.append(part)
        return None

    def feed(self, part: Part) -> None:
        """Record one part."""
        handler = self.HANDLERS.get(type(part))
        if handler is not None:
            handler(self, part)

    def add_result(self, result: ToolResultContent) -> None:
        """Record the result of a call for the model. It may differ from the output that the client is shown."""
        self.results[result.tool_call_id] = result

    def resolve(self, tool_call_id: str, *, output: Any = None, error_text: str | None = None) -> None:
        """Record the output or the error of a call."""
        call = self.calls.get(tool_call_id)
        if call is not None:
            self.calls[tool_call_id] = msgspec.structs.replace(
                call, output=output, error_text=error_text, is_resolved=True
            )

    @property
    def open_calls(self) -> list[ToolCallResult]:
        """Calls that have no output yet and that the provider does not execute."""
        return [call for call in self.own_calls if not call.is_resolved]

    @property
    def own_calls(self) -> list[ToolCallResult]:
        """Calls that the provider does not execute."""
        return [call for call in self.calls.values() if not call.provider_executed]

    def messages(self) -> list[ModelMessage]:
        """Return the assistant message, and a tool message when there are results or decisions."""
        results = (self.results.get(call.tool_call_id) for call in self.own_calls)
        answers: tuple[ToolContent, ...] = (*self.decisions, *(result for result in results if result is not None))
        content = tuple(item.content() if isinstance(item, Block) else item for item in self.content)
        assistant = [AssistantMessage(content)] if content else []
        return [*assistant, *([ToolMessage(answers)] if answers else [])]

    def result(
        self,
        step_number: int,
        finish: FinishStep,
        steering_messages: Sequence[UserMessage] = (),
        ended: ModelFinish | None = None,
    ) -> StepResult:
        """Return the whole step. ``ended`` is what the model said at the end of its call."""
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
            headers=() if ended is None else ended.headers,
            warnings=() if ended is None else ended.warnings,
        )

    def joined(self, kind: str) -> str:
        """Return the joined text of all blocks of a kind so far: ``text`` or ``reasoning``."""
        return "".join("".join(item.texts) for item in self.content if isinstance(item, Block) and item.kind == kind)

    def _start_text(self, part: TextStart) -> None:
        self.text[part.id] = self._start_block("text", part).texts

    def _start_reasoning(self, part: ReasoningStart) -> None:
        self.reasoning[part.id] = self._start_block("reasoning", part).texts

    def _start_block(self, kind: str, part: TextStart | ReasoningStart) -> Block:
        block = self.blocks[kind, part.id] = Block(kind, part.provider_metadata)
        self.content.append(block)
        return block

    def _grow_text(self, part: TextDelta) -> None:
        self._grow_block("text", part)

    def _grow_reasoning(self, part: ReasoningDelta) -> None:
        self._grow_block("reasoning", part)

    def _grow_block(self, kind: str, part: TextDelta | ReasoningDelta) -> None:
        block = self.blocks.get((kind, part.id))
        if block is not None:
            block.texts.append(part.delta)
            block.merge(part.provider_metadata)

    def _end_text(self, part: TextEnd) -> None:
        self._end_block("text", part)

    def _end_reasoning(self, part: ReasoningEnd) -> None:
        self._end_block("reasoning", part)

    def _end_block(self, kind: str, part: TextEnd | ReasoningEnd) -> None:
        block = self.blocks.get((kind, part.id))
        if block is not None:
            block.merge(part.provider_metadata)

    def _add_call(self, part: ToolInputAvailable | ToolInputError) -> None:
        self.calls[part.tool_call_id] = ToolCallResult(
            tool_call_id=part.tool_call_id,
            tool_name=part.tool_name,
            input=part.input,
            provider_executed=bool(part.provider_executed),
        )
        # A broken call goes back without an input that is a text or a number (``to-response-messages.ts``, 7.0.173).
        # Without a null, too: clients drop it, and the model would read another input in later turns.
        is_broken = isinstance(part, ToolInputError) and isinstance(part.input, str | int | float | None)
        self.content.append(
            ToolCallContent(
                tool_call_id=part.tool_call_id,
                tool_name=part.tool_name,
                input={} if is_broken else part.input,
                provider_executed=part.provider_executed,
                provider_options=part.provider_metadata,
            )
        )

    def _add_output(self, part: ToolOutputAvailable) -> None:
        if part.preliminary:
            return
        self.answered[part.tool_call_id] = None
        self.resolve(part.tool_call_id, output=part.output)
        if part.provider_executed:
            self._add_provider_result(part, ToolResultOutput("json", part.output))

    def _add_error(self, part: ToolOutputError) -> None:
        self.answered[part.tool_call_id] = None
        self.resolve(part.tool_call_id, error_text=part.error_text)
        if part.provider_executed:
            self._add_provider_result(part, ToolResultOutput("error-json", part.error_text))

    def _add_provider_result(self, part: ToolOutputAvailable | ToolOutputError, output: ToolResultOutput) -> None:
        self.content.append(
            ToolResultContent(
                tool_call_id=part.tool_call_id,
                tool_name=part.tool_name,
                output=output,
                provider_options=part.provider_metadata,
            )
        )

    def _add_denial(self, part: ToolOutputDenied) -> None:
        self.resolve(part.tool_call_id)

    def _add_request(self, part: ToolApprovalRequest) -> None:
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

    def _add_decision(self, part: ToolApprovalResponse) -> None:
        self.decisions.append(
            ToolApprovalResponseContent(approval_id=part.approval_id, approved=part.approved, reason=part.reason)
        )

    def _add_source(self, part: SourceUrl | SourceDocument) -> None:
        self.sources.append(part)

    def _add_file(self, part: File) -> None:
        self.files.append(part)
        head, _, data = part.url.partition(",")
        is_data = head.startswith("data:")
        self.content.append(
            FileContent(media_type=part.media_type, url=None if is_data else part.url, data=data if is_data else None)
        )

    def _add_custom(self, part: Custom) -> None:
        self.content.append(CustomContent(part.kind, part.provider_metadata))

    def _add_input_start(self, part: ToolInputStart) -> None:
        self.has_begun_call = True

    HANDLERS: ClassVar[dict[type, Any]] = {
        TextStart: _start_text,
        TextDelta: _grow_text,
        TextEnd: _end_text,
        ReasoningStart: _start_reasoning,
        ReasoningDelta: _grow_reasoning,
        ReasoningEnd: _end_reasoning,
        ToolInputStart: _add_input_start,
        ToolInputAvailable: _add_call,
        ToolInputError: _add_call,
        ToolOutputAvailable: _add_output,
        ToolOutputError: _add_error,
        ToolOutputDenied: _add_denial,
        ToolApprovalRequest: _add_request,
        ToolApprovalResponse: _add_decision,
        SourceUrl: _add_source,
        SourceDocument: _add_source,
        File: _add_file,
        Custom: _add_custom,
    }
    """Recorders by type of part. A part without a row leaves nothing for the model."""


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
