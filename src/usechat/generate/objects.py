"""`stream_object` and `generate_object`: JSON that fits a schema, as it grows and whole.

Upstream: ``streamObject`` (``ai/src/generate-object``, 7.0.173), whose text stream ``useObject`` reads.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

from usechat import parts as p
from usechat.errors import ConfigurationError, NoObjectGeneratedError
from usechat.generate.answer import Answer, Callbacks, FinishEvent, Outcome, Source
from usechat.generate.array_text import ArrayElements
from usechat.generate.inputs import Messages, given_messages, read_messages
from usechat.generate.loop import Loop, LoopRequest
from usechat.generate.schema import InputSchema, JsonSchemaInput, read_input_schema
from usechat.generate.stop import step_count_is
from usechat.models.base import Model, ModelCall, ResponseFormat
from usechat.protocol.json import decode_json
from usechat.protocol.partial_json import parse_partial_json

if TYPE_CHECKING:
    from usechat.fastapi import StreamingAnswer
    from usechat.messages.ui import ChatRequest, CompletionRequest

__all__ = ["ObjectFinishEvent", "StreamObjectResult", "generate_object", "stream_object"]

Output: TypeAlias = Literal["object", "array", "enum", "no-schema"]


class ObjectFinishEvent(msgspec.Struct, frozen=True, kw_only=True):
    """How a `stream_object` ended."""

    object: Any
    """The checked value; None when there is none."""
    error: BaseException | None
    """Why there is none."""
    text: str
    """What the model wrote."""
    finish_reason: p.FinishReason | None
    usage: p.Usage


class Shape(msgspec.Struct, frozen=True):
    """What is asked of the model, and how its JSON becomes the value."""

    output: Output
    schema: InputSchema
    """Of the object, or of one element."""
    asked: Mapping[str, Any]
    """The schema that the model gets."""

    def read(self, text: str) -> Any:
        """The checked value of the model's whole text.

        Raises:
            NoObjectGeneratedError: It is no JSON, or does not fit.
        """
        try:
            value = decode_json(text)
        except ValueError as error:
            raise NoObjectGeneratedError("The model's text is not JSON.", text=text) from error
        try:
            match self.output:
                case "array":
                    return [self.schema.check(element)[1] for element in demand(value, "elements", list)]
                case "enum":
                    return self.schema.check(demand(value, "result", str))[1]
                case _:
                    return self.schema.check(value)[1]
        except ValueError as error:
            raise NoObjectGeneratedError(f"The model's JSON does not fit: {error}", text=text) from error


def demand(value: Any, key: str, type_: type) -> Any:
    found = value.get(key) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    if not isinstance(found, type_):
        raise ValueError(f"{key} is missing")  # noqa: TRY004 - it is the model's value that is wrong
    return found  # pyright: ignore[reportUnknownVariableType]


def make_shape(output: Output, schema: Any, enum: Sequence[str] | None) -> Shape:
    if output == "enum":
        if not enum:
            raise ConfigurationError('output="enum" needs the values: enum=["a", "b"]')
        values: dict[str, Any] = {"type": "string", "enum": list(enum)}
        return Shape(output, EnumInput(values), wrap("result", values))
    if output == "no-schema":
        anything: dict[str, Any] = {"type": "object"}
        return Shape(output, JsonSchemaInput(anything, lambda value: value), anything)
    if schema is None:
        raise ConfigurationError(f'output="{output}" needs a schema')
    read = read_input_schema(schema)
    if output == "object":
        return Shape(output, read, closed(read.json_schema))
    definitions = {key: value for key, value in read.json_schema.items() if key in ("$defs", "definitions")}
    element = {key: value for key, value in read.json_schema.items() if key not in ("$schema", *definitions)}
    return Shape(output, read, {**definitions, **wrap("elements", {"type": "array", "items": element})})


class EnumInput:
    """One of some texts."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.json_schema = schema

    def check(self, value: Any) -> tuple[Any, Any]:
        """The value, twice.

        Raises:
            ValueError: It is none of the texts.
        """
        if value not in self.json_schema["enum"]:
            raise ValueError("the result is none of the values")
        return value, value


