"""`stream_object` and `generate_object`: JSON that fits a schema, as it grows and whole.

Upstream: ``streamObject`` (``ai/src/generate-object``, 7.0.173), whose text stream ``useObject`` reads.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, Unpack, overload

import msgspec
from typing_extensions import TypeVar

from usechat.answers.answer import Answer, Callbacks, FinishEvent, Outcome
from usechat.answers.arguments.call_options import CallOptions, check_settings
from usechat.answers.arguments.inputs import Messages, given_messages, read_messages
from usechat.answers.arguments.response_options import ResponseOptions
from usechat.answers.loop.model_turn import ModelTurn
from usechat.answers.loop.policy import LoopPolicy
from usechat.answers.loop.request import LoopRequest
from usechat.answers.loop.turn import Turn
from usechat.answers.objects.array_text import ArrayElements
from usechat.answers.objects.partial import GrowingValue
from usechat.answers.objects.shape import OutputKind, Shape, make_shape
from usechat.answers.stop import step_count_is
from usechat.checks import check_function, check_model, option_names, refuse_unknown
from usechat.errors import ConfigurationError, NoObjectGeneratedError
from usechat.guard import Contained, exception_for, original_error
from usechat.json import encode_json
from usechat.models.base import Model, ModelCall, ResponseFormat
from usechat.parts import FinishReason, Part, TextDelta, Usage

if TYPE_CHECKING:
    from usechat.http.response import StreamingAnswer
    from usechat.messages.ui import ChatRequest, CompletionRequest
    from usechat.runs.service import RunService

__all__ = ["ObjectFinishEvent", "RepairText", "StreamObjectResult", "generate_object", "stream_object"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True, default=Any)

RepairText: TypeAlias = Callable[[str, NoObjectGeneratedError], "str | Awaitable[str | None] | None"]
"""Gets a text that is not the requested JSON, and the error. Returns a corrected text, or None."""


class ObjectFinishEvent(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """The end of a `stream_object`."""

    object: T_co
    """The checked value; None when there is none, which `generate_object` raises for."""
    error: BaseException | None
    """The error when there is no value: the failure, or a `NoObjectGeneratedError`."""
    text: str
    """The model's text."""
    finish_reason: FinishReason | None
    """None when the answer was stopped or failed before it had one."""
    usage: Usage
    is_aborted: bool = False
    """Whether the reader left or the answer was stopped."""


class ObjectTurn(ModelTurn):
    """The turn of a model that writes JSON, with an array's text as an array of its complete elements."""

    def __init__(self, request: LoopRequest, policy: LoopPolicy, abort: asyncio.Event, shape: Shape) -> None:
        super().__init__(request, policy, abort)
        self.shape = shape
        self.text: list[str] = []
        self.elements = ArrayElements() if shape.output == "array" else None
        self.has_begun_array = False

    def take(self) -> list[Part]:
        """Return the parts to show now."""
        return [self.show(part) if isinstance(part, TextDelta) else part for part in super().take()]

    def show(self, part: TextDelta) -> TextDelta:
        """Return a delta in the form that ``useObject`` reads."""
        self.text.append(part.delta)
        if self.elements is None or self.elements.is_complete:
            return part if self.elements is None else TextDelta(part.id, "")
        shown: list[str] = []
        for element in self.elements.feed(part.delta):
            shown += ["," if self.has_begun_array else "[", self._element(element)]
            self.has_begun_array = True
        if self.elements.is_complete:
            shown.append("]" if self.has_begun_array else "[]")
        return TextDelta(part.id, "".join(shown))

    def _element(self, text: str) -> str:
        try:
            return encode_json(self.shape.read_element(text)[0]).decode()
        except NoObjectGeneratedError:
            # Left as it is: the client refuses it, as it refuses a whole object that does not fit.
            return text

    def outcome(self) -> Outcome:
        """Return the progress of the answer, with the model's own text."""
        return msgspec.structs.replace(super().outcome(), text="".join(self.text))


