"""`write_data`: data parts of an application's own types, from an answer and from a tool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field

from usechat import Agent, ToolContext, UIMessageStreamWriter, tool, ui_message_stream
from usechat.parts import Data
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio


class SearchProgress(BaseModel):
    done_so_far: int = Field(serialization_alias="doneSoFar")


@dataclass
class Notice:
    data_name: ClassVar[str] = "note"
    text: str


async def written(*values: Any, **options: Any) -> list[Data]:
    def write(writer: UIMessageStreamWriter) -> None:
        writer.write_data(*values, **options)

    return [part async for part in ui_message_stream(write) if isinstance(part, Data)]


async def test_class_names_its_part():
    assert await written(SearchProgress(done_so_far=3), id="p") == [
        Data(name="searchProgress", data={"doneSoFar": 3}, id="p")
    ]
    assert await written(Notice("Hi"), transient=True) == [Data(name="note", data={"text": "Hi"}, transient=True)]


async def test_name_and_any_data_are_taken_as_before():
    assert await written("progress", None) == [Data(name="progress", data=None)]
    assert await written("progress", SearchProgress(done_so_far=1)) == [Data(name="progress", data={"doneSoFar": 1})]


async def test_value_without_a_name_is_refused(caplog: pytest.LogCaptureFixture):
    assert await written({"done": 3}) == []
    assert "write_data takes a name and data, or one value of a class of your own" in caplog.text


async def test_tool_writes_a_part_of_its_own_type():
    @tool
    async def search(context: ToolContext) -> str:
        """Search."""
        context.writer.write_data(SearchProgress(done_so_far=1), id="p")
        return "found"

    model = ScriptedModel(calling_tool("search"), saying("Done."))
    parts = [part async for part in Agent(model, tools=[search]).stream("Go") if isinstance(part, Data)]
    assert parts == [Data(name="searchProgress", data={"doneSoFar": 1}, id="p")]


async def test_decision_on_a_tool_writes_one_too():
    def decide(value: Any, context: ToolContext) -> bool:
        context.writer.write_data(Notice("I look."))
        return False

    @tool(needs_approval=decide)
    async def search() -> str:
        """Search."""
        return "found"

    model = ScriptedModel(calling_tool("search"), saying("Done."))
    parts = [part async for part in Agent(model, tools=[search]).stream("Go") if isinstance(part, Data)]
    assert parts == [Data(name="note", data={"text": "I look."})]
