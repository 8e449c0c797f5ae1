"""The tools that the demo calls, and the picture that one of them draws."""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from typing import Any

import msgspec
import pytest

from usechat import ToolContext
from usechat.answers.writer.data_parts import NOT_GIVEN, data_part
from usechat.demo.picture import HEIGHT, WIDTH, sunset_png
from usechat.demo.tools import demo_tools, draw_picture, get_weather, send_email, show_chart, show_progress
from usechat.models.base import FunctionTool, ProviderTool
from usechat.parts import Data, File, Part

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Written:
    """A writer that keeps what is written."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    def write(self, part: Part) -> None:
        self.parts.append(part)

    def write_data(self, name: Any, data: Any = NOT_GIVEN, *, id: str | None = None, transient: bool = False) -> None:
        self.write(data_part(name, data, id=id, transient=transient))

    async def drain(self) -> None:
        """Nobody reads slowly here."""


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def context(written: Written) -> ToolContext:
    return ToolContext(tool_call_id="t1", tool_name="t", messages=(), writer=written, abort=asyncio.Event())


async def test_weather_is_the_same_for_the_same_city() -> None:
    assert await get_weather("Lisbon") == {**await get_weather(" lisbon"), "city": "Lisbon"}
    assert await get_weather("Lisbon") != {**await get_weather("Oslo"), "city": "Lisbon"}


async def test_email_says_that_nothing_was_sent() -> None:
    result = await send_email("a@example.com", "Hi", "Hello")
    assert result["status"] == "sent"
    assert "no e-mail was really sent" in result["note"]


async def test_picture_is_written_as_a_file(context: ToolContext, written: Written) -> None:
    result = await draw_picture("a cat", context)
    (file,) = written.parts
    assert isinstance(file, File)
    head, _, data = file.url.partition(",")
    assert (file.media_type, head) == ("image/png", "data:image/png;base64")
    assert base64.b64decode(data, validate=True) == sunset_png()
    assert result == {"drawn": "hills at sunset", "asked_for": "a cat", "width": WIDTH, "height": HEIGHT}


def test_picture_is_a_whole_png() -> None:
    png = sunset_png()
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks: dict[bytes, bytes] = {}
    rest = png[8:]
    while rest:
        length, kind = struct.unpack(">I4s", rest[:8])
        chunks[kind] = rest[8 : 8 + length]
        assert struct.unpack(">I", rest[8 + length : 12 + length]) == (zlib.crc32(rest[4 : 8 + length]),)
        rest = rest[12 + length :]
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBB", chunks[b"IHDR"][:10]) == (WIDTH, HEIGHT, 8, 2)
    rows = zlib.decompress(chunks[b"IDAT"])
    assert len(rows) == HEIGHT * (1 + 3 * WIDTH)
    assert len(set(rows)) > 100


async def test_progress_is_one_data_part_that_is_replaced(context: ToolContext, written: Written) -> None:
    await show_progress(2, context)
    *progress, notification = written.parts
    assert [msgspec.structs.asdict(part) for part in progress if isinstance(part, Data)] == [
        {
            "name": "progress",
            "id": "progress-t1",
            "data": {"step": step, "steps": 2, "label": label},
            "transient": None,
        }
        for step, label in ((1, "Reading"), (2, "Sorting"))
    ]
    assert isinstance(notification, Data)
    assert (notification.name, notification.transient) == ("notification", True)


async def test_chart_is_one_data_part_that_grows_by_a_day_at_a_time(context: ToolContext, written: Written) -> None:
    result = await show_chart(["Lisbon", "Oslo"], context)
    charts = [part for part in written.parts if isinstance(part, Data)]
    assert {(part.name, part.id) for part in charts} == {("chart", "chart-t1")}
    data: list[Any] = [part.data for part in charts]
    assert [[len(one["values"]) for one in chart["series"]] for chart in data] == [[days] * 2 for days in range(1, 8)]
    last = data[-1]
    assert len(last["labels"]) == 7
    assert result == {"warmest": {one["name"]: max(one["values"]) for one in last["series"]}}


def test_tools_are_offered_with_their_schemas() -> None:
    definitions = {tool.name: tool.definition for tool in demo_tools()}
    assert list(definitions) == [
        "get_weather",
        "show_progress",
        "show_chart",
        "draw_picture",
        "send_email",
        "web_search",
    ]
    assert isinstance(definitions["web_search"], ProviderTool)
    draw = definitions["draw_picture"]
    assert isinstance(draw, FunctionTool)
    assert list(draw.input_schema["properties"]) == ["subject"]


def test_only_the_tool_that_acts_asks_first() -> None:
    assert [tool.name for tool in demo_tools() if tool.needs_approval] == ["send_email"]
