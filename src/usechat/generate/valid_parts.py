"""Checks what an application brings as parts: one place for writers, tools, transforms and models of its own.

A wrong value is found where it enters, so that the error can name it, and what came before it is kept. What the
package's own models bring is not looked at: each delta would pay for it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, TypeAlias, cast

import msgspec

from usechat import parts as p
from usechat.errors import InvalidPartError
from usechat.guard import describe_error
from usechat.protocol.json import encode_json

__all__ = ["ValidBatches", "is_nothing", "maybe_valid_part", "why_no_json"]

PARTS = frozenset((*p.Part.__args__, *p.ModelPart.__args__))
DELTAS = (p.TextDelta, p.ReasoningDelta, p.ToolInputDelta)
Complaint: TypeAlias = str | None
"""What is wrong with a value, to be put after the field's name; None for nothing."""


def is_nothing(value: Any) -> bool:
    """Return whether an application brings nothing with it, as APIs do that send ``null`` in their last chunk."""
    return value is None or (isinstance(value, str) and not value)


def maybe_valid_part(part: Any) -> Any:
    """Return a part whose fields have the types they must have; None for one that brings nothing.

    Raises:
        InvalidPartError: It is no part, or a field has a wrong value.
    """
    class_ = part.__class__
    if (class_ is p.TextDelta or class_ is p.ReasoningDelta) and part.provider_metadata is None:
        if part.delta.__class__ is str and part.id.__class__ is str:
            return part
    if is_nothing(part):
        return None
    if type(part) not in PARTS:
        raise InvalidPartError(f"{type(part).__name__} is no part of an answer", part=type(part).__name__)
    if isinstance(part, DELTAS) and cast("Any", part.delta) is None:
        return None
    complain(part)
    return part


def complain(part: msgspec.Struct) -> None:
    name = type(part).__name__
    for field, check in checks_of(type(part)):
        if (complaint := check(getattr(part, field))) is not None:
            raise InvalidPartError(f"{name}.{field} {complaint}", part=name, field=field)


class ValidBatches:
    """A stream of batches that an application's code makes, with what is wrong in it as an `InvalidPartError`.

    What comes before the wrong value is brought before the error is.

    Args:
        stream: The application's.
        maker: What makes it, for the error's text.
    """

    __slots__ = ("error", "maker", "stream")

    def __init__(self, stream: Any, maker: str) -> None:
        self.stream: AsyncIterator[Any] = aiter(stream)
        self.maker = maker
        self.error: InvalidPartError | None = None

    def __aiter__(self) -> AsyncIterator[list[Any]]:
        """Itself."""
        return self

    async def __anext__(self) -> list[Any]:
        """The next batch."""
        batch: Any = None
        while not batch:
            if self.error is not None:
                raise self.error
            batch = self._check(await anext(self.stream))
        return batch

    def _check(self, batch: Any) -> Sequence[Any]:
        if batch is None:
            return ()
        if isinstance(batch, str) or not isinstance(batch, Sequence):
            name = type(batch).__name__
            self.error = InvalidPartError(f"{self.maker} must yield lists of parts, not {name}", part=name)
            return ()
        valid: list[Any] = []
        for part in cast("Sequence[Any]", batch):
            try:
                checked = maybe_valid_part(part)
            except InvalidPartError as error:
                self.error = error
                break
            if checked is not None:
                valid.append(checked)
        return valid

    async def aclose(self) -> None:
        """Close the application's stream, where it can be closed."""
        aclose = getattr(self.stream, "aclose", None)
        if aclose is not None:
            await aclose()


# The fields' types


def why_no_json(value: Any) -> Complaint:
    """Return why JSON cannot hold a value; None if it can."""
    if value is None or value.__class__ is str:
        return None
    try:
        encode_json(value)
    except Exception as error:  # noqa: BLE001 - a value of an application's own may raise anything
        return f"holds what JSON cannot: {describe_error(error)}"
    return None


@cache
def checks_of(class_: type) -> Sequence[tuple[str, Callable[[Any], Complaint]]]:
    hints = typing.get_type_hints(class_)
    return [(name, check_for(hints[name])) for name in class_.__struct_fields__]  # type: ignore[attr-defined]


def check_for(hint: Any) -> Callable[[Any], Complaint]:
    """Make the check for a field's annotation."""
    if hint is Any:
        return why_no_json
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    wanted = [option for option in options if option is not types.NoneType]
    is_optional = len(wanted) < len(options)
    is_right = [test_for(option) for option in wanted]
    words = " or ".join([*(name_of(option) for option in wanted), *(["None"] if is_optional else [])])
    holds_any = any(typing.get_origin(option) is not Literal and typing.get_args(option) for option in wanted)

    def check(value: Any) -> Complaint:
        if value is None and is_optional:
            return None
        if not any(test(value) for test in is_right):
            return f"must be {words}, not {type(value).__name__}"
        if isinstance(value, msgspec.Struct):
            return complaint_within(value)
        return why_no_json(value) if holds_any else None

    return check


def complaint_within(value: msgspec.Struct) -> Complaint:
    for field, check in checks_of(type(value)):
        if (complaint := check(getattr(value, field))) is not None:
            return f"has a wrong value: {field} {complaint}"
    return None


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


def name_of(hint: Any) -> str:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(args)
    if origin is tuple:
        return "a tuple of mappings"
    if origin is not None:
        return "a mapping of mappings" if typing.get_origin(args[-1]) is not None else "a mapping"
    return hint.__name__
