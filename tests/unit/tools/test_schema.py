"""Tool inputs: the schema that the model is told, and the check of what it then sends."""

from __future__ import annotations

import dataclasses
import datetime as dt
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from usechat.errors import ConfigurationError
from usechat.tools.schema import (
    JsonSchemaInput,
    SignatureInput,
    find_parameter,
    input_from_signature,
    read_input_schema,
)

if TYPE_CHECKING:
    from decimal import Context as Hidden


class Marker:
    """The type of the parameter that is no input."""


class Place(BaseModel):
    """A place on the map."""

    title: str
    latitude: float = Field(default=0.0, description="Degrees north.")


def read(function: Any) -> tuple[SignatureInput, str | None]:
    return input_from_signature(function, "probe", Marker)


def schema_of(function: Any) -> Any:
    return read(function)[0].json_schema


def arguments(function: Any, value: Any) -> Any:
    return read(function)[0].check(value)[1]


# Schemas of signatures


def test_signature_becomes_a_schema_without_titles():
    def weather(
        city: Annotated[str, Field(description="The city's name.")],
        unit: Literal["celsius", "fahrenheit"] | None = None,
        days: int = 1,
    ): ...

    assert schema_of(weather) == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "The city's name."},
            "unit": {
                "anyOf": [{"type": "string", "enum": ["celsius", "fahrenheit"]}, {"type": "null"}],
                "default": None,
            },
            "days": {"type": "integer", "default": 1},
        },
        "required": ["city"],
    }


def test_property_called_title_keeps_its_place():
    def show(title: str, place: Place): ...

    schema = schema_of(show)
    assert set(schema["properties"]) == {"title", "place"}
    assert set(schema["$defs"]["Place"]["properties"]) == {"title", "latitude"}
    assert "title" not in schema["$defs"]["Place"]


def test_defaults_and_examples_are_left_as_they_are():
    def search(filters: Annotated[dict[str, Any], Field(examples=[{"title": "x"}])] = {"title": "all"}): ...  # noqa: B006

    field = schema_of(search)["properties"]["filters"]
    assert field["default"] == {"title": "all"}
    assert field["examples"] == [{"title": "x"}]


@pytest.mark.parametrize("name", ["schema", "json", "copy", "model_id", "model_config", "_hidden", "validate", "self_"])
def test_parameter_may_have_any_name(name: str):
    namespace: dict[str, Any] = {}
    exec(f"def probe({name}: int): ...", namespace)
    function = namespace["probe"]
    assert list(schema_of(function)["properties"]) == [name]
    assert arguments(function, {name: 3}) == {name: 3}


def test_alias_is_what_the_model_writes_and_the_parameter_what_the_function_gets():
    def travel(from_: Annotated[str, Field(alias="from")]): ...

    assert list(schema_of(travel)["properties"]) == ["from"]
    assert arguments(travel, {"from": "Whitby"}) == {"from_": "Whitby"}


def test_field_as_default_describes_the_parameter():
    def travel(to: str = Field(description="Where to."), days: int = Field(default=2)): ...

    schema = schema_of(travel)
    assert schema["properties"]["to"]["description"] == "Where to."
    assert schema["required"] == ["to"]
    assert arguments(travel, {"to": "York"}) == {"to": "York", "days": 2}


def test_missing_optional_gets_its_default_and_is_not_shown():
    def weather(city: str, unit: str | None = None): ...

    assert read(weather)[0].check({"city": "York"}) == ({"city": "York"}, {"city": "York", "unit": None})


def test_keys_that_the_function_does_not_have_are_dropped():
    def weather(city: str): ...

    assert read(weather)[0].check({"city": "York", "secret": 1}) == ({"city": "York"}, {"city": "York"})


def test_values_come_in_the_types_of_the_signature_and_are_shown_as_json():
    def book(day: dt.date, place: Place): ...

    shown, given = read(book)[0].check({"day": "2026-11-22", "place": {"title": "Pier"}})
    assert shown == {"day": "2026-11-22", "place": {"title": "Pier"}}
    assert given == {"day": dt.date(2026, 11, 22), "place": Place(title="Pier")}


# What a signature may be of


class Shop:
    """Something with methods."""

    def price(self, item: str) -> str:
        return item

    def __call__(self, item: str, marker: Marker) -> str:
        return item


def test_bound_method_has_no_self():
    assert list(schema_of(Shop().price)["properties"]) == ["item"]


def test_unbound_method_says_how_to_mend_it():
    with pytest.raises(ConfigurationError, match="self has no annotation; make the tool of the bound method"):
        read(Shop.price)


def test_callable_object_is_read_by_its_call():
    schema, skipped = read(Shop())
    assert list(schema.json_schema["properties"]) == ["item"]
    assert skipped == "marker"


