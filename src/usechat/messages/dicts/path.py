"""Checks JSON that an application passes in. Each error has the path of the wrong value."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from usechat.errors import RequestError

__all__ = ["refuse_unknown_keys", "required_list", "required_object", "required_text"]


def required_object(value: Any, path: str) -> Mapping[str, Any]:
    """Return ``value`` if it is an object.

    Raises:
        RequestError: ``value`` is no object.
    """
    if not isinstance(value, Mapping):
        raise RequestError("must be an object", path=path)
    return cast("Mapping[str, Any]", value)


def required_text(given: Mapping[str, Any], key: str, path: str) -> str:
    """Return the text under a key.

    Raises:
        RequestError: There is no text under the key.
    """
    if not isinstance(given.get(key), str):
        raise RequestError("must be a text", path=f"{path}.{key}")
    return given[key]


def required_list(given: Mapping[str, Any], key: str, path: str) -> Sequence[Any]:
    """Return the list under a key.

    Raises:
        RequestError: There is no list under the key.
    """
    value: Any = given.get(key)
    if not isinstance(value, list | tuple):
        raise RequestError("must be a list", path=f"{path}.{key}")
    return cast("list[Any]", value)


def refuse_unknown_keys(given: Mapping[str, Any], known: Collection[str], path: str) -> None:
    """Refuse unknown keys, which would be lost. A key with the value None is ignored.

    Raises:
        RequestError: There is an unknown key.
    """
    for key, value in given.items():
        if key not in known and value is not None:
            raise RequestError("is not known here", path=f"{path}.{key}")
