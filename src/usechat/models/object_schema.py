"""Rewrite JSON schemas so that the root is one plain object, the only form that providers accept for a tool's input.

Anthropic: "input_schema does not support oneOf, allOf, or anyOf at the top level", and ``type`` must be ``object``.
Pydantic puts a ``$ref`` at the root of a model that refers to itself, and an ``anyOf`` at the root of a union. Knows
JSON schema and no provider.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

__all__ = ["NoObjectError", "inline_root", "object_schema"]

Schema: TypeAlias = Mapping[str, Any]

_UNIONS: Final = ("anyOf", "oneOf")
_HANDLED: Final = ("allOf", "discriminator")
_DEFINITIONS: Final = ("$defs", "definitions")
_MAX_REFERENCES: Final = 20
"""The maximum length of a chain of references. A circle of references describes nothing."""


class NoObjectError(ValueError):
    """The schema does not describe an object."""


def object_schema(schema: Schema) -> Schema:
    """Return the schema with an object at its root: references are inlined, alternatives are merged.

    Merged alternatives allow more values than the original, so validate values with the original schema.

    Raises:
        NoObjectError: The schema allows values that are not objects.
    """
    found = _as_object(inline_root(schema), schema)
    # Definitions cost tokens in each request, and a merged root may not refer to them any more.
    return found if _has_reference(found) else {key: found[key] for key in found if key not in _DEFINITIONS}


def inline_root(schema: Schema, root: Schema | None = None) -> Schema:
    """Return the schema with the reference at its root replaced by its target. Definitions stay where they are.

    Args:
        schema: The whole schema, or a part of it.
        root: The whole schema, when ``schema`` is a part of it.

    Raises:
        NoObjectError: The target of the reference is missing, or is the reference itself.
    """
    found, whole = schema, schema if root is None else root
    for _ in range(_MAX_REFERENCES):
        if not isinstance(found.get("$ref"), str):
            return found
        beside = {key: value for key, value in found.items() if key != "$ref"}
        found = {**_resolve(whole, found["$ref"]), **beside}
    raise NoObjectError("it refers to itself and to nothing else")


def _resolve(root: Schema, reference: str) -> Schema:
    found: Any = root
    for name in reference.removeprefix("#").split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        found = cast("Schema", found).get(key) if isinstance(found, Mapping) else None
    if not reference.startswith("#") or not isinstance(found, Mapping):
        raise NoObjectError(f"{reference} is not in the schema")
    return cast("Schema", found)


def _merged(schema: Schema, root: Schema) -> dict[str, Any]:
    own = {key: value for key, value in schema.items() if key not in (*_UNIONS, *_HANDLED)}
    if not _may_be_object(own):
        raise NoObjectError("it must describe an object")
    either = [_as_object(each, root) for each in _listed_under(schema, *_UNIONS) if not _is_null(each)]
    both = [_as_object(each, root) for each in _listed_under(schema, "allOf")]
    properties, required = _members((own, *both))
    properties |= {name: value for name, value in _alternatives(either).items() if name not in properties}
    required |= dict.fromkeys(_in_each(either))
    result: dict[str, Any] = {**own, "type": "object"}
    if properties or either or both:
        result["properties"] = properties
    if required:
        result["required"] = list(required)
    return {**result, **_common_keywords(own, either)}


def _listed_under(schema: Schema, *keys: str) -> list[Any]:
    return [each for key in keys for each in schema.get(key) or ()]


def _alternatives(either: Sequence[Schema]) -> dict[str, Any]:
    return {name: _either(found) for name, found in _by_name(either).items()}


def _members(schemas: Sequence[Schema]) -> tuple[dict[str, Any], dict[str, None]]:
    """Return the properties of all schemas, and the names that any of them requires."""
    properties: dict[str, Any] = {}
    required: dict[str, None] = {}
    for schema in schemas:
        properties |= schema.get("properties", {})
        required |= dict.fromkeys(schema.get("required", ()))
    return properties, required


def _may_be_object(schema: Schema) -> bool:
    return "object" in _listed(schema.get("type", "object")) and not {"enum", "const"} & schema.keys()


def _has_reference(value: Any) -> bool:
    if isinstance(value, Mapping):
        members = cast("Schema", value).items()
        return any(key == "$ref" or (key not in _DEFINITIONS and _has_reference(item)) for key, item in members)
    return isinstance(value, list) and any(map(_has_reference, cast("list[Any]", value)))


def _listed(value: Any) -> Sequence[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else [value]


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and cast("Schema", schema).get("type") == "null"


def _in_each(schemas: Sequence[Schema]) -> Sequence[str]:
    required = [each.get("required", ()) for each in schemas]
    return [name for name in required[0] if all(name in others for others in required)] if required else ()


def _common_keywords(own: Schema, either: Sequence[Schema]) -> dict[str, Any]:
    """Return ``additionalProperties`` and a description that hold for every alternative."""
    result: dict[str, Any] = {}
    if either and all(each.get("additionalProperties") is False for each in either):
        result["additionalProperties"] = False
    if len(either) > 1:
        words = "One of: " + "; ".join(", ".join(_names(each)) or "anything" for each in either) + "."
        result["description"] = f"{own['description']}\n{words}" if own.get("description") else words
    return result


def _as_object(schema: Any, root: Schema) -> Schema:
    found = inline_root(cast("Schema", schema), root) if isinstance(schema, Mapping) else None
    if found is None:
        raise NoObjectError("it must describe an object")
    is_whole = found.get("type") == "object" and not any(key in found for key in (*_UNIONS, *_HANDLED))
    return found if is_whole else _merged(found, root)


def _by_name(schemas: Sequence[Schema]) -> dict[str, list[Any]]:
    named: dict[str, list[Any]] = {}
    for schema in schemas:
        for name, value in schema.get("properties", {}).items():
            if value not in named.setdefault(name, []):
                named[name].append(value)
    return named


def _either(schemas: Sequence[Any]) -> Any:
    if len(schemas) == 1:
        return schemas[0]
    values = list(_values(schemas))
    if len(values) < len(schemas):
        return {"anyOf": list(schemas)}
    # The property that distinguishes the alternatives. Models know ``enum`` better than several ``const``.
    types = {each.get("type") for each in schemas}
    same = {"type": types.pop()} if len(types) == 1 and None not in types else {}
    return {**same, "enum": values}


def _values(schemas: Sequence[Any]) -> Iterator[Any]:
    for each in schemas:
        if "const" in each and not set(each) - {"const", "type", "default", "title", "description"}:
            yield each["const"]


def _names(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    for name in dict.fromkeys([*schema.get("properties", {}), *required]):
        value: Any = schema.get("properties", {}).get(name)
        const = f"={value['const']}" if isinstance(value, Mapping) and "const" in value else ""
        yield f"{name}{const}" if name in required else f"{name} (optional)"
