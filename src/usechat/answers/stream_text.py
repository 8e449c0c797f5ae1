"""`stream_text`: an answer by a model, its tools and as many steps as it takes.

Upstream: ``streamText`` and its result (``stream-text.ts``, 7.0.173), in snake case.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Unpack

import msgspec
from typing_extensions import TypeVar

from usechat.answers.answer import Answer, Callbacks, FinishEvent, MessageMetadataCallback, Outcome
from usechat.answers.arguments.call_options import CallOptions, check_active, check_choice, check_settings
from usechat.answers.arguments.inputs import Messages, given_messages, read_messages
from usechat.answers.arguments.option_checks import (
    check_options,
    read_approval_policy,
    read_secret,
    read_used_approvals,
)
from usechat.answers.calls.events import StepStartEvent, ToolEndEvent, ToolStartEvent
from usechat.answers.calls.read import RepairToolCall
from usechat.answers.loop.model_turn import ModelTurn
from usechat.answers.loop.request import LoopRequest, PrepareStep
from usechat.answers.loop.results.recorder import StepResult
from usechat.answers.loop.steering import Steering
from usechat.answers.loop.turn import Turn
from usechat.answers.metadata import DefaultMetadata
from usechat.answers.objects.output import Output, read_elements, read_partials
from usechat.answers.smooth import Transform
from usechat.answers.stop import StopCondition, read_conditions
from usechat.apart import is_large, work_apart
from usechat.checks import check_model, option_names
from usechat.guard import Contained, original_error
from usechat.messages.model import ModelMessage
from usechat.models.base import Model, ModelCall, ToolChoice
from usechat.parts import Part
from usechat.tools.tool import ToolApproval, Tools, read_tools
from usechat.tools.used_approvals import UsedApprovals

__all__ = ["StreamTextResult", "stream_text"]

OutputT = TypeVar("OutputT", default=str)
OutputT_co = TypeVar("OutputT_co", covariant=True, default=str)

FREE_PAUSES = 10
"""Paused steps that the default stop condition does not count: who asks for one step does not know of pauses."""


class StreamTextResult(Answer, Generic[OutputT_co]):
    """An answer by a model."""

    settles_lost_calls = True

    def __init__(
        self,
        request: LoopRequest,
        messages: Messages,
        callbacks: Callbacks,
        *,
        message_metadata: MessageMetadataCallback | None = None,
        transform: Transform | None = None,
        steering: Steering | None = None,
        convert_options: Mapping[str, Any],
        output: Output[OutputT_co] | None = None,
    ) -> None:
        super().__init__(callbacks, message_metadata, transform)
        self.request = request
        if steering is not None:
            request.steering = steering.run.start()
        self.messages = messages
        self.convert_options: Mapping[str, Any] = convert_options
        self.is_prepared = False
        self.wanted = output

    @property
    def output(self) -> Awaitable[OutputT_co]:
        """What ``output=Output.object(…)`` asked for, checked and of its type; the text without an output.

        Raises:
            NoObjectGeneratedError: The text does not fit, or the answer ended before the model wrote it.
            ProviderError: The model failed.
        """
        return self._field("output")

    @property
    def partial_output_stream(self) -> AsyncGenerator[Any]:
        """The growing output, each time its readable part has changed: JSON, not checked yet.

        An array's elements are whole and checked, as far as they fit. A long value is shown less often, so that the
        work stays linear in its length.

            async for recipe in result.partial_output_stream:
                print(recipe.get("name"))

        Raises:
            ConfigurationError: The answer has no output.
        """
        return read_partials(self.wanted, self.batches())

    @property
    def element_stream(self) -> AsyncGenerator[Any]:
        """The elements of ``Output.array(…)``, each checked and as soon as it is whole.

        Raises:
            ConfigurationError: The output is no array.
            NoObjectGeneratedError: An element does not fit.
        """
        return read_elements(self.wanted, self.batches())

    def read_output(self, outcome: Outcome) -> tuple[Any, BaseException | None]:
        """Return what the last step's text says, checked, and the reason if it does not fit."""
        if self.wanted is None:
            return outcome.text, None
        reason = outcome.finish_reason.unified if outcome.finish_reason is not None else None
        try:
            with Contained():
                return self.wanted.shape.read(outcome.text, finish_reason=reason), None
        except Exception as error:  # noqa: BLE001 - a schema may hold functions of the application
            return None, original_error(error)

    def prepare(self) -> None:
        """Turn the messages into the model's, so that what is wrong with them shows before anything is sent.

        Raises:
            RequestError: A message cannot be expressed to a model.
        """
        if not self.is_prepared:
            try:
                messages = read_messages(self.messages, self.request.tools, **self.convert_options)
            except BaseException:
                self.request.steering.end("error")
                raise
            self._use(messages)

    async def prepare_apart(self) -> None:
        """Convert the messages of a large request in a thread; see `Answer.prepare_apart`."""
        if not self.is_prepared and is_large():
            try:
                messages = await work_apart(
                    partial(read_messages, self.messages, self.request.tools, **self.convert_options)
                )
            except BaseException:
                self.request.steering.end("error")
                raise
            self._use(messages)

    def _use(self, messages: Sequence[ModelMessage]) -> None:
        # Models with such a check refuse a request that they cannot take before it is saved.
        check: Callable[[Sequence[ModelMessage]], None] | None = getattr(self.request.model, "check_messages", None)
        if check is not None:
            try:
                check(messages)
            except BaseException:
                self.request.steering.end("error")
                raise
        self.request.converts_outputs = messages is not self.messages
        self.request.call = msgspec.structs.replace(self.request.call, messages=messages)
        # Neither is asked for again.
        self.messages, self.convert_options = (), {}
        self.is_prepared = True

    def make_turn(self) -> Turn:
        """Return the turn of the model."""
        self.request.message_id, self.request.observer = self.message_id, self.observer
        self.request.chat_id = self.chat_id
        self.request.lost_calls = self.lost_calls
        self.request.on_error = self.callbacks.error_text
        self.request.on_step_finish = partial(self.callbacks.call, "on_step_finish")
        if self.callbacks.on_step_start is not None:
            self.request.on_step_start = partial(self.callbacks.call, "on_step_start")
        if self.callbacks.on_tool_start is not None or self.callbacks.on_tool_end is not None:
            self.request.tell_of_tool = self.callbacks.call
        return ModelTurn(self.request, self.policy, self.aborting)

    def note_end(self, *, is_aborted: bool) -> None:
        """Take no more messages of the user."""
        self.request.steering.end("aborted" if is_aborted else "error")


