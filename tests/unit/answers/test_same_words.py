"""What the model is told of a call that did not run: the same words in its answer and with the next message."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.http.connections import Connection
from usechat import Deny, FinishEvent, step_count_is, stream_text, tool
from usechat.chats.tool_errors import show_model, with_tool_errors
from usechat.models.claude.request.request import build_request
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio

SDKS = ["auto", "4.3.19", "5.0.0", "5.0.277", "6.0.324", "7.0.173"]
ASKED: dict[str, Any] = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


def deny(_: object, __: object) -> Deny:
    return Deny("It is locked.")


def deny_silently(_: object, __: object) -> Deny:
    return Deny()


async def remove(path: str) -> str:
    return path


TOOLS = [
    tool(name="locked", needs_approval=deny)(remove),
    tool(name="closed", needs_approval=deny_silently)(remove),
    tool(name="asked", needs_approval=True)(remove),
    tool(name="free")(remove),
]


def wire(model: ScriptedModel) -> list[dict[str, Any]]:
    """The messages of the model's last request, as Anthropic gets them."""
    return build_request(model.calls[-1], "claude-sonnet-4-6").body["messages"]


async def tell_twice(name: str, given: Any, *, is_saved: bool = False, **options: Any) -> tuple[Any, Any]:
    """What follows the first message: within the answer, and with the next message."""
    finished: list[FinishEvent] = []
    model = ScriptedModel(calling_tool(name, given), saying("Well."))
    result = stream_text(model, prompt="Hi", tools=TOOLS, stop_when=step_count_is(3), on_finish=finished.append)
    await Connection(result, **options).run()
    later = ScriptedModel(saying("Well."))
    answered = finished[0].ui_message
    if is_saved:
        answered = show_model(with_tool_errors(answered, finished[0].tool_errors))
    messages: list[Any] = [ASKED, answered, {**ASKED, "id": "v"}]
    assert await stream_text(later, messages=messages, tools=TOOLS).text == "Well."
    now = wire(model)
    return now[1:], wire(later)[1 : len(now)]


@pytest.mark.parametrize("sdk", SDKS)
@pytest.mark.parametrize("name", ["locked", "closed"])
async def test_denial_is_told_in_the_same_words(name: str, sdk: str):
    now, later = await tell_twice(name, {"path": "/a"}, sdk=sdk)
    assert now == later
    assert ("It is locked." in str(now)) == (name == "locked")


@pytest.mark.parametrize("sdk", SDKS[:4])
async def test_refusal_is_told_in_the_same_words(sdk: str):
    now, later = await tell_twice("asked", {"path": "/a"}, sdk=sdk)
    assert now == later
    assert "cannot be asked for" in str(now)


INVALID = [{"path": 5}, '{"path": "', "5", '"x"', "true", "null", "[1]"]


@pytest.mark.parametrize("sdk", [each for each in SDKS if not each.startswith("4")])
@pytest.mark.parametrize("given", INVALID)
async def test_invalid_input_is_told_in_the_same_words_where_the_chat_is_saved(given: Any, sdk: str):
    now, later = await tell_twice("free", given, sdk=sdk, is_saved=True)
    assert now == later
    assert "Invalid input for tool free" in str(now)


@pytest.mark.parametrize("sdk", [each for each in SDKS if not each.startswith("4")])
@pytest.mark.parametrize("given", INVALID)
async def test_invalid_input_is_told_in_the_same_words_where_the_browser_is_shown_it(given: Any, sdk: str):
    now, later = await tell_twice("free", given, sdk=sdk, tool_errors="shown")
    assert now == later
