"""`generate_text`: an answer without streaming, for jobs and scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack, cast

from typing_extensions import TypeVar

from usechat.answers.answer import FinishEvent, MessageMetadataCallback
from usechat.answers.arguments.call_options import CallOptions
from usechat.answers.arguments.inputs import Messages
from usechat.answers.calls.events import StepStartEvent, ToolEndEvent, ToolStartEvent
from usechat.answers.calls.read import RepairToolCall
from usechat.answers.loop.request import PrepareStep
from usechat.answers.loop.results.recorder import StepResult
from usechat.answers.loop.steering import Steering
from usechat.answers.objects.output import Output
from usechat.answers.smooth import Transform
from usechat.answers.stop import StopCondition
from usechat.answers.stream_text import StreamTextResult, stream_text
from usechat.checks import check_model, refuse_unknown
from usechat.models.base import Model, ToolChoice
from usechat.parts import Part
from usechat.tools.tool import ToolApproval, Tools
from usechat.tools.used_approvals import UsedApprovals

__all__ = ["AnswerOptions", "TextOptions", "finish_of", "generate_text"]

OutputT = TypeVar("OutputT", default=str)


class AnswerOptions(CallOptions, total=False):
    """Options of an answer other than its model, messages and tools; `stream_text` describes each."""

    tool_choice: ToolChoice | None
    active_tools: Sequence[str] | None
    stop_when: StopCondition | Sequence[StopCondition] | None
    stop_sequences: Sequence[str]
    prepare_step: PrepareStep | None
    repair_tool_call: RepairToolCall | None
    continue_paused: bool
    stream_retries: int
    tool_approval: ToolApproval | None
    tool_call_concurrency: int | None
    approval_secret: str | bool | None
    used_approvals: UsedApprovals | bool | None
    message_metadata: MessageMetadataCallback | bool | None
    transform: Transform | None
    allow_system_messages: bool
    convert_data_part: Callable[[Mapping[str, Any]], Any] | None
    on_part: Callable[[Part], Any] | None
    on_step_start: Callable[[StepStartEvent], Any] | None
    on_tool_start: Callable[[ToolStartEvent], Any] | None
    on_tool_end: Callable[[ToolEndEvent], Any] | None
    on_step_finish: Callable[[StepResult], Any] | None
    on_finish: Callable[[FinishEvent[Any]], Any] | None
    on_error: Callable[[BaseException], str | None] | None
    on_abort: Callable[[Sequence[StepResult]], Any] | None


class TextOptions(AnswerOptions, total=False):
    """Options of `stream_text` other than the model; it describes each."""

    messages: Messages | None
    prompt: str | None
    tools: Tools | None
    steering: Steering | None
    context: Any


async def generate_text(
    model: Model, *, output: Output[OutputT] | None = None, **options: Unpack[TextOptions]
) -> FinishEvent[OutputT]:
    """Answer as `stream_text` does, and wait for all of it: the text, the steps, the usage and the UI message.

        print((await generate_text(anthropic("claude-sonnet-4-6"), prompt="A joke")).text)

    Args:
        model: For instance ``anthropic("claude-sonnet-4-6")``.
        output: As for `stream_text`; the event's ``output`` has the value.
        **options: Those of `stream_text`: ``prompt`` or ``messages``, ``tools``, ``stop_when``, ``system``,
            ``temperature``, ``max_output_tokens`` and so on.

    Raises:
        ConfigurationError: An option is unknown or makes no sense, or two contradict each other.
        RequestError: A message cannot be expressed to a model.
        ProviderError: The model failed.
    """
    check_model("generate_text", model)
    refuse_unknown("generate_text", options, TextOptions, "output")
    return await finish_of(stream_text(model, output=output, **options))


async def finish_of(result: StreamTextResult[OutputT]) -> FinishEvent[OutputT]:
    """Make an answer to its end and return how it ended.

    Raises:
        RequestError: A message cannot be expressed to a model.
        ProviderError: The model failed.
    """
    await result.text
    assert result.final is not None
    return cast("FinishEvent[OutputT]", result.final)
