"""Tool inputs: make the model's JSON schema and the input check of a signature, a pydantic model or a JSON schema.

pydantic makes the schemas and does the checks. A plain JSON schema is used unchanged; its input is checked only when
the application gives a function for that, as with the AI SDK's ``jsonSchema()``.
"""

from __future__ import annotations

import copy
import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

from usechat.errors import ConfigurationError
from usechat.json import MAX_VALUE_DEPTH, decode_json, to_json_value
from usechat.unsafe_keys import refuse_unsafe_keys

__all__ = [
    "InputSchema",
    "JsonSchemaInput",
    "ModelInput",
    "SignatureInput",
    "find_parameter",
    "input_from_signature",
    "parameter_names",
    "read_input_schema",
]


class InputSchema(Protocol):
    """The input of a tool.

    Implemented by: `ModelInput`, `SignatureInput`, `JsonSchemaInput`, `usechat.answers.objects.shape.EnumInput`.
    """

    @property
    def json_schema(self) -> Mapping[str, Any]:
        """The JSON schema for the model."""
        ...

    def check(self, value: Any) -> tuple[Any, Any]:
        """Return the checked ``value`` for the client (JSON) and for the function.

        Raises:
            ValueError: The value does not fit; the text names the path.
        """
        ...


class ModelInput:
    """An input that pydantic checks. Keys that the model does not have are dropped, as in zod's objects."""

    def __init__(self, model: Any) -> None:
        self.adapter: TypeAdapter[Any] = TypeAdapter(model)
        self.json_schema: Mapping[str, Any] = tidy(self.adapter.json_schema(mode="validation"))

    @cached_property
    def takes_back_what_it_shows(self) -> bool:
        """Whether what `check` shows is an input again: no field is shown by another name than it is read by."""
        return {*property_names(self.json_schema)} == {*property_names(self.adapter.json_schema(mode="serialization"))}

    def check(self, value: Any) -> tuple[Any, Any]:
        """Return the checked value, as JSON and as the model's instance."""
        try:
            checked = self._validate(value)
        except ValidationError as error:
            raise ValueError(describe(error)) from error
        shown = self.adapter.dump_python(checked, mode="json", by_alias=True, exclude_unset=True)
        return shown, checked

    def _validate(self, value: Any) -> Any:
        try:
            return self.adapter.validate_python(value)
        except ValidationError as error:
            read = read_json_texts(value, error)
            if read is None:
                raise
            return self.adapter.validate_python(read)


class SignatureInput(ModelInput):
    """A function's parameters. The function gets them as keyword arguments.

    Args:
        model: A model with one field for each parameter.
        parameters: The parameters' names by field.
    """

    def __init__(self, model: Any, parameters: Mapping[str, str]) -> None:
        super().__init__(model)
        self.parameters = parameters

    def check(self, value: Any) -> tuple[Any, Any]:
        """Return the checked value, as JSON and as keyword arguments."""
        shown, checked = super().check(value)
        return shown, {parameter: getattr(checked, field) for field, parameter in self.parameters.items()}


class JsonSchemaInput:
    """An input with a plain JSON schema."""

    def __init__(self, schema: Mapping[str, Any], check: Callable[[Any], Any] | None = None) -> None:
        self.json_schema: Mapping[str, Any] = schema
        self.checker = check

    def check(self, value: Any) -> tuple[Any, Any]:
        """Return the checked input, as JSON and for the tool: the check's result if the application gave a check."""
        value = read_members(value, self.json_schema)
        checked = value if self.checker is None else self.checker(value)
        return checked, checked


def describe(error: ValidationError) -> str:
    """Return every failure with its path, so that the model can correct its call. Only paths and pydantic's texts."""
    failures = error.errors(include_url=False, include_input=False, include_context=False)
    return "; ".join(f"{'.'.join(map(str, failure['loc'])) or 'input'}: {failure['msg']}" for failure in failures)


# Models sometimes write a list or an object as a JSON text.


def read_json_texts(value: Any, error: ValidationError) -> Any:
    """Return ``value`` with JSON texts parsed when a list or an object is expected; None when there are none."""
    changed = copy.deepcopy(value)
    is_changed = False
    for failure in error.errors(include_url=False, include_context=False):
        text = failure["input"]
        is_missed = failure["type"].endswith("_type") or failure["type"] == "sequence_str"
        if isinstance(text, str) and is_missed and (read := maybe_read(text)) is not None:
            is_changed = replace_at(changed, failure["loc"], text, read) or is_changed
    return changed if is_changed else None