def wrap(key: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


def closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object's schema that allows no other keys, as zod's objects do."""
    is_open = schema.get("type") == "object" and "additionalProperties" not in schema
    return {**schema, "additionalProperties": False} if is_open else schema


class ObjectSource:
    """The loop's parts, with an array's text as an array of its complete elements."""

    def __init__(self, loop: Loop, shape: Shape) -> None:
        self.loop = loop
        self.shape = shape
        self.text: list[str] = []
        self.elements = ArrayElements() if shape.output == "array" else None
        self.has_elements = False

    async def run(self) -> AsyncGenerator[list[p.Part]]:
        """The parts."""
        stream = self.loop.run()
        try:
            async for batch in stream:
                yield [self.show(part) if isinstance(part, p.TextDelta) else part for part in batch]
        finally:
            await stream.aclose()

    def show(self, part: p.TextDelta) -> p.TextDelta:
        """A delta as ``useObject`` is to read it."""
        self.text.append(part.delta)
        if self.elements is None:
            return part
        was_complete = self.elements.is_complete
        shown: list[str] = []
        for element in self.elements.feed(part.delta):
            shown.append(("," if self.has_elements else "[") + element)
            self.has_elements = True
        if self.elements.is_complete and not was_complete:
            shown.append("]" if self.has_elements else "[]")
        return p.TextDelta(part.id, "".join(shown))

    def outcome(self) -> Outcome:
        """How far the answer has come, in the model's own text."""
        return msgspec.structs.replace(self.loop.outcome(), text="".join(self.text))


class StreamObjectResult(Answer):
    """An answer that is JSON."""

    def __init__(
        self,
        request: LoopRequest,
        shape: Shape,
        messages: Messages,
        callbacks: Callbacks,
    ) -> None:
        super().__init__(callbacks)
        self.request = request
        self.shape = shape
        self.messages = messages

    def prepare(self) -> None:
        """Turn the messages into the model's.

        Raises:
            RequestError: A message cannot be expressed to a model.
        """
        if not self.request.call.messages:
            messages = read_messages(self.messages)
            self.request.call = msgspec.structs.replace(self.request.call, messages=messages)

    def make_source(self) -> Source:
        """The loop, whose text is the JSON."""
        self.request.message_id = self.message_id
        self.request.on_error = self.callbacks.error_text
        return ObjectSource(Loop(self.request, self.policy, self.abort_event), self.shape)

    def response(self, chat: ChatRequest | CompletionRequest | None = None, **options: Any) -> StreamingAnswer:
        """The growing JSON as a text stream, which is what ``useObject`` reads."""
        return super().response(chat, **{"wire_format": "text-stream", **options})

    @property
    def object(self) -> Awaitable[Any]:
        """The checked value; a pydantic schema's is an instance of it.

        Raises:
            NoObjectGeneratedError: The model's text is no JSON, or does not fit.
            ProviderError: The model failed.
        """
        return self._object()

    async def _object(self) -> Any:
        return self.shape.read(await self.text)

    async def partial_objects(self) -> AsyncIterator[Any]:
        """The value as it grows: what can be read of the JSON so far, each time that it has changed."""
        text: list[str] = []
        last: Any = msgspec.UNSET
        async for batch in self.batches():
            text += [part.delta for part in batch if isinstance(part, p.TextDelta)]
            value = parse_partial_json("".join(text))
            if value is not msgspec.UNSET and value != last:
                last = value
                yield value

    async def elements(self) -> AsyncIterator[Any]:
        """An array's elements, each checked and as soon as it is complete.

        Raises:
            ConfigurationError: The output is no array.
            NoObjectGeneratedError: An element does not fit.
        """
        if self.shape.output != "array":
            raise ConfigurationError('elements() needs output="array"')
        reader = ArrayElements(array_depth=1)
        async for batch in self.batches():
            for part in batch:
                for text in reader.feed(part.delta) if isinstance(part, p.TextDelta) else ():
                    yield self._element(text)

    def _element(self, text: str) -> Any:
        try:
            return self.shape.schema.check(decode_json(text))[1]
        except ValueError as error:
            raise NoObjectGeneratedError(f"An element does not fit: {error}", text=text) from error

    def finished(self, event: FinishEvent) -> ObjectFinishEvent:
        """The end, with the value or the reason why there is none."""
        value, error = None, event.error
        if error is None:
            try:
                value = self.shape.read(event.text)
            except NoObjectGeneratedError as not_generated:
                error = not_generated
        return ObjectFinishEvent(
            object=value, error=error, text=event.text, finish_reason=event.finish_reason, usage=event.usage
        )


def stream_object(
    model: Model,
    *,
    schema: Any = None,
    output: Output = "object",
    enum: Sequence[str] | None = None,
    schema_name: str | None = None,
    schema_description: str | None = None,
    messages: Messages | None = None,
    prompt: str | None = None,
    system: str | None = None,
    max_output_tokens: int | None = None,
    temperature: float | None = None,
    provider_options: Mapping[str, Mapping[str, Any]] | None = None,
    max_retries: int | None = None,
    on_finish: Callable[[ObjectFinishEvent], Any] | None = None,
    on_error: Callable[[BaseException], str | None] | None = None,
) -> StreamObjectResult:
    """Ask a model for JSON. Nothing runs until the answer is read.

        result = stream_object(model, schema=Recipe, prompt="Soup")
        return result.response()          # for useObject
        recipe = await result.object      # or: async for part in result.partial_objects()

    Args:
        model: For instance ``anthropic("claude-sonnet-4-6")``.
        schema: A JSON schema, a pydantic model or another type that pydantic knows; of one element for an array.
        output: ``object``, ``array``, ``enum``, or ``no-schema`` for any JSON.
        enum: The values, for ``enum``.
        schema_name: A name for the model to go by.
        schema_description: What the model is told of it.
        messages: UI messages or model messages. Either these or ``prompt``.
        prompt: One user message.
        system: Instructions.
        max_output_tokens: Tokens; the model's own limit without it.
        temperature: The provider's.
        provider_options: Whatever else the provider's API takes.
        max_retries: Of a request that failed before its first byte.
        on_finish: Gets how it ended, exactly once.
        on_error: Gets each error.

    Raises:
        ConfigurationError: The arguments contradict each other.
    """
    shape = make_shape(output, schema, enum)
    call = ModelCall(
        messages=(),
        system=system,
        max_output_tokens=max_output_tokens,
        temperature=temperature,
        provider_options=provider_options,
        max_retries=max_retries,
        response_format=ResponseFormat(json_schema=shape.asked, name=schema_name, description=schema_description),
    )
    request = LoopRequest(model=model, call=call, tools={}, stop_when=[step_count_is(1)])
    result: StreamObjectResult

    async def finished(event: FinishEvent) -> None:
        await Callbacks(on_finish=on_finish).call("on_finish", result.finished(event))  # type: ignore[arg-type]

    callbacks = Callbacks(on_finish=finished if on_finish else None, on_error=on_error)
    result = StreamObjectResult(request, shape, given_messages(messages, prompt), callbacks)
    return result


async def generate_object(model: Model, **options: Any) -> ObjectFinishEvent:
    """As `stream_object`, whole.

    Raises:
        NoObjectGeneratedError: The model's text is no JSON, or does not fit.
        ProviderError: The model failed.
    """
    result = stream_object(model, **options)
    await result.object
    assert result.final is not None
    return result.finished(result.final)
