"""`validate_ui_messages`: what only the application knows of its messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel

from usechat import UIMessage, tool, validate_ui_messages
from usechat.errors import ConfigurationError, RequestError


class Progress(BaseModel):
    done: int


@dataclass
class Metadata:
    model: str


@tool
async def get_weather(city: str) -> str:
    """The weather."""
    return city


def message(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "a", "role": "assistant", "parts": list(parts), **fields}


def weather(value: Any, **fields: Any) -> dict[str, Any]:
    return {"type": "tool-get_weather", "toolCallId": "c", "state": "output-available", "input": value, **fields}


@pytest.mark.parametrize("state", ["input-available", "approval-requested", "approval-responded", "output-available"])
def test_stored_input_that_does_not_fit_its_tool_is_refused(state: str):
    history = [
        message({"type": "text", "text": "Hi"}),
        message({"type": "step-start"}, weather({"city": 5}, state=state)),
    ]
    with pytest.raises(
        RequestError, match=r"^messages\[1\].parts\[1\].input: does not fit the schema of its tool$"
    ) as e:
        validate_ui_messages(history, tools=[get_weather])
    assert e.value.status == 422


@pytest.mark.parametrize(
    "part",
    [
        weather({"city": "York"}),
        weather({"city": 5}, state="output-error", errorText="no"),
        weather({"ci": 5}, state="input-streaming"),
        weather({"city": 5}, providerExecuted=True),
        {**weather({"city": "York"}), "type": "dynamic-tool", "toolName": "get_weather"},
        {**weather({"any": 1}), "type": "dynamic-tool", "toolName": "of_a_server"},
    ],
)
def test_whole_inputs_that_fit_and_those_that_are_not_whole_are_taken(part: dict[str, Any]):
    read = validate_ui_messages([message(part)], tools=[get_weather])
    assert [each.parts for each in read] == [[part]]


def test_tool_that_is_not_there_is_refused():
    with pytest.raises(RequestError, match="of a tool that is not known here"):
        validate_ui_messages([message(weather({}))], tools=[])
    assert len(validate_ui_messages([message(weather({}))])) == 1


def test_data_parts_fit_their_schemas():
    schemas = {"progress": Progress}
    fits = message({"type": "data-progress", "data": {"done": 3}})
    assert validate_ui_messages([fits], data_schemas=schemas)[0].parts == fits["parts"]
    with pytest.raises(RequestError, match=r"messages\[0\].parts\[0\].data: does not fit the schema of its data part"):
        validate_ui_messages([message({"type": "data-progress", "data": {"done": "x"}})], data_schemas=schemas)
    with pytest.raises(RequestError, match="of a data part that is not known here"):
        validate_ui_messages([message({"type": "data-other", "data": 1})], data_schemas=schemas)


def test_metadata_fits_its_schema():
    assert validate_ui_messages([message(metadata={"model": "m"})], metadata_schema=Metadata)
    with pytest.raises(RequestError, match=r"messages\[0\].metadata: does not fit the schema of the metadata"):
        validate_ui_messages([message(metadata={"model": 5})], metadata_schema=Metadata)


def test_form_of_a_message_is_checked_as_in_a_request():
    with pytest.raises(RequestError, match=r"messages\[0\].parts\[0\].type: must be text"):
        validate_ui_messages([message({"type": 5})])
    known = UIMessage.model_validate(message())
    assert validate_ui_messages([known])[0] is known
    with pytest.raises(ConfigurationError, match="takes UI messages, not str"):
        validate_ui_messages(["Hi"])  # type: ignore[list-item]
