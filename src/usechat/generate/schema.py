"""Tool inputs: from a Python signature, a pydantic model or a JSON schema to what the model is told and is checked.

pydantic makes the schemas and does the checks. A plain JSON schema is handed on as it is; its input is checked only
where the application gives a function for it, as with the AI SDK's ``jsonSchema()``.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model

from usechat.errors import ConfigurationError

__all__ = ["InputSchema", "JsonSchemaInput", "ModelInput", "input_from_signature", "read_input_schema"]


class InputSchema(Protocol):
    """What a tool takes."""

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """The schema as the model gets it."""
        ...

    def check(self, value: Any) -> tuple[Any, Any]:
        """``value`` as the client is shown it (JSON) and as the function gets it.

        Raises:
            ValueError: It does not fit; the text says where.
        """
        ...


class ModelInput:
    """An input that pydantic checks; keys that the model does not have are dropped, as zod's objects drop them."""

    def __init__(self, model: Any) -> None:
        self.adapter: TypeAdapter[Any] = TypeAdapter(model)
        self.json_schema = tidy(self.adapter.json_schema(mode="validation"))

    def check(self, value: Any) -> tuple[Any, Any]:
        """The checked value, as JSON and as the model's instance."""
        try:
            checked = self.adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(describe(error)) from error
        shown = self.adapter.dump_python(checked, mode="json", by_alias=True, exclude_unset=True)
        return shown, checked


class JsonSchemaInput:
    """An input that only its JSON schema describes."""

    def __init__(self, schema: Mapping[str, Any], check: Callable[[Any], Any] | None = None) -> None:
        self.json_schema = schema
        self.checker = check

    def check(self, value: Any) -> tuple[Any, Any]:
        """The value, or what the application's own check makes of it."""
        checked = value if self.checker is None else self.checker(value)
        return checked, checked


def describe(error: ValidationError) -> str:
    """Every failure with its path, for the model to mend its call; nothing but the path and pydantic's words."""
    failures = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, failure['loc'])) or 'input'}: {failure['msg']}" for failure in failures)


def tidy(schema: Any) -> Any:
    """``schema`` without pydantic's ``title`` keys, which cost tokens and say nothing; properties so called stay."""
    if isinstance(schema, list):
        return [tidy(item) for item in typing.cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    items = typing.cast("dict[str, Any]", schema).items()
    return {
        key: {name: tidy(value) for name, value in value.items()} if key in ("properties", "$defs") else tidy(value)
        for key, value in items
        if not (key == "title" and isinstance(value, str))
    }


def read_input_schema(schema: Any) -> InputSchema:
    """A tool's ``input_schema`` argument: a JSON schema, or anything pydantic makes a schema of.

    Raises:
        ConfigurationError: It is neither.
    """
    if isinstance(schema, Mapping):
        return JsonSchemaInput(typing.cast("Mapping[str, Any]", schema))
    try:
        return ModelInput(schema)
    except Exception as error:
        raise ConfigurationError("input_schema must be a JSON schema or a type that pydantic knows") from error


def input_from_signature(function: Callable[..., Any], name: str, skip: type) -> tuple[ModelInput, str | None]:
    """The input of a tool function, and the name of its parameter of type ``skip``, which is no input.

    Raises:
        ConfigurationError: A parameter is positional-only, variadic or has no annotation.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    fields: dict[str, Any] = {}
    skipped: str | None = None
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigurationError(f"tool {name}: parameter {parameter.name} must be a named one")
        if parameter.name not in hints:
            raise ConfigurationError(f"tool {name}: parameter {parameter.name} has no annotation")
        if is_annotated_as(hints[parameter.name], skip):
            skipped = parameter.name
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], Field(default))
    model = create_model(name, __base__=ToolInput, **fields)
    return ModelInput(model), skipped


class ToolInput(BaseModel):
    """Base of the models made from signatures."""

    model_config = ConfigDict(arbitrary_types_allowed=False)


def is_annotated_as(hint: Any, class_: type) -> bool:
    candidates = (hint, typing.get_origin(hint), *typing.get_args(hint))
    return any(inspect.isclass(candidate) and issubclass(candidate, class_) for candidate in candidates)
