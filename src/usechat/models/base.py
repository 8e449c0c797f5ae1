"""What the loop asks of a model, and what it hands over: the edge between `usechat.answers` and any provider.

Knows no provider, no HTTP and no wire format.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
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
    "ResponseFormat",
    "Timeout",
    "ToolChoice",
    "ToolDefinition",
]


class FunctionTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool the model may call and somebody else carries out."""

    name: str
    description: str | None = None
    input_schema: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    """JSON schema of the input."""
    provider_options: Mapping[str, Mapping[str, Any]] | None = None


class ProviderTool(msgspec.Struct, frozen=True, kw_only=True):
    """A tool that the provider defines and, mostly, carries out itself."""

    id: str
    """The provider and its type of the tool, as in ``anthropic.web_search_20250305``."""
    name: str
    """What the application calls it: the key in ``tools``."""
    args: Mapping[str, Any] = msgspec.field(default_factory=dict[str, Any])
    defers_results: bool = False
    """Whether a call's result may come in a later step, so that the loop goes on without it."""


ToolDefinition: TypeAlias = FunctionTool | ProviderTool

ToolChoice: TypeAlias = Literal["auto", "none", "required"] | str
"""``auto``, ``none``, ``required``, or ``tool:NAME`` for one tool."""


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for JSON that fits a schema."""

    json_schema: Mapping[str, Any]
    name: str | None = None
    description: str | None = None


class Timeout(msgspec.Struct, frozen=True, kw_only=True):
    """How long an answer may take, in seconds; ``math.inf`` is no limit.

    A limit that is None is the model's (``anthropic(…, timeout=Timeout(…))``), or else the default. When one has
    passed, the answer ends with an `AnswerTimeoutError`, whose code is ``timeout``.

    Raises:
        ConfigurationError: A limit is no number above zero.
    """

    total: float | None = None
    """For the whole answer, tools included. No limit by default."""
    step: float | None = None
    """For one model call and its tools. No limit by default."""
    first_chunk: float | None = None
    """Until a model call brings something to show, all its retries included; by default five minutes."""
    chunk: float | None = None
    """Between two things that it brings. A provider's pings are none; by default five minutes."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value: Any = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ConfigurationError(f"timeout.{name} must be a number of seconds above 0; math.inf is no limit")

    @staticmethod
    def resolve(*given: Timeout | None) -> Timeout:
        """Return each limit as the first of these that has it says, or else the default."""
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
    """All that one model call needs. Unset options are left to the provider."""

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
    max_retries: int | None = None
    """How often a request that failed before its first byte is tried again; ``None``: the client's own number."""
    timeout: Timeout | None = None
    """How long it may take."""

    def __post_init__(self) -> None:
        # Told where it is written, and not when the answer is being made.
        if not isinstance(self.timeout, Timeout | None):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigurationError("timeout must be a usechat.Timeout, for instance Timeout(total=60)")


@runtime_checkable
class Model(Protocol):
    """A language model that streams."""

    @property
    def provider(self) -> str:
        """For instance ``anthropic``."""
        ...

    @property
    def model_id(self) -> str:
        """For instance ``claude-sonnet-4-6``."""
        ...

    def stream(self, call: ModelCall) -> AsyncIterator[Sequence[ModelPart]]:
        """Run one call.

        Yields batches of parts: what one read of the provider's connection brought. The last part of a call that
        ended well, badly or early is a `ModelFinish`; an error event in mid-stream is an `Error` part.
        Closing the iterator (``aclose``) closes the provider's connection.

        Raises:
            ProviderError: The provider failed before the first part.
            RequestError: The messages cannot be expressed to this provider.
        """
        ...
