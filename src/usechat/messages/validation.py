"""Turns a failed validation of a request into the short error that its client gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from usechat.errors import RequestError

__all__ = ["request_error_from_validation"]


class _Validation(Protocol):
    """The common interface of pydantic's ``ValidationError`` and FastAPI's ``RequestValidationError``."""

    def errors(self) -> Any: ...


_ERROR_TEXTS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be text",
    "string_too_long": "is too long",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "is not one of the values known here",
    "json_invalid": "The body is not JSON.",
    "empty": "must not be empty",
    "too_deep": "is nested too deep",
    "unsafe_key": "must not be a key",
    "lone_surrogate": "must not hold half of a character",
    "string_unicode": "has a key with half of a character",
}
_MALFORMED: Final = frozenset({"json_invalid", "empty", "too_deep", "unsafe_key", "lone_surrogate", "string_unicode"})
_ESSENTIAL_PATHS: Final = frozenset({"", "messages", "prompt"})


def request_error_from_validation(error: _Validation) -> RequestError:
    """Return the short error that a client gets for the first failure of a validation.

    Accepts pydantic's ``ValidationError`` and FastAPI's ``RequestValidationError``. The result
    repeats nothing that the client sent: its text comes from this module, its path is made of field names and indices.
    """
    first: Mapping[str, Any] = error.errors()[0]
    kind: str = first["type"]
    context: Mapping[str, Any] = first.get("ctx") or {}
    path = "" if kind == "json_invalid" else _path(first["loc"], context.get("key"))
    is_malformed = kind in _MALFORMED or (kind == "missing" and path in _ESSENTIAL_PATHS)
    text = context["text"] if kind == "ui_part" else _ERROR_TEXTS.get(kind, "is not valid")
    return RequestError(_sentence(text, path), path=path, status=400 if is_malformed else 422)


def _path(location: tuple[int | str, ...], key: str | None) -> str:
    # FastAPI puts `body` first in each path.
    steps = location[1:] if location[:1] == ("body",) else location
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return (f"{path}.{key}" if key else path).replace(".[", "[").removeprefix(".")


def _sentence(text: str, path: str) -> str:
    return text if path or text.startswith("The body") else f"The body {text}."
