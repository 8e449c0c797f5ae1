"""Data parts of an application's types: their names and their JSON."""

from __future__ import annotations

from typing import Any, cast

from pydantic_core import to_jsonable_python

from usechat.json import MAX_VALUE_DEPTH, to_json_value
from usechat.parts import Data
from usechat.unsafe_keys import UnsafeKeyError, find_unsafe_key

__all__ = ["NOT_GIVEN", "data_part"]

NOT_GIVEN: Any = object()


def data_part(name: Any, data: Any = NOT_GIVEN, *, id: str | None = None, transient: bool = False) -> Data:
    """Return a data part: of a name and any value, or of one value whose class names it.

    ``Progress(done=3)`` is a ``data-progress``, ``SearchHit(…)`` a ``data-searchHit``; an attribute ``data_name`` of
    the class names it otherwise.

    Raises:
        ValueError: JSON cannot hold the data, it is nested too deep, or it has a key that no client reads:
            ``__proto__``, or ``prototype`` within ``constructor``.
    """
    if data is NOT_GIVEN:
        name, data = name_of(name), name
    shown = to_json_value(to_jsonable_python(data, by_alias=True), MAX_VALUE_DEPTH)
    if (path := find_unsafe_key(shown)) is not None:
        raise UnsafeKeyError(path)
    return Data(name=name, data=shown, id=id, transient=transient or None)


def name_of(value: Any) -> str:
    if isinstance(value, str | int | float | bool | list | dict | tuple | None):
        raise ValueError("write_data takes a name and data, or one value of a class of your own")  # noqa: TRY004
    class_: type[object] = type(cast("object", value))
    given: Any = getattr(class_, "data_name", None)
    name = class_.__name__
    return given if isinstance(given, str) and given else name[:1].lower() + name[1:]
