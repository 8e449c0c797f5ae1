"""`Output`: what the text of an answer is to be, beside its tools: an object, an array, one of some texts, any JSON.

Upstream: ``Output`` (``ai/src/generate-text/output.ts``, 7.0.173), in snake case.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Generic, overload

import msgspec
from typing_extensions import TypeVar

from usechat.answers.objects.array_text import ArrayElements
from usechat.answers.objects.partial import GrowingValue
from usechat.answers.objects.shape import Shape, make_shape
from usechat.checks import check_texts
from usechat.errors import ConfigurationError
from usechat.models.base import ResponseFormat
from usechat.parts import FinishStep, Part, ResetStep, StartStep, TextDelta

__all__ = ["Output", "read_elements", "read_partials"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True, default=Any)
ChoiceT = TypeVar("ChoiceT", bound=str)


class Output(msgspec.Struct, Generic[T_co], frozen=True):
    """The kind of an answer's last text. Tools and steps stay as they are.

        class Recipe(BaseModel):
            name: str
            minutes: int

        agent = Agent(model, tools=[look_up], output=Output.object(Recipe))
        recipe = (await agent.generate("A soup")).output      # a Recipe

    A class means text that a pydantic type checks; a JSON schema as a dict is taken as well, and its values are JSON.
    """

    shape: Shape
    """How the value is asked for and read."""
    name: str | None = None
    """A name for the model to go by."""
    description: str | None = None
    """What the model is told of it."""

    @overload
    @staticmethod
    def object(schema: type[T], *, name: str | None = None, description: str | None = None) -> Output[T]: ...
    @overload
    @staticmethod
    def object(schema: Any, *, name: str | None = None, description: str | None = None) -> Output[Any]: ...
    @staticmethod
    def object(schema: Any, *, name: str | None = None, description: str | None = None) -> Output[Any]:
        """Ask for one value of a type.

        Args:
            schema: A pydantic model or another type that pydantic knows, or a JSON schema.
            name: A name for the model to go by.
            description: What the model is told of it.

        Raises:
            ConfigurationError: It is no schema.
        """
        return Output(make_shape("object", schema, None), name, description)

    @overload
    @staticmethod
    def array(element: type[T], *, name: str | None = None, description: str | None = None) -> Output[list[T]]: ...
    @overload
    @staticmethod
    def array(element: Any, *, name: str | None = None, description: str | None = None) -> Output[list[Any]]: ...
    @staticmethod
    def array(element: Any, *, name: str | None = None, description: str | None = None) -> Output[Any]:
        """Ask for a list. `StreamTextResult.element_stream` has each element as soon as it is whole.

        Args:
            element: The type or the JSON schema of one element.
            name: A name for the model to go by.
            description: What the model is told of it.

        Raises:
            ConfigurationError: It is no schema.
        """
        return Output(make_shape("array", element, None), name, description)

    @staticmethod
    def choice(
        options: Sequence[ChoiceT], *, name: str | None = None, description: str | None = None
    ) -> Output[ChoiceT]:
        """Ask for one of some texts: ``Output.choice(["sunny", "rainy"])``.

        Args:
            options: The texts.
            name: A name for the model to go by.
            description: What the model is told of it.

        Raises:
            ConfigurationError: There are none, or one is no text.
        """
        check_texts("options", options)
        return Output(make_shape("enum", None, options), name, description)

    @staticmethod
    def json(*, name: str | None = None, description: str | None = None) -> Output[Any]:
        """Take any JSON. The prompt must ask for it: no model can be held to what has no schema.

        Args:
            name: A name for the model to go by.
            description: What the model is told of it.
        """
        return Output(make_shape("no-schema", None, None), name, description)

    @property
    def response_format(self) -> ResponseFormat | None:
        """What the model is asked for; None when any JSON will do."""
        asked = self.shape.asked
        if asked is None:
            return None
        return ResponseFormat(json_schema=asked, name=self.name, description=self.description)


async def read_partials(output: Output[Any] | None, batches: AsyncGenerator[list[Part]]) -> AsyncGenerator[Any]:
    """Yield the growing value of each step's text, each time it has changed.

    Raises:
        ConfigurationError: There is no output.
    """
    if output is None:
        raise ConfigurationError(
            "partial_output_stream needs output=Output.object(…) or its like; text is in text_stream"
        )
    value = GrowingValue(output.shape, array_key="elements")
    async with aclosing(batches):
        async for batch in batches:
            for part in batch:
                if isinstance(part, TextDelta):
                    value.feed(part.delta)
                elif isinstance(part, FinishStep) and value.has_changed(is_last=True):
                    yield value.shown
                elif isinstance(part, StartStep | ResetStep):
                    value = GrowingValue(output.shape, array_key="elements")
            if value.has_changed():
                yield value.shown


async def read_elements(output: Output[Any] | None, batches: AsyncGenerator[list[Part]]) -> AsyncGenerator[Any]:
    """Yield each element of an array, checked and as soon as it is whole.

    Raises:
        ConfigurationError: The output is no array.
        NoObjectGeneratedError: An element does not fit.
    """
    if output is None or output.shape.output != "array":
        raise ConfigurationError("element_stream needs output=Output.array(…)")
    reader = ArrayElements()
    async with aclosing(batches):
        async for batch in batches:
            for part in batch:
                if isinstance(part, StartStep | ResetStep):
                    reader = ArrayElements()
                elif isinstance(part, TextDelta):
                    for text in reader.feed(part.delta):
                        yield output.shape.read_element(text)[1]
