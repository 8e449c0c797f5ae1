"""Mistakes in an application: each is one sentence, where it is made."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Request
from fastapi.testclient import TestClient
from pydantic import BaseModel

from usechat import (
    Agent,
    StepSettings,
    StreamTextResult,
    generate_object,
    generate_text,
    has_tool_call,
    smooth_stream,
    step_count_is,
    stream_object,
    stream_text,
    tool,
)
from usechat.answers.generate_text import TextOptions
from usechat.answers.objects.answer import ObjectOptions
from usechat.checks import option_names
from usechat.errors import ConfigurationError
from usechat.guard import describe_error
from usechat.parts import ToolOutputAvailable, ToolOutputError
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio


class Recipe(BaseModel):
    name: str


def get_weather(city: str) -> str:
    return f"sunny in {city}"


def model() -> ScriptedModel:
    return ScriptedModel(saying('{"name": "Soup"}'))


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"temprature": 3}, "no option 'temprature': do you mean temperature"),
    ({"maxOutputTokens": 3}, "no option 'maxOutputTokens': do you mean max_output_tokens"),
    ({"zzz": 3}, "no option 'zzz'$"),
    ({"temperature": "hot"}, "temperature must be a number, not str"),
    ({"temperature": -1}, "temperature must be a number from 0, not -1"),
    ({"temperature": True}, "temperature must be a number, not bool"),
    ({"top_p": 2}, "top_p must be a number from 0 to 1, not 2"),
    ({"max_output_tokens": 0}, "max_output_tokens must be a number from 1, not 0"),
    ({"temperature": math.nan}, "temperature must be a number from 0, not nan"),
    ({"max_retries": -1}, "max_retries must be a number from 0"),
    ({"system": ["Be brief."]}, "system must be a text, not list"),
    ({"headers": "x: y"}, "headers must be a mapping, not str"),
    ({"provider_options": {"thinking": "on"}}, "provider_options must hold a mapping for each provider"),
    ({"on_error": 3}, "on_error must be a function, not int"),
    ({"on_finish": 3}, "on_finish must be a function, not int"),
]
"""For every function that asks a model."""

OF_TEXT: list[tuple[dict[str, Any], str]] = [
    *MISTAKES,
    ({"continue_paused": "no"}, "continue_paused must be True or False, not str"),
    ({"stop_when": 5}, r"stop_when must be a condition such as step_count_is\(5\), or a list of them, not int"),
    ({"stop_when": [step_count_is(2), 5]}, "stop_when must be a condition"),
    ({"stop_when": step_count_is}, "stop_when must be step_count_is"),
    ({"stop_when": [has_tool_call]}, "stop_when must be has_tool_call"),
    ({"transform": smooth_stream}, r"transform must be smooth_stream\(\), with the parentheses"),
    ({"transform": [smooth_stream()]}, "transform must be one function, such as smooth_stream.*, not list"),
    ({"stop_sequences": "END"}, "stop_sequences must be a list of texts, not str"),
    ({"active_tools": "get_weather"}, "active_tools must be a list of texts, not str"),
    ({"active_tools": ["get_wether"]}, "active_tools names 'get_wether', and there is no such tool"),
    ({"tools": get_weather}, "tools must be a list or a mapping of tools, not function"),
    ({"tools": tool(get_weather)}, "tools must be a list or a mapping of tools, not Tool"),
    ({"tools": [3]}, r"tools must be made with tool\(\) or be functions, not int"),
    ({"tool_choice": {"type": "tool"}}, "tool_choice must be a text such as tool:NAME, not a dict"),
    ({"prepare_step": {}}, "prepare_step must be a function, not a dict"),
    ({"repair_tool_call": 1}, "repair_tool_call must be a function, not int"),
    ({"stream_retries": -1}, "stream_retries must be a number from 0"),
    ({"steering": "go"}, "steering must be a Steering, not str"),
    ({"message_metadata": {"a": 1}}, "message_metadata must be a function or True, not a dict"),
    ({"prompt": None, "messages": "Hi"}, "messages must be a list of messages, not str; one text is prompt"),
    ({"prompt": None, "messages": {"role": "user"}}, "messages must be a list of messages, not a dict"),
    ({"prompt": [{"role": "user"}]}, "prompt must be a text, not list; a list of messages is messages"),
]


@pytest.mark.parametrize(("options", "words"), OF_TEXT)
async def test_wrong_option_is_refused_at_the_call(options: dict[str, Any], words: str):
    given: Any = {"prompt": "Hi", "tools": [get_weather], **options}
    with pytest.raises(ConfigurationError, match=words):
        stream_text(model(), **given)
    with pytest.raises(ConfigurationError, match=words):
        await generate_text(model(), **given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *MISTAKES,
        ({"tools": [get_weather]}, "no option 'tools'"),
        ({"repair_text": 1}, "repair_text must be a function"),
    ],
)
async def test_wrong_option_of_an_object_is_refused_at_the_call(options: dict[str, Any], words: str):
    given: Any = {"prompt": "Hi", "schema": Recipe, **options}
    with pytest.raises(ConfigurationError, match=words):
        stream_object(model(), **given)
    with pytest.raises(ConfigurationError, match=words):
        await generate_object(model(), **given)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("claude-sonnet-4-6", r'takes a model, not its name: write anthropic\("claude-sonnet-4-6"\)'),
        (None, r"takes a model such as anthropic\(…\), not None"),
    ],
)
async def test_what_is_no_model_is_refused_at_the_call(wrong: Any, words: str):
    for make in (stream_text, stream_object):
        with pytest.raises(ConfigurationError, match=words):
            make(wrong, prompt="Hi")
    for generate in (generate_text, generate_object):
        with pytest.raises(ConfigurationError, match=words):
            await generate(wrong, prompt="Hi")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"need_approval": True}, "tool has no option 'need_approval': do you mean needs_approval"),
        ({"timeout_seconds": 3}, "tool has no option 'timeout_seconds': do you mean timeout"),
    ],
)
def test_wrong_option_of_a_tool_is_refused_at_the_call(options: Any, words: str):
    with pytest.raises(ConfigurationError, match=words):
        tool(**options)


DATABASE: Any = Depends(model)
AI_SDK_NAMES: dict[str, tuple[dict[str, Any], str]] = {
    "instructions": ({"instructions": "Be brief."}, r"has no option 'instructions': write system=…"),
    "max_steps": ({"max_steps": 5}, r"has no option 'max_steps': write stop_when=step_count_is\(5\)"),
}


@pytest.mark.parametrize(("options", "words"), AI_SDK_NAMES.values(), ids=AI_SDK_NAMES)
def test_name_of_the_ai_sdk_leads_to_the_one_here(options: Any, words: str):
    with pytest.raises(ConfigurationError, match=f"Agent {words}"):
        Agent(model(), **options)
    with pytest.raises(ConfigurationError, match=f"stream_text {words}"):
        stream_text(model(), prompt="Hi", **options)


def test_stop_condition_of_the_ai_sdk_leads_to_the_one_here():
    with pytest.raises(ImportError, match="usechat has no is_step_count: write step_count_is"):
        from usechat import is_step_count  # noqa: F401  # pyright: ignore[reportUnusedImport]


@pytest.mark.parametrize(("count", "given"), [("5", "str"), (0, "0"), (2.5, "2.5"), (True, "bool"), (None, "None")])
def test_number_of_steps_is_a_whole_one(count: Any, given: str):
    with pytest.raises(ConfigurationError, match=f"step_count_is takes a whole number from 1, not {given}"):
        step_count_is(count)


def test_empty_list_of_stop_conditions_is_refused():
    with pytest.raises(ConfigurationError, match=r"stop_when is an empty list: give a condition such as step_count_is"):
        Agent(model(), stop_when=[])


def test_tool_that_asks_for_what_a_route_gets_is_told_of_its_context():
    def search(words: str, database: Annotated[str, Depends(model)]) -> str: ...

    def look(words: str, database: Any = DATABASE) -> str: ...

    def read(words: str, request: Request) -> str: ...

    wrong: Any
    for wrong in (search, look, read):
        with pytest.raises(ConfigurationError, match=r"comes in a parameter of type ToolContext, as context\.deps"):
            tool(wrong)


def test_tool_of_what_is_no_function_is_refused():
    wrong: Any = "get_weather"
    with pytest.raises(ConfigurationError, match="tool takes a function, not str"):
        tool(wrong)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sdk": "9"}, "the AI SDK version must be"),
        ({"sdk": 8}, "the AI SDK version must be"),
        ({"wire_format": "sse"}, "wire_format must be one of"),
        ({"headers": "x"}, "headers must be a mapping, not str"),
        ({"heartbeat": -1}, "heartbeat must be a number from 0"),
        ({"send_resoning": True}, "response has no option 'send_resoning': do you mean send_reasoning"),
    ],
)
def test_wrong_option_of_a_response_is_refused_at_the_call(options: Any, words: str):
    with pytest.raises(ConfigurationError, match=words):
        stream_text(model(), prompt="Hi").response(**options)


def test_typed_options_are_those_that_there_are():
    settings = set(TextOptions.__annotations__) - set(option_names(stream_text))
    assert settings == set(ObjectOptions.__annotations__) - set(option_names(stream_object))
    assert set(option_names(stream_text)) - {"output"} < set(TextOptions.__annotations__)
    assert set(option_names(stream_object)) - {"schema", "output", "enum"} < set(ObjectOptions.__annotations__)


async def test_object_is_what_its_schema_makes():
    assert (await generate_object(model(), schema=Recipe, prompt="Soup")).object == Recipe(name="Soup")


# An answer in the place of its response


def test_answer_that_a_route_returns_says_what_to_return():
    app = FastAPI()

    @app.get("/")
    async def chat():
        return stream_text(model(), prompt="Hi")

    with pytest.raises(ValueError, match=r"return answer\.response\(chat\) from the route"):
        TestClient(app).get("/")


def test_route_that_is_annotated_with_an_answer_is_refused_when_it_is_made():
    app = FastAPI()

    async def chat() -> StreamTextResult:
        return stream_text(model(), prompt="Hi")

    with pytest.raises(ConfigurationError, match=r"return answer\.response\(chat\) from the route"):
        app.get("/")(chat)


def test_answer_is_not_read_with_a_plain_loop():
    with pytest.raises(ConfigurationError, match="read an answer with `async for`"):
        list(stream_text(model(), prompt="Hi"))


# What functions of the application return


@pytest.mark.parametrize("returned", [{"system": "Be brief."}, "Be brief.", [StepSettings()]])
async def test_step_settings_of_another_kind_are_told_as_what_they_are(returned: Any):
    def prepare(number: int, steps: Any, messages: Any) -> Any:
        return returned

    answer = stream_text(model(), prompt="Hi", prepare_step=prepare)
    with pytest.raises(ConfigurationError, match="prepare_step must return StepSettings or None, not"):
        await answer.text


async def test_group_of_exceptions_tells_its_causes():
    def fail() -> None:
        raise ExceptionGroup("both failed", [ValueError("one"), ExceptionGroup("more", [KeyError("two")])])

    answer = stream_text(ScriptedModel(calling_tool("fail"), saying("Oh.")), prompt="Go", tools=[fail])
    (failed,) = [part async for part in answer if isinstance(part, ToolOutputError)]
    assert failed.error_text == "Error: both failed: one; more: 'two'"
    many = ExceptionGroup("all failed", [ValueError(str(number)) for number in range(9)])
    assert describe_error(many) == "all failed: 0; 1; 2; 3; 4; and 4 more"


async def test_plain_generator_keeps_its_context_variables():
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def count() -> Iterator[int]:
        for _ in range(3):
            variable.set(variable.get() + 1)
            yield variable.get()

    answer = stream_text(ScriptedModel(calling_tool("count"), saying("Done.")), prompt="Go", tools=[count])
    outputs = [part.output async for part in answer if isinstance(part, ToolOutputAvailable)]
    assert outputs == [1, 2, 3, 3]
