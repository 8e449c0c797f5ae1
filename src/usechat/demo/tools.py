"""The demo's tools: weather, an e-mail that needs approval, a picture, a chart, and a job that reports its progress.

None has an effect outside the process. They are also examples of tools: functions with types and a docstring.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from typing import Annotated, Any

from pydantic import Field

from usechat import ToolContext, tool
from usechat.demo.picture import HEIGHT, WIDTH, sunset_png
from usechat.models.base import ProviderTool
from usechat.parts import Data, File
from usechat.tools.tool import Tool

__all__ = ["demo_tools", "draw_picture", "get_weather", "send_email", "show_chart", "show_progress"]

_SKIES = ("sunny", "cloudy", "rainy", "windy", "foggy")
_STEP_SECONDS = 0.3
_CHART_SECONDS = 0.2
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LABELS = ("Reading", "Sorting", "Counting", "Checking", "Writing")


async def get_weather(
    city: Annotated[str, Field(description="Name of the city, as in Lisbon")],
) -> dict[str, str | int]:
    """Tell the weather in a city. It is made up, and always the same for the same city."""
    digest = hashlib.sha256(city.strip().lower().encode()).digest()
    return {"city": city, "temperature": 5 + digest[0] % 25, "sky": _SKIES[digest[1] % len(_SKIES)]}


async def send_email(to: str, subject: str, body: str) -> dict[str, str]:
    """Send an e-mail, once the user has allowed it. In the demo nothing leaves this machine."""
    return {"status": "sent", "to": to, "subject": subject, "note": "As this is a demo, no e-mail was really sent."}


async def show_chart(
    cities: Annotated[list[str], Field(min_length=1, max_length=4, description="Names of cities")],
    context: ToolContext,
) -> dict[str, Any]:
    """Draw a chart of a week's temperatures in some cities. They are made up, and always the same for the same city."""
    chart_id = f"chart-{context.tool_call_id}"
    series = [{"name": city, "values": _week(city)} for city in cities]
    # Day by day, so that the chart grows before the eyes of its reader.
    for days in range(1, len(_DAYS) + 1):
        shown = [{"name": one["name"], "values": one["values"][:days]} for one in series]
        data = {"title": "Temperatures of a week, in °C", "unit": "°C", "labels": list(_DAYS), "series": shown}
        context.writer.write(Data(name="chart", id=chart_id, data=data))
        await asyncio.sleep(_CHART_SECONDS)
    return {"warmest": {str(one["name"]): max(one["values"]) for one in series}}


def _week(city: str) -> list[int]:
    digest = hashlib.sha256(city.strip().lower().encode()).digest()
    return [5 + digest[0] % 25 + step % 7 - 3 for step in digest[1 : 1 + len(_DAYS)]]


async def draw_picture(subject: str, context: ToolContext) -> dict[str, str | int]:
    """Draw a picture and show it to the user. It is of hills at sunset, whatever the subject."""
    picture = await asyncio.to_thread(sunset_png)
    url = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    context.writer.write(File(media_type="image/png", url=url))
    return {"drawn": "hills at sunset", "asked_for": subject, "width": WIDTH, "height": HEIGHT}


async def show_progress(
    steps: Annotated[int, Field(ge=1, le=20, description="How many steps to take")], context: ToolContext
) -> dict[str, int]:
    """Do some work in steps and show the user how far it is."""
    # All parts have the same id, so that each replaces the one before it.
    progress_id = f"progress-{context.tool_call_id}"
    for step in range(1, steps + 1):
        label = _LABELS[(step - 1) % len(_LABELS)]
        context.writer.write(Data(name="progress", id=progress_id, data={"step": step, "steps": steps, "label": label}))
        await asyncio.sleep(_STEP_SECONDS)
    context.writer.write(Data(name="notification", data={"text": "The work is done."}, transient=True))
    return {"steps": steps}


def demo_tools() -> list[Tool]:
    """Return all tools that the demo calls. One is Anthropic's web search, whose results the demo makes up."""
    web_search = ProviderTool(id="anthropic.web_search_20250305", name="web_search")
    return [
        tool(get_weather),
        tool(show_progress),
        tool(show_chart),
        tool(draw_picture),
        tool(needs_approval=True)(send_email),
        Tool(name=web_search.name, provider=web_search),
    ]
