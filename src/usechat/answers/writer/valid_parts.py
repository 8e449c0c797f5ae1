"""Checks the parts of an application: of its writers, tools, transforms and models.

A wrong value is found when it enters, so that the error can name it and earlier parts are kept. Parts of the package's
own models are not checked, because each delta would pay for it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeAlias, cast

import msgspec

from usechat.errors import InvalidPartError
from usechat.guard import describe_error
from usechat.json import MAX_VALUE_DEPTH, decode_json, encode_json, is_nested_at_most
from usechat.parts import ModelPart, Part, ReasoningDelta, TextDelta, ToolInputDelta

__all__ = ["ValidBatches", "is_nothing", "maybe_valid_part", "why_no_json"]

PARTS = frozenset((*Part.__args__, *ModelPart.__args__))
DELTAS = frozenset((TextDelta, ReasoningDelta, ToolInputDelta))
Complaint: TypeAlias = str | None
"""The fault of a value, to stand after the field's name; None when it has none."""


def is_nothing(value: Any) -> bool:
    """Return whether a value means nothing, as the ``null`` that some APIs send in their last chunk."""
    return value is None or (isinstance(value, str) and not value)


def maybe_valid_part(part: Any) -> Any:
    """Return a part after checking its fields; None for one that means nothing.

    Raises:
        InvalidPartError: The value is no part, or a field is wrong.
    """
    class_ = part.__class__
    is_plain = class_ is TextDelta and part.provider_metadata is None
    if is_plain and part.delta.__class__ is str and part.id.__class__ is str:
        return part
    if class_ in PARTS:
        if class_ in DELTAS and part.delta is None:
            return None
        name = class_.__name__
        if (wrong := find_wrong_field(part)) is not None:
            field, complaint = wrong
            raise InvalidPartError(f"{name}.{field} {complaint}", part=name, field=field)
        return part
    if is_nothing(part):
        return None
    raise InvalidPartError(f"{class_.__name__} is no part of an answer", part=class_.__name__)


def skip_deltas(batch: Sequence[Any]) -> int:
    """Return the index of the first part that is not a delta with plain text. Most parts are such deltas."""
    index = 0
    for index, part in enumerate(batch, 1):
        class_ = part.__class__
        if class_ is TextDelta or class_ is ReasoningDelta:
            if part.delta.__class__ is str and part.id.__class__ is str and part.provider_metadata is None:
                continue
        elif class_ is ToolInputDelta and part.delta.__class__ is str and part.tool_call_id.__class__ is str:
            continue
        return index - 1
    return index


class ValidBatches:
    """Check an application's stream of batches. A wrong value raises `InvalidPartError`.

    Parts before the wrong value are yielded before the error is raised.

    Args:
        stream: The application's stream.
        maker: The maker of the stream, for the error's text.
    """

    __slots__ = ("error", "maker", "stream")

    def __init__(self, stream: Any, maker: str) -> None:
        self.stream: AsyncIterator[Any] = aiter(stream)
        self.maker = maker
        self.error: InvalidPartError | None = None

    def __aiter__(self) -> AsyncIterator[list[Any]]:
        """Return this object."""
        return self

    async def __anext__(self) -> list[Any]:
        """Return the next batch."""
        batch: Any = None
        while not batch:
            if self.error is not None:
                raise self.error
            batch = self._check(await anext(self.stream))
        return batch

    def _check(self, batch: Any) -> Sequence[Any]:
        if batch is None:
            return ()
        if batch.__class__ is not list and (isinstance(batch, str) or not isinstance(batch, Sequence)):
            name = type(batch).__name__
            self.error = InvalidPartError(f"{self.maker} must yield lists of parts, not {name}", part=name)
            return ()
        given = cast("Sequence[Any]", batch)
        first = skip_deltas(given)
        if first == len(given):
            return given
        valid: list[Any] = [*given[:first]]
        for part in given[first:]:
            try:
                checked = maybe_valid_part(part)
            except InvalidPartError as error:
                self.error = error
                break
            if checked is not None:
                valid.append(checked)
        return valid

    async def aclose(self) -> None:
        """Close the application's stream, if it can be closed."""
        aclose = getattr(self.stream, "aclose", None)
        if aclose is not None:
            await aclose()


