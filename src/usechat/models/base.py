"""The protocol of a model and the input of a model call: the edge between `usechat.answers` and any provider.

Knows no provider, no HTTP and no wire format.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from usechat.errors import ConfigurationError
from usechat.messages.model import ModelMessage
from usechat.parts import ModelPart

__all__ = [
    "DEFAULT_TIMEOUT",
    "FunctionTool",
    "Model",
    "ModelCall",
    "ProviderTool",
    "Reasoning",
    "ResponseFormat",
    "Timeout",
    "ToolChoice",
    "ToolDefinition",
]


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the model may call and that the application or the client runs."""

    name: str
    description: str | None = None
    input_schema: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """The JSON schema of the input."""
    provider_options: Mapping[str, Mapping[str, Any]] | None = None


class ProviderTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the provider defines and usually also runs."""

    id: str
    """The provider and its tool type, for instance ``anthropic.web_search_20250305``."""
    name: str
    """The application's name for the tool: the key in ``tools``."""
    args: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    defers_results: bool = False
    """Whether the result of a call may arrive in a later step, so that the loop does not wait for it."""


ToolDefinition: TypeAlias = FunctionTool | ProviderTool

Reasoning: TypeAlias = Literal["provider-default", "none", "minimal", "low", "medium", "high", "xhigh"]
"""How much a model is to think before it answers, in words that every provider's model is fitted to."""

ToolChoice: TypeAlias = Literal["auto", "none", "required"] | str
"""``auto``, ``none``, ``required``, or ``tool:NAME`` for one tool."""


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an answer in JSON that matches a schema."""

    json_schema: Mapping[str, Any]
    name: str | None = None
    description: str | None = None


class Timeout(msgspec.Struct, frozen=True, kw_only=True):
    """The time limits of an answer in seconds; ``math.inf`` is no limit.

    A limit of ``None`` falls back to the model's (``anthropic(…, timeout=Timeout(…))``), then to the default. When a
    limit has passed, the answer ends with an `AnswerTimeoutError`, whose code is ``timeout``.

    Raises:
        ConfigurationError: A limit is not a number above zero.
    """

    total: float | None = None
    """Seconds for the whole answer, tools included. No limit by default."""
    step: float | None = None
    """Seconds for one model call and its tools. No limit by default."""
    first_chunk: float | None = None
    """Seconds until the first batch of parts of a model call, retries included. 300 by default.

    Named as in the AI SDK; it counts batches of parts. A batch of metadata alone does not count.
    """
    chunk: float | None = None
    """Seconds between two batches of parts of a model call. A provider's pings bring no parts. 300 by default.

    Named as in the AI SDK; it counts batches of parts.
    """

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value: Any = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ConfigurationError(f"timeout.{name} must be a number of seconds above 0; math.inf is no limit")

    @staticmethod
    @lru_cache(maxsize=64)
    def resolve(*given: Timeout | None) -> Timeout:
        """Merge timeouts: for each limit, return the first that is set, or the default."""
        known = [timeout for timeout in given if timeout is not None]
        if not known:
            return DEFAULT_TIMEOUT
        limits: dict[str, float] = {}
        for timeout in (*known, DEFAULT_TIMEOUT):
            for name in Timeout.__struct_fields__:
                if (seconds := getattr(timeout, name)) is not None:
                    limits.setdefault(name, seconds)
        return Timeout(**limits)


DEFAULT_TIMEOUT = Timeout(total=math.inf, step=math.inf, first_chunk=300.0, chunk=300.0)


class ModelCall(msgspec.Struct, frozen=True, kw_only=True):
    """The input of one model call. The provider chooses the values of unset options."""

    messages: Sequence[ModelMessage]
    system: str | None = None
    tools: Sequence[ToolDefinition] = ()
    tool_choice: ToolChoice | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: Sequence[str] = ()
    provider_options: Mapping[str, Mapping[str, Any]] | None = None
    headers: Mapping[str, str] | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    """How much to think; None and ``provider-default`` leave it to the provider. Provider options go before it."""
    max_retries: int | None = None
    """How many times the model retries a request that failed before its first byte; ``None`` for its own number."""
    timeout: Timeout | None = None
    """The time limits of the call. The loop ends the answer when they have passed. The model needs them for its
    retries: ``step`` is the time that is left."""

    def __post_init__(self) -> None:
        # Raised here, where the mistake is, and not later while the answer is made.
        if not isinstance(self.timeout, Timeout | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("timeout must be a usechat.Timeout, for instance Timeout(total=60)")


@runtime_checkable
class Model(Protocol):
    """A language model that streams its answers.

    Implemented by: `usechat.models.claude.model.AnthropicModel`, `usechat.models.embedded.model.LocalModel`,
    `usechat.demo.model.DemoModel`, `usechat.testing.models.ScriptedModel`.

    A model may have three more members, which answers look for:

    - ``parts_are_valid: bool``: whether the loop can skip checking each part of `stream`. False without it.
    - ``timeout: Timeout | None``: limits where the call sets none.
    - ``check_messages(messages)``: raises `RequestError` for messages that this model cannot take, before anything is
      saved or sent.
    """

    @property
    def provider(self) -> str:
        """The name of the provider, for instance ``anthropic``."""
        ...

    @property
    def model_id(self) -> str:
        """The id of the model, for instance ``claude-sonnet-4-6``."""
        ...

    def stream(self, call: ModelCall) -> AsyncIterator[Sequence[ModelPart]]:
        """Run one call.

        Yields batches of parts; one batch has the parts of one read of the provider's connection. The last part is a
        `ModelFinish`, also when the stream failed or was cut. An error event in the stream is an `Error` part. Closing
        the iterator (``aclose``) closes the provider's connection.

        Raises:
            ProviderError: The provider failed before the first part.
            RequestError: The messages cannot be converted for this provider.
        """
        ...
