"""`Agent`: a model with its instructions, tools and limits, made once and asked many times.

Upstream: ``ToolLoopAgent`` (``agent/tool-loop-agent.ts``, 7.0.173). Each answer is made by `usechat.stream_text`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, Unpack, cast

from typing_extensions import TypeVar

from usechat.answers.answer import FinishEvent
from usechat.answers.arguments.inputs import Messages
from usechat.answers.generate_text import AnswerOptions, finish_of
from usechat.answers.loop.prepare_call import AgentCall, CallSettings, PrepareCall
from usechat.answers.loop.steering import Steering
from usechat.answers.objects.output import Output
from usechat.answers.stop import step_count_is
from usechat.answers.stream_text import StreamTextResult, stream_text
from usechat.checks import check_function, check_model, named, refuse_unknown
from usechat.errors import ConfigurationError
from usechat.models.base import Model
from usechat.tools.tool import Tool, Tools, read_tools

if TYPE_CHECKING:
    from usechat.answers.arguments.response_options import ResponseOptions
    from usechat.http.response import StreamingAnswer
    from usechat.messages.ui import ChatRequest, CompletionRequest
    from usechat.runs.service import RunService

__all__ = ["Agent", "AgentCall", "CallSettings", "PrepareCall"]

DepsT = TypeVar("DepsT", default=Any)
OutputT = TypeVar("OutputT", default=str)

DEFAULT_STEPS = 20
"""Steps of an agent without ``stop_when``, as in the AI SDK."""
GUARDS = ("approval_secret", "used_approvals", "tool_approval")
"""Options of which None counts as not given. It is what a variable that is not set gives, and must turn nothing off."""


class OneCallOptions(AnswerOptions, total=False):
    """Options of one call of an agent."""

    model: Model
    tools: Tools | None
    steering: Steering | None


class Agent(Generic[DepsT, OutputT]):
    """A model with its instructions, tools and limits. It keeps nothing between its answers, so one serves everybody.

        agent = Agent(anthropic("claude-sonnet-4-6"), system="You are a helpful assistant.", tools=[get_weather])

        @app.post("/api/chat")
        async def chat(chat: ChatRequest):
            return agent.respond(chat)

    Args:
        model: For instance ``anthropic("claude-sonnet-4-6")``.
        name: The agent's name for people, shown by ``usechat serve``; the model's id without it.
        tools: Made with `tool`, or functions to make tools of; a mapping's keys are their names.
        output: What the last text of each answer is to be, such as ``Output.object(Recipe)``; see `stream_text`.
        prepare_call: Called once when an answer begins, with an `AgentCall`: the call's context and messages. Returns
            `CallSettings` that differ for this answer, or None. May be async.
        context: The dependencies of answers that are given none of their own.
        context_type: The type of the dependencies. A call with another, or without any, is refused. Without it,
            anything is taken.
        **options: Those of `stream_text`, for every answer: ``system`` (the instructions), ``stop_when`` (20 steps
            without it), ``timeout``, ``max_output_tokens``, ``temperature``, ``on_finish`` and so on. See
            `AnswerOptions`.

    Raises:
        ConfigurationError: An option is unknown or makes no sense, or two contradict each other.
    """

    def __init__(
        self,
        model: Model,
        *,
        name: str | None = None,
        tools: Tools | None = None,
        output: Output[OutputT] | None = None,
        prepare_call: PrepareCall[DepsT] | None = None,
        context: DepsT | None = None,
        context_type: type[DepsT] | None = None,
        **options: Unpack[AnswerOptions],
    ) -> None:
        check_model("Agent", model)
        own = ("name", "tools", "output", "prepare_call", "context", "context_type")
        refuse_unknown("Agent", options, AnswerOptions, *own)
        check_function("prepare_call", prepare_call)
        if context_type is not None and not isinstance(context_type, type):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError(f"context_type must be a class, not {named(context_type)}")
        self.model = model
        self.name = name
        self.tools: Mapping[str, Tool] = read_tools(tools)
        """The tools, by name."""
        self.output = output
        self.prepare_call = prepare_call
        self.context = context
        self.context_type = context_type
        self.options: Mapping[str, Any] = without_unset(cast("Mapping[str, Any]", options))
        """The options that were given. What is missing here, a call or ``usechat serve`` may choose."""
        if context is not None:
            self._check_context(context)
        # Wrong options raise here, and not in the first request.
        self._stream("-", {}, context)

    def stream(
        self, prompt: str | Messages, *, context: DepsT | None = None, **options: Unpack[OneCallOptions]
    ) -> StreamTextResult[OutputT]:
        """Return an answer. Nothing runs until it is read.

            result = agent.stream(chat.messages, context=Deps(user, database))
            return result.response(chat)      # in a route; or: await result.text, async for part in result

        Args:
            prompt: One user message as a text; or the messages, as `stream_text` takes them.
            context: The dependencies for the tools (``ToolContext[Deps].deps``) and for ``prepare_call``; the agent's
                own without it.
            **options: Options for this answer alone, in place of the agent's. A callback is called after the agent's;
                what the call's ``on_error`` returns goes before what the agent's does.

        Raises:
            ConfigurationError: An option is unknown or makes no sense, or the context is not of ``context_type``.
        """
        refuse_unknown("stream", options, OneCallOptions, "context")
        given = self.context if context is None else context
        self._check_context(given)
        return self._stream(prompt, cast("Mapping[str, Any]", options), given)

    async def generate(
        self, prompt: str | Messages, *, context: DepsT | None = None, **options: Unpack[OneCallOptions]
    ) -> FinishEvent[OutputT]:
        """Make an answer and wait for all of it: the text, the steps, the usage and the UI message.

            print((await agent.generate("A joke")).text)

        Args:
            prompt: As for `stream`.
            context: As for `stream`.
            **options: As for `stream`.

        Raises:
            ConfigurationError: As for `stream`.
            RequestError: A message cannot be expressed to a model.
            ProviderError: The model failed.
        """
        return await finish_of(self.stream(prompt, context=context, **options))

    def respond(
        self,
        chat: ChatRequest | CompletionRequest,
        *,
        context: DepsT | None = None,
        runs: RunService | None = None,
        **options: Unpack[ResponseOptions],
    ) -> StreamingAnswer:
        """Return the response to a request of ``useChat`` or ``useCompletion``, in the client's protocol.

        Args:
            chat: The request.
            context: As for `stream`.
            runs: As for `Answer.response`.
            **options: Of the response; see `Answer.response`. Options of the answer go to `stream`.

        Raises:
            ConfigurationError: An option is unknown or wrong, or the context is not of ``context_type``.
        """
        messages: Any = getattr(chat, "messages", None)
        if messages is None:
            messages = getattr(chat, "prompt", None)
        if messages is None:
            raise ConfigurationError(f"respond takes a ChatRequest or a CompletionRequest, not {named(chat)}")
        return self.stream(messages, context=context).response(chat, runs=runs, **options)

    def is_client_tool(self, name: str) -> bool:
        """Return whether the client executes the tool: it has no function here, and no provider runs it."""
        known = self.tools.get(name)
        return known is not None and known.execute is None and known.provider is None

    def _check_context(self, context: Any) -> None:
        expected = self.context_type
        if expected is not None and not isinstance(context, expected):
            raise ConfigurationError(
                f"the agent's context must be of type {expected.__name__}, not {named(context)}: give context=…"
            )

    def _stream(self, prompt: str | Messages, options: Mapping[str, Any], context: Any) -> StreamTextResult[OutputT]:
        merged: dict[str, Any] = {"tools": self.tools, **self.options, **without_unset(options)}
        if merged.get("stop_when") is None:
            merged["stop_when"] = step_count_is(DEFAULT_STEPS)
        for name, join in CALLBACKS.items():
            own, given = self.options.get(name), options.get(name)
            merged[name] = given or own if own is None or given is None else join(own, given)
        model = merged.pop("model", self.model)
        text, messages = (prompt, None) if isinstance(prompt, str) else (None, prompt)
        result = stream_text(model, prompt=text, messages=messages, context=context, output=self.output, **merged)
        result.request.prepare_call = self.prepare_call
        return result


def without_unset(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None or name not in GUARDS}


def call_both(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a callback that calls two, one after the other; the second one also when the first one fails."""

    async def call(value: Any) -> None:
        try:
            await awaited(first(value))
        finally:
            await awaited(second(value))

    return call


async def awaited(value: Any) -> None:
    if inspect.isawaitable(value):
        await value


def second_text(
    first: Callable[[BaseException], str | None], second: Callable[[BaseException], str | None]
) -> Callable[[BaseException], str | None]:
    """Return an ``on_error`` that calls two, and returns the second one's text if it has one."""

    def on_error(error: BaseException) -> str | None:
        other, text = first(error), second(error)
        return text or other

    return on_error


CALLBACKS: Mapping[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(
        ("on_part", "on_step_start", "on_tool_start", "on_tool_end", "on_step_finish", "on_finish", "on_abort"),
        call_both,
    ),
    "on_error": second_text,
}
"""How to call both the agent's callback and a call's."""
