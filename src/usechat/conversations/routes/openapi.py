"""OpenAPI descriptions of the chat routes, whose bodies FastAPI cannot see: they are read from the raw request."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, TypeAlias, cast

from pydantic import BaseModel

__all__ = ["STREAMED", "Refusal", "body_schema"]

Responses: TypeAlias = dict[int | str, dict[str, Any]]


class Refusal(BaseModel):
    """The body of a refusal."""

    detail: str


REFUSALS: Final[Responses] = {
    400: {"model": Refusal, "description": "The body is no JSON, or has no messages."},
    401: {"model": Refusal, "description": "No valid API key."},
    413: {"model": Refusal, "description": "The body is too large."},
    422: {"model": Refusal, "description": "Something in the body is of the wrong type."},
}
STREAMED: Final[Responses] = {
    200: {
        "description": "The answer, as it is made.",
        "content": {
            "text/event-stream": {"schema": {"type": "string"}},
            "text/plain": {"schema": {"type": "string"}},
        },
    },
    **REFUSALS,
}


@cache
def body_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the ``openapi_extra`` of a route whose JSON body is of this model."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})
    content = {"application/json": {"schema": inlined(schema, definitions)}}
    return {"requestBody": {"required": True, "content": content}}


def inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """Return the schema with each reference replaced by its target. None of ours is recursive."""
    if isinstance(value, list):
        return [inlined(item, definitions) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    schema = cast("dict[str, Any]", value)
    if isinstance(reference := schema.get("$ref"), str):
        return inlined(definitions[reference.rpartition("/")[2]], definitions)
    return {key: inlined(item, definitions) for key, item in schema.items()}
