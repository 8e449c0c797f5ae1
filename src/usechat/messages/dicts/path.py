"""Checks of JSON that an application gives, each refusal with the path of what is wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from usechat.errors import RequestError

__all__ = ["refuse_unknown_keys", "required_list", "required_object", "required_text"]


def required_object(value: Any, path: str) -> Mapping[str, Any]:
    """Return ``value``, which must be an object.

    Raises:
        RequestError: It is none.
    """
    if not isinstance(value, Mapping):
        raise RequestError("must be an object", path=path)
    return cast("Mapping[str, Any]", value)


def required_text(given: Mapping[str, Any], key: str, path: str) -> str:
    """Return the text under a key.

    Raises:
        RequestError: There is none.
    """
    if not isinstance(given.get(key), str):
        raise RequestError("must be a text", path=f"{path}.{key}")
    return given[key]


def required_list(given: Mapping[str, Any], key: str, path: str) -> Sequence[Any]:
    """Return the list under a key.

    Raises:
        RequestError: There is none.
    """
    value: Any = given.get(key)
    if not isinstance(value, list | tuple):
        raise RequestError("must be a list", path=f"{path}.{key}")
    return cast("list[Any]", value)


def refuse_unknown_keys(given: Mapping[str, Any], known: Collection[str], path: str) -> None:
    """Refuse keys that nobody reads: they would be lost. One whose value is None says nothing.

    Raises:
        RequestError: There is one.
    """
    for key, value in given.items():
        if key not in known and value is not None:
            raise RequestError("is not known here", path=f"{path}.{key}")