class StreamObjectResult(Answer, Generic[T_co]):
    """An answer that is JSON. Make it with `stream_object`."""

    def __init__(
        self,
        request: LoopRequest,
        shape: Shape,
        messages: Messages,
        *,
        repair_text: RepairText | None = None,
        on_finish: Callable[[ObjectFinishEvent[Any]], Any] | None = None,
        on_error: Callable[[BaseException], str | None] | None = None,
    ) -> None:
        super().__init__(Callbacks(on_finish=self._tell_object if on_finish else None, on_error=on_error))
        self.request = request
        self.shape = shape
        self.messages = messages
        self.repair_text = repair_text
        self.on_object_finish = on_finish
        self.is_prepared = False
        self.reading = asyncio.Lock()
        """Held while the value is made, once."""
        self.read: ObjectFinishEvent[Any] | None = None

    def prepare(self) -> None:
        """Convert the messages to model messages.

        Raises:
            RequestError: A message cannot be expressed to a model.
        """
        if not self.is_prepared:
            messages = read_messages(self.messages)
            self.request.call = msgspec.structs.replace(self.request.call, messages=messages)
            self.is_prepared = True

    def make_turn(self) -> Turn:
        """Return the turn of the model, whose text is the JSON."""
        self.request.message_id, self.request.observer = self.message_id, self.observer
        self.request.on_error = self.callbacks.error_text
        return ObjectTurn(self.request, self.policy, self.aborting, self.shape)

    def response(
        self,
        chat: ChatRequest | CompletionRequest | None = None,
        *,
        runs: RunService | None = None,
        **options: Unpack[ResponseOptions],
    ) -> StreamingAnswer:
        """Return the growing JSON as a text stream for ``useObject``. Takes the options of `Answer.response`.

        A value that is no object comes as ``{"value": …}``, one of an enum as ``{"result": …}``.
        """
        options.setdefault("wire_format", "text-stream")
        return super().response(chat, runs=runs, **options)

    @property
    def object(self) -> Awaitable[T_co]:
        """The checked value; a pydantic schema's is an instance of it.

        Raises:
            NoObjectGeneratedError: The model's text is no JSON, or does not fit.
            ProviderError: The model failed.
        """
        return self._object()

    async def _object(self) -> T_co:
        await self.text
        assert self.final is not None
        finished = await self.finished(self.final)
        if finished.error is not None:
            raise exception_for(finished.error)
        return finished.object

    async def partial_objects(self) -> AsyncIterator[Any]:
        """Yield the growing value each time its readable part has changed. An object is not checked yet.

        An array's elements are whole and checked, as far as they fit. A long value is shown less often, when it has
        grown by a sixteenth, so that the work stays linear in its length.
        """
        value = GrowingValue(self.shape)
        async for batch in self.batches():
            for part in batch:
                if isinstance(part, TextDelta):
                    value.feed(part.delta)
            if value.has_changed():
                yield value.shown
        if value.has_changed(is_last=True):
            yield value.shown

    async def elements(self) -> AsyncIterator[Any]:
        """Yield an array's elements, each checked and as soon as it is complete.

        Raises:
            ConfigurationError: The output is no array.
            NoObjectGeneratedError: An element does not fit.
        """
        if self.shape.output != "array":
            raise ConfigurationError('elements() needs output="array"')
        reader = ArrayElements(key=None)
        async for batch in self.batches():
            for part in batch:
                for text in reader.feed(part.delta) if isinstance(part, TextDelta) else ():
                    yield self.shape.read_element(text)[1]

    async def finished(self, event: FinishEvent) -> ObjectFinishEvent[T_co]:
        """Return the end, with the value or the reason why there is none."""
        async with self.reading:
            if self.read is None:
                value, error = None, event.error
                try:
                    with Contained():
                        value = await self._read(event) if error is None else None
                except Exception as failed:  # noqa: BLE001 - of a schema's or a repair's functions; the end is told
                    error = original_error(failed)
                self.read = ObjectFinishEvent(
                    object=value,
                    error=error,
                    text=event.text,
                    finish_reason=event.finish_reason,
                    usage=event.usage,
                    is_aborted=event.is_aborted,
                )
            return self.read

    async def _read(self, event: FinishEvent) -> Any:
        reason = event.finish_reason.unified if event.finish_reason is not None else None
        try:
            return self.shape.read(event.text, finish_reason=reason)
        except NoObjectGeneratedError as error:
            if self.repair_text is None or event.is_aborted:
                raise
            mended = self.repair_text(event.text, error)
            mended = await mended if inspect.isawaitable(mended) else mended
            if mended is None:
                raise
            return self.shape.read(mended, finish_reason=reason)

    async def _tell_object(self, event: FinishEvent) -> None:
        assert self.on_object_finish is not None
        told = self.on_object_finish(await self.finished(event))
        if inspect.isawaitable(told):
            await told


class ObjectOptions(CallOptions, total=False):
    """Options of `stream_object` other than the model and the shape of the value."""

    schema_name: str | None
    schema_description: str | None
    messages: Messages | None
    prompt: str | None
    repair_text: RepairText | None
    on_finish: Callable[[ObjectFinishEvent[Any]], Any] | None
    on_error: Callable[[BaseException], str | None] | None


