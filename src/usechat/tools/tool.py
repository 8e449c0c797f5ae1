"""Tools: functions that a model may call, and the context of a call.

``@tool`` makes a tool from a function. ``tool(name=…, input_schema=…)`` without a function makes a tool that the client
executes. Knows no model and no answer. Upstream: ``tool()`` in ``@ai-sdk/provider-utils`` (7.0.173).
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeAlias, TypedDict, cast, overload

import msgspec
from typing_extensions import ParamSpec, TypeVar, Unpack

from usechat.checks import refuse_unknown
from usechat.errors import ConfigurationError
from usechat.messages.dicts.types import ToolResultOutputDict
from usechat.messages.model import ModelMessage, ToolResultOutput
from usechat.models.base import FunctionTool, ProviderTool, ToolDefinition
from usechat.models.object_schema import NoObjectError, object_schema
from usechat.parts import Part
from usechat.tools.approvals import ApprovalStatus
from usechat.tools.docstrings import read_docstring
from usechat.tools.schema import (
    InputSchema,
    JsonSchemaInput,
    ModelInput,
    find_parameter,
    input_from_signature,
    parameter_names,
    read_input_schema,
)

__all__ = [
    "NeedsApproval",
    "Tool",
    "ToolApproval",
    "ToolContext",
    "ToolWriter",
    "Tools",
    "find_context_parameter",
    "read_tools",
    "tool",
]

P = ParamSpec("P", default=...)
R_co = TypeVar("R_co", default=Any, covariant=True)
DepsT_co = TypeVar("DepsT_co", default=Any, covariant=True)
Q = ParamSpec("Q")
R = TypeVar("R")

DEFAULT_TIMEOUT = 60.0
"""The default time limit of a tool in seconds."""


class ToolWriter(Protocol):
    """Writer of a tool's own parts into the answer.

    Implemented by: `usechat.answers.calls.execute.ToolRunner`, `usechat.answers.calls.gate.PartList`.
    """

    def write(self, part: Part) -> None:
        """Write ``part`` to the client now. Callable from any thread."""
        ...

    def write_data(self, name: Any, data: Any = ..., *, id: str | None = None, transient: bool = False) -> None:
        """Write a ``data-NAME`` part, as `UIMessageStreamWriter.write_data` does: ``write_data(Progress(done=3))``."""
        ...

    async def drain(self) -> None:
        """Wait while the reader is far behind. For tools that write many parts."""
        ...


class ToolContext(msgspec.Struct, Generic[DepsT_co], frozen=True, kw_only=True):
    """The context of a tool call. Declare a parameter of this type to get it.

    ``ToolContext[Deps]`` says of which type the application's dependencies are:

        @tool
        async def my_orders(context: ToolContext[Deps]) -> list[str]:
            \"\"\"The user's orders.\"\"\"
            return await context.deps.database.orders(context.deps.user)
    """

    tool_call_id: str
    tool_name: str
    messages: Sequence[ModelMessage]
    """The messages that the model had when it made the call."""
    writer: ToolWriter
    abort: asyncio.Event
    """Set when the answer is stopped."""
    idempotency_key: str = ""
    """The same for every try of this call, also by another process: for services that take such a key."""
    deps: DepsT_co = cast("DepsT_co", None)
    """The value that the application passed to `stream_text` or `Agent.stream` as ``context``."""


ModelOutput: TypeAlias = ToolResultOutput | ToolResultOutputDict
"""The form of a result for the model: an object, or the AI SDK's dict."""
Decision: TypeAlias = bool | ApprovalStatus | None
"""True is `AskUser`. With False the call runs without approval. None is no decision: it is left to the tool, and where
the tool's own function returns it, the user is asked."""
NeedsApproval: TypeAlias = Decision | Callable[[Any, ToolContext], "Decision | Awaitable[Decision]"]
ToolApproval: TypeAlias = Callable[[Any, ToolContext], "Decision | Awaitable[Decision]"] | Mapping[str, NeedsApproval]
"""One policy for all tools of an answer: a function of the input and the context, or decisions by the tools' names.

What it decides goes before what a tool itself says in ``needs_approval``. None, or no decision for a tool's name,
leaves it to the tool; False lets the call run unasked."""


