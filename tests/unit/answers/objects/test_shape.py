"""Objects of every type: what is asked of the model, and the value that comes of it."""

from __future__ import annotations

import enum
import json
from typing import Any

import pytest
from pydantic import BaseModel

from usechat import generate_object, stream_object
from usechat.answers.objects.shape import make_shape
from usechat.errors import NoObjectGeneratedError
from usechat.messages.model import TextContent, UserMessage
from usechat.models.base import ModelCall, ResponseFormat
from usechat.models.claude.request.request import build_request
from usechat.testing.models import ScriptedModel, saying

pytestmark = pytest.mark.anyio


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(BaseModel):
    name: str
    children: list[Node] = []


class Cat(BaseModel):
    lives: int


class Dog(BaseModel):
    tricks: list[str]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (list[int], '{"value": [1, 2]}', [1, 2]),
        (Colour, '{"value": "red"}', Colour.RED),
        (int | None, '{"value": null}', None),
        (Node, '{"name": "a", "children": [{"name": "b"}]}', Node(name="a", children=[Node(name="b")])),
        (Cat | Dog, '{"tricks": ["sit"]}', Dog(tricks=["sit"])),
    ],
)
async def test_object_of_any_type_is_what_its_schema_makes(schema: Any, text: str, value: Any):
    model = ScriptedModel(saying(text))
    event = await generate_object(model, schema=schema, prompt="Which?")
    assert event.object == value
    asked: Any = model.calls[0].response_format
    assert asked.json_schema.get("type", "object") == "object"
    assert "$ref" not in asked.json_schema


@pytest.mark.parametrize("schema", [list[int], Colour, Node, Cat | Dog])
def test_model_without_native_output_is_told_one_plain_object(schema: Any):
    asked = make_shape("object", schema, None).asked
    assert asked is not None
    call = ModelCall(messages=[UserMessage((TextContent("Hi"),))], response_format=ResponseFormat(json_schema=asked))
    (told,) = build_request(call, "claude-3-haiku-20240307").body["tools"]
    assert told["input_schema"]["type"] == "object"
    assert not {"$ref", "anyOf", "oneOf", "allOf", "enum"} & set(told["input_schema"])


async def test_value_that_is_no_object_grows_as_itself():
    answer = stream_object(ScriptedModel(saying(*json.dumps({"value": [1, 2]}))), schema=list[int], prompt="?")
    shown = [value async for value in answer.partial_objects()]
    assert shown[-1] == [1, 2]
    assert all(isinstance(value, list) for value in shown)


@pytest.mark.parametrize("text", ["[1]", '{"values": [1]}', '{"value": ["a"]}'])
async def test_value_that_does_not_fit_is_told(text: str):
    with pytest.raises(NoObjectGeneratedError):
        await generate_object(ScriptedModel(saying(text)), schema=list[int], prompt="?")