@overload
def stream_object(
    model: Model, *, schema: type[T], output: Literal["object"] = "object", **options: Unpack[ObjectOptions]
) -> StreamObjectResult[T]: ...
@overload
def stream_object(
    model: Model, *, schema: type[T], output: Literal["array"], **options: Unpack[ObjectOptions]
) -> StreamObjectResult[list[T]]: ...
@overload
def stream_object(
    model: Model, *, output: Literal["enum"], enum: Sequence[str], **options: Unpack[ObjectOptions]
) -> StreamObjectResult[str]: ...
@overload
def stream_object(
    model: Model, *, schema: Any = None, output: OutputKind = "object", **options: Unpack[ObjectOptions]
) -> StreamObjectResult[Any]: ...
def stream_object(
    model: Model,
    *,
    schema: Any = None,
    output: OutputKind = "object",
    enum: Sequence[str] | None = None,
    schema_name: str | None = None,
    schema_description: str | None = None,
    messages: Messages | None = None,
    prompt: str | None = None,
    repair_text: RepairText | None = None,
    on_finish: Callable[[ObjectFinishEvent[Any]], Any] | None = None,
    on_error: Callable[[BaseException], str | None] | None = None,
    **settings: Unpack[CallOptions],
) -> StreamObjectResult[Any]:
    """Ask a model for JSON. Nothing runs until the answer is read.

        result = stream_object(model, schema=Recipe, prompt="Soup")
        return result.response()          # for useObject
        recipe = await result.object      # or: async for part in result.partial_objects()

    Args:
        model: For instance ``anthropic("claude-sonnet-4-6")``.
        schema: A JSON schema, a pydantic model or another type that pydantic knows; of one element for an array.
        output: ``object``, ``array``, ``enum``, or ``no-schema`` for any JSON. The last is the prompt's to ask for: no
            model can be held to it.
        enum: The values, for ``enum``.
        schema_name: A name for the model to go by.
        schema_description: What the model is told of it.
        messages: UI messages or model messages, as for `stream_text`. Either these or ``prompt``.
        prompt: One user message.
        repair_text: Mends a text that is not the JSON asked for. What it mends the client does not see.
        on_finish: Gets how it ended, exactly once.
        on_error: Gets each error.
        **settings: Of the model call, as for `stream_text`; see `CallOptions`. There are no tools.

    Raises:
        ConfigurationError: An option is unknown or makes no sense, or two contradict each other.
    """
    check_model("stream_object", model)
    check_settings("stream_object", settings, option_names(stream_object))
    check_function("repair_text", repair_text)
    check_function("on_finish", on_finish)
    shape = make_shape(output, schema, enum)
    asked = shape.asked
    described = {"name": schema_name, "description": schema_description}
    form = None if asked is None else ResponseFormat(json_schema=asked, **described)
    return StreamObjectResult(
        LoopRequest(
            model=model,
            call=ModelCall(messages=(), response_format=form, **settings),
            tools={},
            stop_when=[step_count_is(1)],
        ),
        shape,
        given_messages(messages, prompt),
        repair_text=repair_text,
        on_finish=on_finish,
        on_error=on_error,
    )


@overload
async def generate_object(
    model: Model, *, schema: type[T], output: Literal["object"] = "object", **options: Unpack[ObjectOptions]
) -> ObjectFinishEvent[T]: ...
@overload
async def generate_object(
    model: Model, *, schema: type[T], output: Literal["array"], **options: Unpack[ObjectOptions]
) -> ObjectFinishEvent[list[T]]: ...
@overload
async def generate_object(
    model: Model, *, output: Literal["enum"], enum: Sequence[str], **options: Unpack[ObjectOptions]
) -> ObjectFinishEvent[str]: ...
@overload
async def generate_object(
    model: Model, *, schema: Any = None, output: OutputKind = "object", **options: Unpack[ObjectOptions]
) -> ObjectFinishEvent[Any]: ...
async def generate_object(model: Model, **options: Any) -> ObjectFinishEvent[Any]:
    """Ask a model for JSON and wait for all of it; takes what `stream_object` does.

        recipe = (await generate_object(model, schema=Recipe, prompt="Soup")).object

    Raises:
        ConfigurationError: An option is unknown or makes no sense, or two contradict each other.
        NoObjectGeneratedError: The model's text is no JSON, or does not fit.
        ProviderError: The model failed.
    """
    check_model("generate_object", model)
    refuse_unknown("generate_object", options, ObjectOptions, *option_names(stream_object))
    result: StreamObjectResult[Any] = stream_object(model, **options)
    await result.object
    assert result.final is not None
    return await result.finished(result.final)