def stream_text(
    model: Model,
    *,
    messages: Messages | None = None,
    prompt: str | None = None,
    tools: Tools | None = None,
    tool_choice: ToolChoice | None = None,
    active_tools: Sequence[str] | None = None,
    stop_when: StopCondition | Sequence[StopCondition] | None = None,
    stop_sequences: Sequence[str] = (),
    output: Output[OutputT] | None = None,
    prepare_step: PrepareStep | None = None,
    repair_tool_call: RepairToolCall | None = None,
    continue_paused: bool = True,
    stream_retries: int = 0,
    tool_approval: ToolApproval | None = None,
    tool_call_concurrency: int | None = None,
    approval_secret: str | bool | None = None,
    used_approvals: UsedApprovals | bool | None = None,
    steering: Steering | None = None,
    context: Any = None,
    message_metadata: MessageMetadataCallback | bool | None = None,
    transform: Transform | None = None,
    allow_system_messages: bool = False,
    convert_data_part: Callable[[Mapping[str, Any]], Any] | None = None,
    on_part: Callable[[Part], Any] | None = None,
    on_step_start: Callable[[StepStartEvent], Any] | None = None,
    on_tool_start: Callable[[ToolStartEvent], Any] | None = None,
    on_tool_end: Callable[[ToolEndEvent], Any] | None = None,
    on_step_finish: Callable[[StepResult], Any] | None = None,
    on_finish: Callable[[FinishEvent[Any]], Any] | None = None,
    on_error: Callable[[BaseException], str | None] | None = None,
    on_abort: Callable[[Sequence[StepResult]], Any] | None = None,
    **settings: Unpack[CallOptions],
) -> StreamTextResult[OutputT]:
    """Answer with a model, its tools and as many steps as it takes. Nothing runs until the answer is read.

        result = stream_text(anthropic("claude-sonnet-4-6"), messages=chat.messages, tools=[get_weather])
        return result.response(chat)      # in a route; or: await result.text, async for part in result

    Args:
        model: For instance ``anthropic("claude-sonnet-4-6")``.
        messages: UI messages as ``useChat`` posts them; or model messages, as objects or as the dicts of the AI SDK's
            ``ModelMessage`` or of Anthropic's API (`usechat.messages.dicts.ai_sdk`). Either these or ``prompt``.
        prompt: One user message.
        tools: Made with `tool`, or functions to make tools of; a mapping's keys are their names.
        tool_choice: ``auto``, ``none``, ``required``, or ``tool:NAME``.
        active_tools: The names of those the model is told of; all without it.
        stop_when: After which step to ask the model no more: `step_count_is`, `has_tool_call` or a function of the
            steps so far. After the first without it. Any one of several counts.
        stop_sequences: Texts that end the answer.
        output: What the last text is to be: `Output.object`, ``array``, ``choice`` or ``json``. The tools stay; the
            client is shown the JSON as the answer's text. `StreamTextResult.output` has the value.
        prepare_step: Changes settings before each model call: gets the step's number, the steps before it and the
            messages, returns `StepSettings` or None.
        repair_tool_call: Mends a tool call that does not fit: gets the call and the error, returns a call or None.
        continue_paused: Whether the model goes on in another step where the provider has paused it, as Anthropic does
            when its own tools take long (``pause_turn``). ``stop_when`` bounds these steps like any others; without it
            there are at most ten. False ends the answer there, as the AI SDK does.
        stream_retries: How often a step is tried again whose stream breaks after it has begun, where the provider
            says that this may help. The AI SDK leaves what the failed try has shown; here the client is told to
            forget it (``reset-step``). Towards clients that cannot (before 7.0.70, or a format of plain text) the
            step is not tried again. Neither its text nor its usage counts.
        tool_approval: One policy for all tools: a function of a call's input and its `ToolContext`, or a mapping by the
            tools' names. Its decision goes before the tool's own ``needs_approval``; None leaves it to the tool.
        tool_call_concurrency: How many tools of a step run at once; all of them without it. 1: in the model's order.
        approval_secret: Signs approval requests. True or None: a secret of this process, which other workers do not
            share; False: they are not signed, and a client can approve what it was never asked.
        used_approvals: Remembers signed approvals, so that each runs its tool once. True or None: in this process;
            False: a client that sends an old message again runs the tool again.
        steering: By which more messages of the user reach the answer while it is made (``experimental_steering``).
            From 7.0.163 on the client is shown them as parts of the answer's message. Older ones, and the message that
            is saved for them, have no place for them: `StepResult.steering_messages` has them for every client.
        context: Given to tools as ``ToolContext.deps``.
        message_metadata: Asked about each part that is no delta; what it returns is merged into the message's
            metadata. True: model, usage and timing.
        transform: Changes the parts on their way, as ``smooth_stream()`` does.
        allow_system_messages: Whether system messages among UI messages reach the model. A client could send them.
        convert_data_part: Makes model content of a data part in a user message; None leaves it out.
        on_part: Gets each part.
        on_step_start: Gets a `StepStartEvent` before each model call. The call waits for it.
        on_tool_start: Gets a `ToolStartEvent` before a tool runs here. The tool waits for it.
        on_tool_end: Gets a `ToolEndEvent` when it has ended, with the seconds that it took.
        on_step_finish: Gets each step.
        on_finish: Gets how the answer ended, exactly once whatever happens. The reader's last frames wait for it and
            for ``on_abort``, for 30 seconds at most.
        on_error: Gets each error; what it returns the browser is shown.
        on_abort: Gets the finished steps when the answer was stopped or its reader left.
        **settings: Of each model call, the provider's to interpret; see `CallOptions`: ``system``,
            ``max_output_tokens``, ``temperature``, ``top_p``, ``top_k``, ``provider_options``, ``headers`` (sent to
            the provider), ``max_retries`` (of a request that failed before its first byte).

    Raises:
        ConfigurationError: An option is unknown or makes no sense, or two contradict each other.
    """
    check_model("stream_text", model)
    check_settings("stream_text", settings, option_names(stream_text))
    check_options(
        stop_sequences=stop_sequences,
        active_tools=active_tools,
        continue_paused=continue_paused,
        stream_retries=stream_retries,
        steering=steering,
        message_metadata=message_metadata,
        transform=transform,
        prepare_step=prepare_step,
        repair_tool_call=repair_tool_call,
        convert_data_part=convert_data_part,
        output=output,
        tool_call_concurrency=tool_call_concurrency,
    )
    by_name = read_tools(tools)
    check_choice(tool_choice, by_name)
    check_active(active_tools, by_name)
    request = LoopRequest(
        model=model,
        call=ModelCall(
            messages=(),
            tool_choice=tool_choice,
            stop_sequences=stop_sequences,
            response_format=None if output is None else output.response_format,
            **settings,
        ),
        tools=by_name,
        stop_when=read_conditions(stop_when),
        active_tools=active_tools,
        prepare_step=prepare_step,
        repair_tool_call=repair_tool_call,
        continue_paused=continue_paused,
        free_pauses=FREE_PAUSES if stop_when is None else 0,
        stream_retries=stream_retries,
        approval_secret=read_secret(approval_secret),
        used_approvals=read_used_approvals(used_approvals),
        context=context,
        tool_approval=read_approval_policy(tool_approval, by_name),
        tool_call_concurrency=tool_call_concurrency,
    )
    return StreamTextResult(
        request,
        given_messages(messages, prompt),
        Callbacks(
            on_part=on_part,
            on_step_start=on_step_start,
            on_tool_start=on_tool_start,
            on_tool_end=on_tool_end,
            on_step_finish=on_step_finish,
            on_finish=on_finish,
            on_error=on_error,
            on_abort=on_abort,
        ),
        message_metadata=DefaultMetadata(model.model_id) if message_metadata is True else message_metadata or None,
        transform=transform,
        steering=steering,
        output=output,
        convert_options={"allow_system": allow_system_messages, "convert_data_part": convert_data_part},
    )
