"""Rewrite JSON schemas for Anthropic's structured output.

The constrained decoder refuses many keywords. Constraints that it cannot enforce are described in words in the
description; the answer is still validated with the whole schema. Knows JSON schema and nothing of requests.

Source: ``@ai-sdk/anthropic/src/sanitize-json-schema.ts``, ``supports-native-structured-output-schema.ts`` and
``has-circular-schema-reference.ts`` (4.0.105).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast
from urllib.parse import unquote

from usechat.json import write_json

__all__ = ["sanitize_schema", "supports_native_output"]

Schema: TypeAlias = Mapping[str, Any]

_MAX_OPTIONAL_PROPERTIES: Final = 10
"""A safe maximum: grammars with more optional properties fail to compile (with 13 on the API, 11 on Vertex)."""

_KEPT_IF_SET: Final = ("$schema", "$id", "title", "description")
_KEPT_IF_PRESENT: Final = ("default", "const")
_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_CONSTRAINTS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minProperties",
    "maxProperties",
    "not",
)
_SUBSCHEMAS: Final = ("additionalProperties", "contains", "else", "if", "items", "not", "then")
_SUBSCHEMA_LISTS: Final = ("allOf", "anyOf", "oneOf", "prefixItems")
_SUBSCHEMA_MAPS: Final = ("dependentSchemas", "patternProperties", "properties")
_DEFINITIONS: Final = ("definitions", "$defs")
_INSTANCE_DATA: Final = frozenset({"const", "default", "enum", "examples"})
_CAPITAL: Final = re.compile("[A-Z]")


def sanitize_schema(schema: Schema) -> dict[str, Any]:
    """Return the schema without the keywords that ``output_config.format.schema`` refuses."""
    if schema.get("$ref") is not None:
        return {"$ref": schema["$ref"], **_sanitize_definitions(schema)}
    result: dict[str, Any] = {key: schema[key] for key in _KEPT_IF_SET if schema.get(key) is not None}
    result |= {key: schema[key] for key in _KEPT_IF_PRESENT if key in schema}
    result |= {key: schema[key] for key in ("enum", "type") if schema.get(key) is not None}
    alternatives = schema.get("anyOf") if schema.get("anyOf") is not None else schema.get("oneOf")
    if alternatives is not None:
        result["anyOf"] = _sanitize_any(alternatives)
    if schema.get("allOf") is not None:
        result["allOf"] = _sanitize_any(schema["allOf"])
    result |= _sanitize_definitions(schema) | _sanitize_object(schema)
    if schema.get("items") is not None:
        result["items"] = _sanitize_any(schema["items"])
    if schema.get("format") in _FORMATS:
        result["format"] = schema["format"]
    constraints = _constraints_in_words(schema)
    if constraints:
        described = result.get("description")
        result["description"] = constraints if described is None else f"{described}\n{constraints}"
    return result


def _sanitize_any(value: Any) -> Any:
    if isinstance(value, Mapping):
        return sanitize_schema(cast("Schema", value))
    return [_sanitize_any(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value


def _sanitize_map(schemas: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _sanitize_any(definition) for name, definition in schemas.items()}


def _sanitize_definitions(schema: Schema) -> dict[str, Any]:
    return {key: _sanitize_map(schema[key]) for key in _DEFINITIONS if schema.get(key) is not None}


def _sanitize_object(schema: Schema) -> dict[str, Any]:
    properties = schema.get("properties")
    if schema.get("type") != "object" and properties is None:
        return {}
    result: dict[str, Any] = {} if properties is None else {"properties": _sanitize_map(properties)}
    result["additionalProperties"] = False
    return result if schema.get("required") is None else {**result, "required": schema["required"]}


def _constraints_in_words(schema: Schema) -> str:
    words = [
        f"{_CAPITAL.sub(lambda found: ' ' + found.group().lower(), key)}: {_in_words(schema[key])}"
        for key in _CONSTRAINTS
        if schema.get(key) is not None and schema[key] is not False
    ]
    if isinstance(schema.get("format"), str) and schema["format"] not in _FORMATS:
        words.append(f"format: {schema['format']}")
    return "; ".join(words) + "." if words else ""


def _in_words(value: Any) -> str:
    return value if isinstance(value, str) else write_json(value)


def supports_native_output(schema: Schema) -> bool:
    """Return whether native structured output can express the schema without refusing it or losing data.

    It refuses circular schemas and schemas with many optional properties. It also closes open objects, so that the
    model can only answer ``{}`` for them.
    """
    if _is_circular(schema, "#", ()):
        return False
    nodes = list(_walk(schema, schema))
    optional = sum(_count_optional(node) for node in nodes)
    return optional <= _MAX_OPTIONAL_PROPERTIES and not any(_is_open_object(node) for node in nodes)


def _is_circular(root: Schema, pointer: str, above: tuple[str, ...]) -> bool:
    if pointer in above:
        return True
    return any(_is_circular(root, found, (*above, pointer)) for found in _references(_resolve(root, pointer)))


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in cast("list[Any]", node):
            yield from _references(item)
    elif isinstance(node, Mapping):
        for key, value in cast("Schema", node).items():
            yield from _references_at(key, value)


def _references_at(key: str, value: Any) -> Iterator[str]:
    if key == "$ref":
        if isinstance(value, str) and value.startswith("#"):
            yield value
    elif key in _SUBSCHEMA_MAPS and isinstance(value, Mapping):
        for subschema in cast("Schema", value).values():
            yield from _references(subschema)
    elif key not in _DEFINITIONS and key not in _INSTANCE_DATA:
        yield from _references(value)


def _resolve(root: Schema, pointer: str) -> Any:
    if pointer == "#":
        return root
    if not pointer.startswith("#/"):
        return None
    current: Any = root
    for segment in unquote(pointer[2:]).split("/"):
        current = _step_into(current, segment.replace("~1", "/").replace("~0", "~"))
    return current


def _step_into(node: Any, segment: str) -> Any:
    if isinstance(node, Mapping):
        return cast("Schema", node).get(segment)
    if isinstance(node, list) and segment.isdecimal() and int(segment) < len(cast("list[Any]", node)):
        return cast("list[Any]", node)[int(segment)]
    return None


def _walk(node: Any, root: Schema) -> Iterator[Schema]:
    """Yield a schema and all schemas in it, following each use of a reference. The schema must not be circular."""
    if not isinstance(node, Mapping):
        return
    schema = cast("Schema", node)
    yield schema
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _walk(_resolve(root, reference), root)
    for child in _children(schema):
        yield from _walk(child, root)


def _children(schema: Schema) -> Iterator[Any]:
    for keyword in (*_SUBSCHEMAS, *_SUBSCHEMA_LISTS):
        value = schema.get(keyword)
        yield from cast("Sequence[Any]", value) if isinstance(value, list) else (value,)
    for keyword in _SUBSCHEMA_MAPS:
        value = schema.get(keyword)
        yield from cast("Schema", value).values() if isinstance(value, Mapping) else ()


def _count_optional(schema: Schema) -> int:
    properties, required = schema.get("properties"), schema.get("required")
    if not isinstance(properties, Mapping):
        return 0
    names = cast("list[Any]", required) if isinstance(required, list) else []
    return sum(name not in names for name in cast("Schema", properties))


def _is_open_object(schema: Schema) -> bool:
    additional, kind = schema.get("additionalProperties"), schema.get("type")
    if additional is True or isinstance(additional, Mapping) or schema.get("patternProperties"):
        return True
    is_object = kind == "object" or (isinstance(kind, list) and "object" in kind)
    return is_object and schema.get("properties") is None and additional is not False
