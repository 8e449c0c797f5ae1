"""Settings of one call of an agent, chosen when it begins: after its messages are read and before the model is asked.

Upstream: ``prepareCall`` of ``ToolLoopAgent`` (``agent/tool-loop-agent.ts``, 7.0.173). Knows no agent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias

import msgspec
from typing_extensions import TypeVar

from usechat.answers.arguments.call_options import check_active, check_choice, check_settings
from usechat.answers.stop import StopCondition, read_conditions
from usechat.checks import check_model, named
from usechat.errors import ConfigurationError
from usechat.messages.dicts.ai_sdk import read_model_messages
from usechat.messages.dicts.types import ModelMessageDict
from usechat.messages.model import ModelMessage
from usechat.models.base import Model, ToolChoice
from usechat.tools.tool import Tools, read_tools

if TYPE_CHECKING:
    from usechat.answers.loop.request import LoopRequest

__all__ = ["AgentCall", "CallSettings", "PrepareCall", "apply_settings"]

DepsT_co = TypeVar("DepsT_co", default=Any, covariant=True)
DepsT = TypeVar("DepsT", default=Any)


class AgentCall(msgspec.Struct, Generic[DepsT_co], frozen=True, kw_only=True):
    """One call of an agent, before it begins: the argument of ``prepare_call``."""

    context: DepsT_co
    """The call's dependencies, as given to `Agent.stream`."""
    messages: Sequence[ModelMessage]
    """The conversation, as the model would get it."""
    system: str | None
    """The agent's instructions."""


class CallSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one call of an agent, returned by ``prepare_call``. None keeps the agent's."""

    model: Model | None = None
    """The model of this call."""
    system: str | None = None
    """The instructions of this call, in place of the agent's."""
    messages: Sequence[ModelMessage | ModelMessageDict] | None = None
    """The messages for the model, in place of those given."""
    tools: Tools | None = None
    """The tools of this call, in place of the agent's."""
    active_tools: Sequence[str] | None = None
    """The names of the tools that the model is told of."""
    tool_choice: ToolChoice | None = None
    stop_when: StopCondition | Sequence[StopCondition] | None = None
    max_output_tokens: int | None = None
    """Tokens of each model call."""
    temperature: float | None = None
    provider_options: Mapping[str, Mapping[str, Any]] | None = None
    headers: Mapping[str, str] | None = None
    """Sent to the provider."""


PrepareCall: TypeAlias = Callable[[AgentCall[DepsT]], "CallSettings | Awaitable[CallSettings | None] | None"]
"""Called once when a call of an agent begins; may be async. Returns the settings that differ for this call."""

OF_CALL = ("system", "tool_choice", "max_output_tokens", "temperature", "provider_options", "headers")


def apply_settings(request: LoopRequest, settings: Any) -> None:
    """Change a request as ``prepare_call`` asks.

    Raises:
        ConfigurationError: What it returned is no `CallSettings`, or a setting makes no sense.
    """
    if settings is None:
        return
    if not isinstance(settings, CallSettings):
        raise ConfigurationError(f"prepare_call must return CallSettings or None, not {named(settings)}")
    changed = {name: value for name in OF_CALL if (value := getattr(settings, name)) is not None}
    choice = changed.pop("tool_choice", None)
    check_settings("prepare_call", changed)  # pyright: ignore[reportArgumentType] - this is the check of it
    if settings.model is not None:
        check_model("prepare_call", settings.model)
        request.model = settings.model
    if settings.messages is not None:
        changed["messages"] = read_model_messages(settings.messages, path="prepare_call: messages")
    if settings.tools is not None:
        request.tools = read_tools(settings.tools)
    if settings.active_tools is not None:
        request.active_tools = settings.active_tools
    check_active(request.active_tools, request.tools)
    if choice is not None:
        changed["tool_choice"] = choice
    check_choice(changed.get("tool_choice", request.call.tool_choice), request.tools)
    if settings.stop_when is not None:
        request.stop_when, request.free_pauses = read_conditions(settings.stop_when), 0
    request.call = msgspec.structs.replace(request.call, **changed)
