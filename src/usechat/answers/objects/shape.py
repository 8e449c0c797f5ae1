"""The request for an answer in JSON, and how its text becomes the value: object, array, enum, any.

Knows no loop and no model. Upstream: ``ai/src/generate-object/output-strategy.ts`` (7.0.173).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast

import msgspec

from usechat.errors import ConfigurationError, NoObjectGeneratedError
from usechat.json import decode_json
from usechat.models.object_schema import NoObjectError, inline_root, object_schema
from usechat.tools.schema import InputSchema, JsonSchemaInput, read_input_schema
from usechat.unsafe_keys import refuse_unsafe_keys

__all__ = ["OutputKind", "Shape", "make_shape"]

OutputKind: TypeAlias = Literal["object", "array", "enum", "no-schema"]

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
DEFINITIONS = ("definitions", "$defs")


class Shape(msgspec.Struct, frozen=True):
    """The request to the model for JSON, and how this becomes the value."""

    output: OutputKind
    schema: InputSchema
    """Of the object, of one element, or of one of an enum's values."""
    asked: Mapping[str, Any] | None
    """The schema that the model gets; None when any JSON will do, which no model can be held to."""
    is_wrapped: bool = False
    """Whether the model is asked for an object with the value under ``value``, as the value itself is no object."""

    def read(self, text: str, *, finish_reason: str | None = None) -> Any:
        """Return the checked value of the model's whole text.

        Raises:
            NoObjectGeneratedError: It is no JSON, or does not fit.
        """
        try:
            value = refuse_unsafe_keys(text, decode_json(text))
        except ValueError as error:
            why = WHY_NO_JSON.get(finish_reason or "", "The model's text is not JSON.")
            raise NoObjectGeneratedError(why, text=text, finish_reason=finish_reason) from error
        try:
            return self._check(value)
        except ValueError as error:
            raise NoObjectGeneratedError(
                f"The model's JSON does not fit: {error}", text=text, finish_reason=finish_reason
            ) from error

    def _check(self, value: Any) -> Any:
        match self.output:
            case "array":
                return [self.schema.check(element)[1] for element in demand(value, "elements", list)]
            case "enum":
                return self.schema.check(demand(value, "result", str))[1]
            case "object" if self.is_wrapped:
                if not isinstance(value, dict) or "value" not in value:
                    raise ValueError("value is missing")
                return self.schema.check(cast("dict[str, Any]", value)["value"])[1]
            case _:
                return self.schema.check(value)[1]

    def read_element(self, text: str) -> tuple[Any, Any]:
        """Return an array's element, as JSON and as the schema makes it.

        Raises:
            NoObjectGeneratedError: It is no JSON, or does not fit.
        """
        try:
            return self.schema.check(refuse_unsafe_keys(text, decode_json(text)))
        except ValueError as error:
            raise NoObjectGeneratedError(f"An element does not fit: {error}", text=text) from error

    def show(self, value: Any) -> Any:
        """Return a value that may still grow, as the caller gets it; `msgspec.UNSET` while there is none."""
        if self.is_wrapped:
            return (
                cast("dict[str, Any]", value).get("value", msgspec.UNSET) if isinstance(value, dict) else msgspec.UNSET
            )
        if self.output != "enum":
            return value
        begun: Any = cast("dict[str, Any]", value).get("result") if isinstance(value, dict) else None
        if not isinstance(begun, str) or not begun:
            return msgspec.UNSET
        possible = [name for name in self.schema.json_schema["enum"] if name.startswith(begun)]
        return possible[0] if len(possible) == 1 else begun if possible else msgspec.UNSET


WHY_NO_JSON = {
    "length": "The model ran out of tokens before its JSON was complete.",
    "content-filter": "The model refused.",
    "tool-calls": "The answer ended with calls of tools, before the model wrote its output.",
}


class EnumInput:
    """One of some texts."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.json_schema = schema

    def check(self, value: Any) -> tuple[Any, Any]:
        """Return the value as JSON and as the application gets it; here both are the same.

        Raises:
            ValueError: It is none of the texts.
        """
        if value not in self.json_schema["enum"]:
            raise ValueError("the result is none of the values")
        return value, value


def make_shape(output: OutputKind, schema: Any, enum: Sequence[str] | None) -> Shape:
    """Return the shape for the arguments of `stream_object`.

    Raises:
        ConfigurationError: They contradict each other.
    """
    if (enum is not None) != (output == "enum") or (schema is not None) != (output in ("object", "array")):
        raise ConfigurationError(f'output="{output}" takes {TAKES[output]}')
    match output:
        case "enum":
            values: dict[str, Any] = {"type": "string", "enum": list(enum or ())}
            if not values["enum"]:
                raise ConfigurationError("an enum needs values")
            return Shape(output, EnumInput(values), {"$schema": DRAFT_7, **wrap("result", values)})
        case "no-schema":
            return Shape(output, JsonSchemaInput({}), None)
        case "array":
            read = read_input_schema(schema)
            return Shape(output, read, array_of(read.json_schema))
        case _:
            read = read_input_schema(schema)
            if describes_object(read.json_schema):
                return Shape(output, read, closed(inline_root(read.json_schema)))
            return Shape(output, read, wrapped(read.json_schema), is_wrapped=True)


TAKES: Mapping[OutputKind, str] = {
    "object": "a schema, and nothing but a schema",
    "array": "the schema of one element, and nothing but that",
    "enum": 'the values, and no schema: enum=["a", "b"]',
    "no-schema": "neither schema nor enum",
}


def describes_object(schema: Mapping[str, Any]) -> bool:
    """Return whether the value is an object, which is all that providers let a model answer with."""
    try:
        object_schema(schema)
    except NoObjectError:
        return False
    return True


def wrapped(schema: Mapping[str, Any]) -> dict[str, Any]:
    definitions = {key: schema[key] for key in DEFINITIONS if key in schema}
    own = {key: value for key, value in schema.items() if key not in ("$schema", *DEFINITIONS)}
    return {"$schema": DRAFT_7, **definitions, **wrap("value", own)}


def array_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    # Definitions stay at the root, where the references of the element's schema look for them.
    definitions = {key: schema[key] for key in DEFINITIONS if key in schema}
    element = {key: value for key, value in schema.items() if key not in ("$schema", *DEFINITIONS)}
    return {"$schema": DRAFT_7, **definitions, **wrap("elements", {"type": "array", "items": closed(element)})}


def wrap(key: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {key: schema}, "required": [key], "additionalProperties": False}


def closed(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object's schema that allows no other keys, as zod's objects do."""
    is_open = schema.get("type") == "object" and "additionalProperties" not in schema
    return {**schema, "additionalProperties": False} if is_open else schema


def demand(value: Any, key: str, type_: type) -> Any:
    found: Any = cast("dict[str, Any]", value).get(key) if isinstance(value, dict) else None
    if not isinstance(found, type_):
        raise ValueError(f"{key} is missing")  # noqa: TRY004 - it is the model's value that is wrong
    return found