def maybe_read(text: str) -> Any:
    try:
        if text.lstrip()[:1] in ("[", "{"):
            return to_json_value(refuse_unsafe_keys(text, decode_json(text)), MAX_VALUE_DEPTH)
    except ValueError:
        pass
    return None


def replace_at(value: Any, path: Sequence[int | str], old: str, new: Any) -> bool:
    """Replace ``old`` by ``new``. Skip path names that are no keys: pydantic adds them for unions."""
    holder = value
    for name in path:
        try:
            found: Any = holder[name]
        except (KeyError, TypeError):
            continue
        if found == old:
            holder[name] = new
            return True
        holder = found
    return False


def keys_of(value: Any) -> Mapping[Any, Any]:
    return typing.cast("dict[Any, Any]", value) if isinstance(value, dict) else {}


def read_members(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return ``value`` with JSON texts parsed in members that are lists or objects by the schema."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    changed: dict[str, Any] = {}
    given = keys_of(value)
    for name, item in given.items():
        said: Any = properties.get(name)
        type_: Any = typing.cast("Mapping[str, Any]", said).get("type") if isinstance(said, Mapping) else None
        wanted = TYPES.get(type_) if isinstance(type_, str) else None
        if wanted is not None and isinstance(item, str) and isinstance(read := maybe_read(item), wanted):
            changed[name] = read
    return {**given, **changed} if changed else value


TYPES: Mapping[Any, type] = {"array": list, "object": dict}

SCHEMAS_BY_NAME = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
VALUES = frozenset({"default", "examples", "example", "enum", "const"})


def tidy(schema: Any) -> Any:
    """Return ``schema`` without pydantic's ``title`` keys: they only cost tokens. Properties named ``title`` stay."""
    if isinstance(schema, list):
        return [tidy(item) for item in typing.cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    return dict(tidy_keys(typing.cast("dict[str, Any]", schema)))


def tidy_keys(schema: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key in VALUES:
            yield key, value
        elif key in SCHEMAS_BY_NAME:
            yield key, {name: tidy(item) for name, item in value.items()}
        elif key != "title":
            yield key, tidy(value)


def property_names(schema: Any) -> Iterator[str]:
    """Yield the names of all properties in a JSON schema, those of nested objects included."""
    if isinstance(schema, list):
        for item in typing.cast("list[Any]", schema):
            yield from property_names(item)
    for key, value in keys_of(schema).items():
        if key == "properties":
            yield from value
        if key not in VALUES:
            yield from property_names(value)


def read_input_schema(schema: Any) -> InputSchema:
    """Parse a tool's ``input_schema`` argument: a JSON schema, or a type that pydantic knows.

    Raises:
        ConfigurationError: The argument is neither.
    """
    if isinstance(schema, Mapping):
        return JsonSchemaInput(typing.cast("Mapping[str, Any]", schema))
    try:
        return ModelInput(schema)
    except Exception as error:
        raise ConfigurationError(
            f"input_schema must be a JSON schema or a type that pydantic knows: {error}"
        ) from error


FROM_CONTEXT = "what the model does not give comes in a parameter of type ToolContext, as context.deps"
NO_DESCRIPTIONS: Mapping[str, str] = {}


class ToolInput(BaseModel):
    """Base class of the models made from signatures."""

    model_config = ConfigDict(arbitrary_types_allowed=False)


def input_from_signature(
    function: Callable[..., Any], name: str, skip: type, descriptions: Mapping[str, str] = NO_DESCRIPTIONS
) -> tuple[SignatureInput, str | None]:
    """Return the input of a tool function, and the name of its parameter of type ``skip``. That one is not input.

    Args:
        function: The tool's function.
        name: The tool's name.
        skip: The type of the parameter that is not input.
        descriptions: Descriptions from the function's docstring, by parameter.

    Raises:
        ConfigurationError: A parameter is positional-only, variadic, or has no annotation that can be read.
    """
    fields: dict[str, Any] = {}
    parameters: dict[str, str] = {}
    skipped: str | None = None
    for parameter, hint in read_parameters(function):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise ConfigurationError(f"tool {name}: parameter {parameter.name} must be a named one")
        if is_annotated_as(hint, skip):
            skipped = parameter.name
            continue
        if any(type(each).__name__ == "Depends" for each in (parameter.default, *getattr(hint, "__metadata__", ()))):
            # The model would be asked for it.
            raise ConfigurationError(
                f"tool {name}: parameter {parameter.name} is a dependency of a route; {FROM_CONTEXT}"
            )
        if hint is parameter.empty:
            own = parameter.name in ("self", "cls") and not parameters
            mend = "; make the tool of the bound method" if own else ""
            raise ConfigurationError(f"tool {name}: parameter {parameter.name} has no annotation{mend}")
        if isinstance(hint, str):
            raise ConfigurationError(f"tool {name}: the annotation {hint!r} has a name that its module does not define")
        # Fields get new names: a parameter's name may be an attribute of pydantic's models.
        field = f"field_{len(fields)}"
        parameters[field] = parameter.name
        default = ... if parameter.default is parameter.empty else parameter.default
        described = with_name(hint, parameter.name, descriptions.get(parameter.name))
        fields[field] = (described, default if isinstance(default, FieldInfo) else Field(default))
    return make_signature_input(name, fields, parameters), skipped


def with_name(hint: Any, name: str, description: str | None) -> Any:
    """Return the annotation with the parameter's name as key and the description. The annotation's own values win."""
    # No alias generator: pydantic would also apply it to nested dataclasses and typed dicts.
    own = Field(alias=name, description=description) if description else Field(alias=name)
    if typing.get_origin(hint) is not Annotated:
        return Annotated[hint, own]
    return Annotated[(hint.__origin__, own, *hint.__metadata__)]


def make_signature_input(name: str, fields: dict[str, Any], parameters: dict[str, str]) -> SignatureInput:
    try:
        return SignatureInput(create_model(name, __base__=ToolInput, **fields), parameters)
    except Exception as error:
        raise ConfigurationError(
            f"tool {name}: no schema can be made of its parameters; {FROM_CONTEXT}: {error}"
        ) from error


def find_parameter(function: Callable[..., Any], class_: type) -> str | None:
    """Return the name of the function's parameter of this type, if it has one."""
    found = (parameter.name for parameter, hint in read_parameters(function) if is_annotated_as(hint, class_))
    return next(found, None)


def read_parameters(function: Callable[..., Any]) -> Iterator[tuple[inspect.Parameter, Any]]:
    """Yield the open parameters, each with its type. An unreadable annotation stays text."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"the tool function {function!r} has no signature") from error
    annotated, given = find_annotated(function)
    for parameter in signature.parameters.values():
        if parameter.name not in given:
            yield parameter, read_annotation(parameter, annotated)


def parameter_names(function: Callable[..., Any]) -> set[str]:
    """Return the names of the open parameters."""
    return {parameter.name for parameter, _ in read_parameters(function)}


def find_annotated(function: Callable[..., Any]) -> tuple[Any, set[str]]:
    """Return the annotated function behind partials and callable objects, and the names of arguments already given."""
    given: set[str] = set()
    while isinstance(function, partial):
        given |= set(function.keywords)
        function = function.func
    called = function if inspect.isroutine(function) else type(function).__call__
    return inspect.unwrap(called), given


def read_annotation(parameter: inspect.Parameter, function: Any) -> Any:
    if not isinstance(parameter.annotation, str):
        return parameter.annotation
    # One annotation at a time: the return type may be known to type checkers only.
    holder = types.FunctionType(find_annotated.__code__, getattr(function, "__globals__", {}))
    holder.__annotations__ = {parameter.name: parameter.annotation}
    try:
        return typing.get_type_hints(holder, include_extras=True)[parameter.name]
    except NameError:
        return parameter.annotation


def is_annotated_as(hint: Any, class_: type) -> bool:
    if isinstance(hint, str):
        return class_.__name__ in hint
    # A generic alias is itself no class, and may stand in a union: ``ToolContext[Deps] | None``.
    found = (hint, typing.get_origin(hint))
    if any(inspect.isclass(candidate) and issubclass(candidate, class_) for candidate in found):
        return True
    return any(is_annotated_as(item, class_) for item in typing.get_args(hint) if not isinstance(item, str))
