"""Tools of parameters of every type: what the model is told, and what the function gets."""

from __future__ import annotations

import datetime as dt
import enum
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field, RootModel
from typing_extensions import TypedDict

from usechat import step_count_is, stream_text, tool
from usechat.errors import ConfigurationError
from usechat.parts import ToolOutputAvailable
from usechat.testing.models import ScriptedModel, calling_tool, saying
from usechat.tools.tool import Tool

pytestmark = pytest.mark.anyio


@dataclass
class Point:
    """Somewhere."""

    x: int
    field_0: int = 0
    tags: list[str] = field(default_factory=list[str])


class Place(TypedDict):
    name: str
    field_1: int


class Pair(NamedTuple):
    low: int
    high: int = 9


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    kind: Literal["square"]
    side: float
    label: str | None = None


Shape = Annotated[Circle | Square, Field(discriminator="kind")]


async def given_to(made: Tool, value: Any) -> Any:
    """What a tool's function returns when a model calls it with a value."""
    model = ScriptedModel(calling_tool(made.name, value), saying("Done."))
    answer = stream_text(model, prompt="Go", tools=[made], stop_when=step_count_is(2))
    (output,) = [part.output async for part in answer if isinstance(part, ToolOutputAvailable)]
    return output


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Point, {"x": 1, "field_0": 2}, Point(1, 2)),
        (Place, {"name": "Whitby", "field_1": 3}, {"name": "Whitby", "field_1": 3}),
        (Pair, [1, 2], Pair(1, 2)),
        (Colour, "red", Colour.RED),
        (Node, {"name": "a", "children": [{"name": "b"}]}, Node(name="a", children=[Node(name="b")])),
        (Shape, {"kind": "circle", "radius": 2}, Circle(kind="circle", radius=2)),
        (list[Point], [{"x": 1}], [Point(1)]),
        (dict[str, Pair], {"a": [1, 2]}, {"a": Pair(1, 2)}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 1], {1}),
        (dt.date, "2026-11-22", dt.date(2026, 11, 22)),
        (dt.timedelta, "PT5M", dt.timedelta(minutes=5)),
        (Decimal, "1.50", Decimal("1.50")),
        (uuid.UUID, str(uuid.UUID(int=1)), uuid.UUID(int=1)),
        (bytes, "text", b"text"),
        (int | None, None, None),
    ],
)
async def test_parameter_of_any_type_pydantic_knows_is_given_as_that(hint: Any, value: Any, expected: Any):
    got: list[Any] = []

    def use(value: Any) -> str:
        got.append(value)
        return "ok"

    use.__annotations__["value"] = hint
    assert await given_to(tool(use), {"value": value}) == "ok"
    assert got == [expected]
    assert type(got[0]) is type(expected)


@pytest.mark.parametrize("type_", [Point, Place, Node, RootModel[Shape], Shape, Circle | None])
def test_input_of_any_type_is_told_as_one_plain_object(type_: Any):
    schema: Any = tool(name="use", input_schema=type_).schema.json_schema
    assert schema["type"] == "object"
    assert not {"$ref", "anyOf", "oneOf", "allOf"} & set(schema)
    assert schema["properties"]


def test_fields_keep_their_names_whatever_they_are_called():
    def use(point: Point, place: Place): ...

    definitions = tool(use).schema.json_schema["$defs"]
    assert list(definitions["Point"]["properties"]) == ["x", "field_0", "tags"]
    assert list(definitions["Place"]["properties"]) == ["name", "field_1"]


def test_alternatives_at_the_root_are_told_in_words_and_checked_as_they_were():
    schema = tool(name="draw", input_schema=Shape).schema
    assert schema.json_schema == {
        "type": "object",
        "properties": {
            "kind": {"type": "string", "enum": ["circle", "square"]},
            "radius": {"type": "number"},
            "side": {"type": "number"},
            "label": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        },
        "required": ["kind"],
        "description": "One of: kind=circle, radius; kind=square, side, label (optional).",
    }
    with pytest.raises(ValueError, match=r"circle\.radius: Field required"):
        schema.check({"kind": "circle", "side": 1})


def test_json_schema_with_alternatives_keeps_what_holds_for_all():
    schema = tool(
        name="find",
        input_schema={
            "description": "Find somebody.",
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
            "anyOf": [{"required": ["id"]}, {"required": ["name"]}],
            "allOf": [{"properties": {"limit": {"type": "integer"}}, "required": ["limit"]}],
        },
    ).schema
    assert schema.json_schema == {
        "type": "object",
        "description": "Find somebody.\nOne of: id; name.",
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}, "limit": {"type": "integer"}},
        "required": ["limit"],
    }