class Tool(msgspec.Struct, Generic[P, R_co], frozen=True, kw_only=True):
    """A tool. Make it with `tool`. Calling it calls its function, with the function's types."""

    name: str
    description: str | None = None
    schema: InputSchema = msgspec.field(default_factory=lambda: JsonSchemaInput({"type": "object"}))
    execute: Callable[..., Any] | None = None
    """The tool's function: plain, async, or a generator of preliminary results whose last value is the result.

    None: the client executes the tool."""
    needs_approval: NeedsApproval = False
    """Whether the user must allow each call: a bool, or a function of the input.

    The function may also decide itself, with `Approve` or `Deny` and a reason."""
    timeout: float | None = DEFAULT_TIMEOUT
    """The time limit of a call in seconds; None for no limit."""
    idempotent: bool = False
    """Whether a call may run again when its process has died in the middle of it."""
    title: str | None = None
    """The title that a client may show instead of the name."""
    dynamic: bool = False
    """Whether clients get calls as ``dynamic-tool`` parts, because they have no type for the tool."""
    metadata: Mapping[str, Any] | None = None
    """Metadata that clients get with each call, as ``toolMetadata`` (AI SDK 6 and 7)."""
    to_model_output: Callable[[Any], ModelOutput | Awaitable[ModelOutput]] | None = None
    """A function that makes the model's form of a result; the result itself by default."""
    provider_options: Mapping[str, Mapping[str, Any]] | None = None
    provider: ProviderTool | None = None
    """The provider's definition, for a provider-defined tool."""
    context_parameter: str | None = None
    takes_keywords: bool = False
    """Whether ``execute`` takes the checked input as keyword arguments instead of one argument."""

    def __post_init__(self) -> None:
        """Refuse a guard that is None.

        Raises:
            ConfigurationError: ``needs_approval`` is None.
        """
        if self.needs_approval is None:
            raise ConfigurationError(f"tool {self.name}: needs_approval is None: give True, False or a function")

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the undecorated function."""
        if self.execute is None:
            raise ConfigurationError(f"tool {self.name} has no function: the client executes it")
        return self.execute(*args, **kwargs)

    @property
    def definition(self) -> ToolDefinition:
        """The tool's definition for the model."""
        if self.provider is not None:
            return self.provider
        return FunctionTool(
            name=self.name,
            description=self.description,
            input_schema=self.schema.json_schema,
            provider_options=self.provider_options,
        )


Tools: TypeAlias = Iterable[Tool | Callable[..., Any]] | Mapping[str, Tool | Callable[..., Any]]
"""Tools, or functions to make into tools. The keys of a mapping are their names."""


class ToolOptions(TypedDict, total=False):
    """The options of a tool; see the fields of `Tool`."""

    needs_approval: NeedsApproval
    timeout: float | None
    idempotent: bool
    title: str | None
    dynamic: bool
    metadata: Mapping[str, Any] | None
    to_model_output: Callable[[Any], ModelOutput | Awaitable[ModelOutput]] | None
    provider_options: Mapping[str, Mapping[str, Any]] | None


class ToolDecorator(Protocol):
    """The decorator that ``tool(…)`` returns without a function."""

    def __call__(self, function: Callable[Q, R], /) -> Tool[Q, R]:
        """Make the function into a tool."""
        ...