def test_partial_leaves_out_what_it_has_given():
    def weather(key: str, city: str, unit: str): ...

    assert list(schema_of(partial(weather, "secret", unit="c"))["properties"]) == ["city"]
    assert list(schema_of(partial(partial(weather, unit="c"), key="secret"))["properties"]) == ["city"]


@pytest.mark.parametrize("signature", ["city, /", "*cities", "**options"])
def test_parameter_without_a_name_to_give_it_by_is_refused(signature: str):
    namespace: dict[str, Any] = {}
    exec(f"def probe({signature.replace('city', 'city: str')}): ...", namespace)
    with pytest.raises(ConfigurationError, match="must be a named one"):
        read(namespace["probe"])


def test_parameter_without_annotation_is_refused():
    namespace: dict[str, Any] = {}
    exec("def probe(a: int, city): ...", namespace)
    with pytest.raises(ConfigurationError, match=r"parameter city has no annotation$"):
        read(namespace["probe"])


def test_annotation_that_cannot_be_read_is_refused():
    def probe(value: Hidden): ...

    with pytest.raises(ConfigurationError, match="'Hidden' has a name that its module does not define"):
        read(probe)


def test_type_that_json_does_not_have_is_refused():
    def probe(value: Marker | Shop, other: Shop): ...

    with pytest.raises(ConfigurationError, match="no schema can be made of its parameters"):
        read(partial(probe, value=Marker()))


def test_function_without_a_signature_is_refused():
    with pytest.raises(ConfigurationError, match="has no signature"):
        read(dict)


def test_return_annotation_may_be_known_to_type_checkers_only():
    def probe(city: str) -> Hidden: ...

    assert list(schema_of(probe)["properties"]) == ["city"]


def eager(city: str, marker: Marker) -> None: ...


@pytest.mark.parametrize(
    "annotation", [Marker, Marker | None, Annotated[Marker, "x"], "Marker", "Marker | None", "mod.Marker"]
)
def test_parameter_that_is_no_input_is_found_however_it_is_annotated(annotation: Any):
    def probe(city: str, context: Any = None): ...

    probe.__annotations__["context"] = annotation
    assert read(probe)[1] == "context"
    assert list(schema_of(probe)["properties"]) == ["city"]
    assert find_parameter(probe, Marker) == "context"


def test_function_without_such_a_parameter_has_none():
    assert read(Shop().price)[1] is None
    assert find_parameter(Shop().price, Marker) is None


# Schemas that were given


class Options(TypedDict):
    """Options of a search."""

    query: str
    limit: NotRequired[int]


@dataclasses.dataclass
class Point:
    """A point."""

    x: int
    y: int = 0


def test_pydantic_model_gives_an_instance():
    schema = read_input_schema(Place)
    assert schema.json_schema["properties"]["latitude"]["description"] == "Degrees north."
    assert schema.check({"title": "Pier", "more": 1}) == ({"title": "Pier"}, Place(title="Pier"))


def test_typed_dict_gives_a_dict_of_what_was_sent():
    assert read_input_schema(Options).check({"query": "x", "more": 1}) == ({"query": "x"}, {"query": "x"})


def test_dataclass_gives_an_instance():
    assert read_input_schema(Point).check({"x": 1}) == ({"x": 1, "y": 0}, Point(1))


def test_json_schema_is_handed_on_and_not_checked():
    schema = read_input_schema({"type": "object", "properties": {"title": {"type": "string", "title": "T"}}})
    assert schema.json_schema == {"type": "object", "properties": {"title": {"type": "string", "title": "T"}}}
    assert schema.check({"any": 1}) == ({"any": 1}, {"any": 1})


def test_check_of_the_applications_own_is_used():
    def check(value: Any) -> Any:
        if "a" not in value:
            raise ValueError("a: is missing")
        return {"a": value["a"] + 1}

    schema = JsonSchemaInput({"type": "object"}, check)
    assert schema.check({"a": 1}) == ({"a": 2}, {"a": 2})
    with pytest.raises(ValueError, match="a: is missing"):
        schema.check({})


def test_what_is_no_schema_is_refused_with_pydantics_reason():
    with pytest.raises(ConfigurationError, match="a type that pydantic knows: "):
        read_input_schema(object())


# Errors


def test_every_failure_is_told_with_its_path_and_never_the_value():
    def book(day: dt.date, places: list[Place], count: int): ...

    with pytest.raises(ValueError, match="day: ") as failure:
        read(book)[0].check({"day": "hunter2", "places": [{"title": "a"}, {"latitude": "hunter2"}], "count": "hunter2"})
    text = str(failure.value)
    assert "places.1.title: Field required" in text
    assert "places.1.latitude: " in text
    assert "count: " in text
    assert "hunter2" not in text


def test_failure_of_the_whole_is_told_as_the_inputs():
    with pytest.raises(ValueError, match=r"^input: "):
        read(Shop().price)[0].check([1])