def test_closed_alternatives_stay_closed_and_different_ones_stay_apart():
    sides = [
        {"type": "object", "properties": {"a": {"type": type_}}, "additionalProperties": False}
        for type_ in ("integer", "string")
    ]
    schema = tool(name="use", input_schema={"oneOf": [*sides, {"type": "null"}]}).schema.json_schema
    assert schema["properties"] == {"a": {"anyOf": [{"type": "integer"}, {"type": "string"}]}}
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    "schema",
    [
        Colour,
        list[int],
        Pair,
        Circle | int,
        {"enum": ["a"]},
        {"$ref": "#"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "https://example.com/schema"},
        {"type": ["string", "null"]},
        {"anyOf": [True]},
    ],
)
def test_input_that_can_be_no_object_is_refused_by_the_tools_name(schema: Any):
    with pytest.raises(ConfigurationError, match="tool use: the input must be an object"):
        tool(name="use", input_schema=schema)


# JSON in a text


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (list[int], [1, 2]),
        (Sequence[str], ["a"]),
        (dict[str, int], {"a": 1}),
        (Point, {"x": 1}),
        (Node, {"name": "a", "children": []}),
        (Pair, [1, 2]),
        (set[int], [1]),
        (list[int] | None, [3]),
        (Shape, {"kind": "circle", "radius": 2}),
    ],
)
def test_list_or_object_that_came_as_a_json_text_is_read(hint: Any, value: Any):
    def use(value: Any): ...

    use.__annotations__["value"] = hint
    schema = tool(use).schema
    assert schema.check({"value": json.dumps(value)}) == schema.check({"value": value})


def test_json_texts_are_read_wherever_they_are_missed():
    def use(places: list[Place], note: str): ...

    value = {"places": ['{"name": "Whitby", "field_1": 1}'], "note": "[1]"}
    assert tool(use).schema.check(value)[1] == {"places": [{"name": "Whitby", "field_1": 1}], "note": "[1]"}


@pytest.mark.parametrize("text", ["[1", "red", '{"__proto__": 1}', "[" * 500 + "]" * 500])
def test_text_that_is_no_list_is_refused_as_what_it_is(text: str):
    def use(value: list[int]): ...

    with pytest.raises(ValueError, match="value: Input should be a valid list"):
        tool(use).schema.check({"value": text})


def test_json_texts_are_read_for_json_schemas_too():
    schema = tool(
        name="use",
        input_schema={
            "properties": {
                "tags": {"type": "array"},
                "at": {"type": "object"},
                "any": {},
                "no": True,
                "s": {"type": []},
            }
        },
    ).schema
    value = {"tags": "[1]", "at": '{"a": 1}', "any": "[1]", "no": "[1]", "s": "[1]", "other": "[1]"}
    assert schema.check(value)[1] == {**value, "tags": [1], "at": {"a": 1}}
    assert schema.check({"tags": "{}", "at": "[]"})[1] == {"tags": "{}", "at": "[]"}


# What docstrings say


def described(function: Any) -> tuple[Any, dict[str, str | None]]:
    made = tool(function)
    properties = made.schema.json_schema["properties"]
    return made.description, {name: one.get("description") for name, one in properties.items()}


def test_args_of_a_docstring_describe_the_parameters():
    def book(port: str, day: int = 1, *, seats: Annotated[int, Field(description="How many.")] = 2, rest: str = ""):
        """Book a trip.

        It is paid later.

        Args:
            port (str): Where it starts,
                by its English name.
            day: In November: from 1 to 30.
            seats: Not this.

        Returns:
            A ticket.
        """

    assert described(book) == (
        "Book a trip.\n\nIt is paid later.\n\nReturns:\n    A ticket.",
        {
            "port": "Where it starts, by its English name.",
            "day": "In November: from 1 to 30.",
            "seats": "How many.",
            "rest": None,
        },
    )


def test_parameters_may_be_described_as_sphinx_does():
    def book(port: str, day: int):
        """Book a trip.

        :param str port: Where it starts.
        :param day: When.
        """

    assert described(book) == ("Book a trip.", {"port": "Where it starts.", "day": "When."})


def test_docstring_that_describes_other_things_is_left_as_it_is():
    def book(port: str):
        """Book a trip.

        Args:
            none of these: is one.
        """

    assert described(book)[0] == "Book a trip.\n\nArgs:\n    none of these: is one."