@overload
def tool(function: Callable[Q, R], /) -> Tool[Q, R]: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: object,
    execute: Callable[Q, R],
    **options: Unpack[ToolOptions],
) -> Tool[Q, R]: ...
@overload
def tool(
    *,
    name: str,
    description: str | None = None,
    input_schema: object,
    execute: None = None,
    **options: Unpack[ToolOptions],
) -> Tool: ...
@overload
def tool(
    *, name: str | None = None, description: str | None = None, **options: Unpack[ToolOptions]
) -> ToolDecorator: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    input_schema: object = None,
    execute: Callable[..., Any] | None = None,
    **options: Unpack[ToolOptions],
) -> Tool | ToolDecorator:
    """Make a `Tool` from a function, as a decorator, or from a schema.

        @tool
        async def get_weather(city: str) -> dict:
            \"\"\"The current weather in a city.\"\"\"

        @tool(needs_approval=True, timeout=10)
        def delete_file(path: str) -> str: ...

        ask_user = tool(name="ask_user", input_schema=Question)  # no function: the client executes it

    Args:
        function: The function to decorate. Its name, docstring and signature give the name, description and input. The
            docstring's ``Args:`` describe the parameters. Parameters may have any type that pydantic knows; one
            of type `ToolContext` gets the call's context.
        name: The name that the model uses. A name that a provider does not accept is sent in an accepted form.
        description: The description for the model.
        input_schema: A JSON schema or a type that pydantic knows. The function then gets the input as one argument.
        execute: The function for ``input_schema``: plain, async, or a generator of preliminary results whose last
            value is the result.
        **options: The options below; they are fields of `Tool`.

            - ``needs_approval``: whether the user must allow each call: True, or a function of the input and the
              context, which may also answer with `Approve` or `Deny`.
            - ``timeout``: the time limit of a call in seconds, by default 60; None for no limit.
            - ``idempotent``: True if a call may run again when its process has died in the middle of it, as one does
              that only reads, or that gives ``ToolContext.idempotency_key`` to a service.
            - ``title``: the title that a client may show instead of the name.
            - ``dynamic``: whether clients get calls as ``dynamic-tool`` parts, because they have no type for the tool.
            - ``metadata``: metadata that clients get with each call, as ``toolMetadata`` (AI SDK 6 and 7).
            - ``to_model_output``: a function that makes the model's form of a result; the result itself by default.
            - ``provider_options``: ``{"anthropic": {…}}``, for instance ``cacheControl``.

    Raises:
        ConfigurationError: There is no name, an option is unknown, or no schema of an object can be made.
    """
    refuse_unknown("tool", options, ToolOptions)
    if function is not None:
        if not callable(function):
            raise ConfigurationError(f"tool takes a function, not {type(cast('object', function)).__name__}")
        return make_tool(function, name, description, options)
    if input_schema is None:
        return partial(make_tool, name=name, description=description, options=options)
    name = name or name_of(execute)
    return Tool(
        name=name,
        description=description or describe(execute),
        schema=require_object(read_input_schema(input_schema), name),
        execute=execute,
        context_parameter=None if execute is None else find_context_parameter(execute),
        **options,
    )


def make_tool(function: Callable[..., Any], name: str | None, description: str | None, options: ToolOptions) -> Tool:
    name = name or name_of(function)
    said, described = read_docstring(describe(function), parameter_names(function))
    schema, context_parameter = input_from_signature(function, name, ToolContext, described)
    return Tool(
        name=name,
        description=description or said,
        schema=schema,
        execute=function,
        context_parameter=context_parameter,
        takes_keywords=True,
        **options,
    )


def find_context_parameter(function: Callable[..., Any]) -> str | None:
    """Return the name of the function's parameter of type `ToolContext`, if it has one."""
    return find_parameter(function, ToolContext)


def require_object(schema: InputSchema, name: str) -> InputSchema:
    """Return ``schema`` as an object's schema: providers accept no other for a tool."""
    try:
        told = object_schema(schema.json_schema)
    except NoObjectError as error:
        raise ConfigurationError(f"tool {name}: the input must be an object: {error}") from error
    assert isinstance(schema, ModelInput | JsonSchemaInput)
    schema.json_schema = told
    return schema


def name_of(function: Callable[..., Any] | None) -> str:
    while isinstance(function, partial):
        function = function.func
    name: str | None = getattr(function, "__name__", None)
    if not name or name == "<lambda>":
        raise ConfigurationError("a tool needs a name: give one, or a function that has one")
    return name


def describe(function: Callable[..., Any] | None) -> str | None:
    while isinstance(function, partial):
        function = function.func
    if function is None:
        return None
    # The docstring of ``__call__`` describes the call of an object; the class's docstring describes the object.
    text = (function if inspect.isroutine(function) else type(function).__call__).__doc__
    return inspect.cleandoc(text) if text else None


def read_tools(tools: Tools | None) -> dict[str, Tool]:
    """Return tools by name. The keys of a mapping are the names, as in the AI SDK. A plain function becomes a tool.

    Raises:
        ConfigurationError: Two tools have the same name, or an item is neither a `Tool` nor a function.
    """
    if tools is None:
        return {}
    if isinstance(tools, Mapping):
        by_key = cast("Mapping[str, Any]", tools)
        return {key: as_tool(item, key) for key, item in by_key.items()}
    if not isinstance(tools, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance] - not all programs are checked
        raise ConfigurationError(f"tools must be a list or a mapping of tools, not {type(tools).__name__}")
    named = [as_tool(item, None) for item in tools]
    by_name = {item.name: item for item in named}
    if len(by_name) < len(named):
        raise ConfigurationError("two tools have the same name")
    return by_name


def as_tool(value: Any, name: str | None) -> Tool:
    if isinstance(value, Tool):
        known = cast("Tool", value)
        return known if name is None else msgspec.structs.replace(known, name=name)
    if callable(value):
        return make_tool(value, name, None, {})
    raise ConfigurationError(f"tools must be made with tool() or be functions, not {type(value).__name__}")
