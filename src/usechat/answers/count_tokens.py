"""`count_tokens`: how long the input of a model call would be, as its provider counts it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from usechat.answers.arguments.call_options import check_settings
from usechat.answers.arguments.inputs import Messages, given_messages, read_messages
from usechat.checks import check_model
from usechat.errors import ConfigurationError
from usechat.models.base import Model, ModelCall
from usechat.tools.tool import Tools, read_tools

__all__ = ["count_tokens"]


async def count_tokens(
    model: Model,
    *,
    messages: Messages | None = None,
    prompt: str | None = None,
    system: str | None = None,
    tools: Tools | None = None,
) -> int:
    """Return how many input tokens a call with these arguments would have. Nothing is generated.

        if await count_tokens(model, messages=chat.messages) > 100_000:
            messages = prune_messages(convert_to_model_messages(chat.messages), tool_calls=2)

    Args:
        model: One that can count, such as ``anthropic("claude-sonnet-4-6")``.
        messages: As for `stream_text`. Either these or ``prompt``.
        prompt: One user message.
        system: The instructions.
        tools: The tools that the model would be told of.

    Raises:
        ConfigurationError: The model cannot count, or an argument makes no sense.
        RequestError: A message cannot be expressed to a model.
        ProviderError: The provider refused, or cannot be reached.
    """
    check_model("count_tokens", model)
    check_settings("count_tokens", {"system": system})
    count: Callable[[ModelCall], Awaitable[int]] | None = getattr(model, "count_tokens", None)
    if count is None:
        raise ConfigurationError(f"the model {model.model_id} of {model.provider} cannot count tokens")
    read: Any = read_messages(given_messages(messages, prompt))
    definitions = [tool.definition for tool in read_tools(tools).values()]
    return await count(ModelCall(messages=read, system=system, tools=definitions))