# The fields' types


def why_no_json(value: Any) -> Complaint:
    """Return the reason why JSON cannot hold a value; None if it can."""
    if value is None or value.__class__ is str:
        return None
    try:
        text = encode_json(value)
    except Exception as error:  # noqa: BLE001 - a value of an application's own may raise anything
        return f"holds what JSON cannot: {describe_error(error)}"
    # Most values are too small to be nested deep.
    if text.count(b"[") + text.count(b"{") <= MAX_VALUE_DEPTH:
        return None
    return None if is_nested_at_most(decode_json(text), MAX_VALUE_DEPTH) else "is nested too deep"


def find_wrong_field(value: msgspec.Struct) -> tuple[str, str] | None:
    """Return the first wrong field and its fault."""
    for held, (name, usual, check) in zip(msgspec.structs.astuple(value), checks_of(type(value)), strict=True):
        if held.__class__ not in usual and (complaint := check(held)) is not None:
            return name, complaint
    return None


@cache
def checks_of(class_: type[msgspec.Struct]) -> Sequence[tuple[str, Collection[type], Callable[[Any], Complaint]]]:
    """Return for each field its name, the classes that need no check, and the check of other values."""
    hints = typing.get_type_hints(class_)
    return [(name, usual_classes(hints[name]), check_for(hints[name])) for name in class_.__struct_fields__]


def usual_classes(hint: Any) -> frozenset[type]:
    plain = frozenset({str, bool, int, types.NoneType})
    return frozenset({str, types.NoneType}) if hint is Any else plain.intersection(options_of(hint))


def options_of(hint: Any) -> Sequence[Any]:
    return typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)


def check_for(hint: Any) -> Callable[[Any], Complaint]:
    """Return the check for a field's annotation."""
    if hint is Any:
        return why_no_json
    options = options_of(hint)
    wanted = [option for option in options if option is not types.NoneType]
    is_optional = len(wanted) < len(options)
    is_right = [test_for(option) for option in wanted]
    words = " or ".join(map(name_of, options))
    holds_any = any(map(holds_values, wanted))

    def check(value: Any) -> Complaint:
        if value is None and is_optional:
            return None
        if not any(test(value) for test in is_right):
            return f"must be {words}, not {type(value).__name__}"
        if isinstance(value, msgspec.Struct):
            wrong = find_wrong_field(value)
            return None if wrong is None else f"has a wrong value: {' '.join(wrong)}"
        return why_no_json(value) if holds_any else None

    return check


def test_for(hint: Any) -> Callable[[Any], bool]:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return lambda value: isinstance(value, str) and value in args
    if origin is tuple:
        of_item = test_for(args[0])
        return lambda value: isinstance(value, tuple | list) and all(map(of_item, cast("list[Any]", value)))
    if origin is list or origin is type:
        return lambda value: isinstance(value, origin)
    if origin is not None:
        of_value = test_for(args[-1])
        return lambda value: (
            isinstance(value, Mapping) and all(map(of_value, cast("Mapping[Any, Any]", value).values()))
        )
    return (lambda value: True) if hint is Any else (lambda value: isinstance(value, hint))


def holds_values(hint: Any) -> bool:
    return typing.get_origin(hint) is not Literal and bool(typing.get_args(hint))


def name_of(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is types.NoneType:
        return "None"
    if origin is Literal:
        return "one of " + ", ".join(args)
    if origin is tuple:
        return "a tuple"
    if origin is not None:
        return "a mapping of mappings" if typing.get_origin(args[-1]) is not None else "a mapping"
    return hint.__name__
