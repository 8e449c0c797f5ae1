"""What the model is told of a call that did not run: the same words in its answer and with the next message."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest

from tests.unit.http.connections import Connection, chunks
from usechat import Deny, FinishEvent, Timeout, step_count_is, stream_text, tool
from usechat.chats.tool_errors import show_model, with_tool_errors
from usechat.models.claude.request.request import build_request
from usechat.testing.models import ScriptedModel, calling_tool, calling_tools, saying

pytestmark = pytest.mark.anyio

SDKS = ["auto", "4.3.19", "5.0.0", "5.0.277", "6.0.324", "7.0.173"]
ASKED: dict[str, Any] = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}


def deny(_: object, __: object) -> Deny:
    return Deny("It is locked.")


def deny_silently(_: object, __: object) -> Deny:
    return Deny()


def deny_with_a_blank(_: object, __: object) -> Deny:
    return Deny("")


async def remove(path: str) -> str:
    return path


async def wait() -> None:
    await asyncio.Event().wait()


TOOLS = [
    tool(name="locked", needs_approval=deny)(remove),
    tool(name="closed", needs_approval=deny_silently)(remove),
    tool(name="blank", needs_approval=deny_with_a_blank)(remove),
    tool(name="hasty", timeout=0.01)(wait),
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
@pytest.mark.parametrize("name", ["locked", "closed", "blank"])
async def test_denial_is_told_in_the_same_words(name: str, sdk: str):
    now, later = await tell_twice(name, {"path": "/a"}, sdk=sdk)
    assert now == later
    assert ("It is locked." in str(now)) == (name == "locked")


@pytest.mark.parametrize("sdk", SDKS[:4])
async def test_refusal_is_told_in_the_same_words(sdk: str):
    now, later = await tell_twice("asked", {"path": "/a"}, sdk=sdk)
    assert now == later
    assert "cannot be asked for" in str(now)


@pytest.mark.parametrize("sdk", [each for each in SDKS if not each.startswith("4")])
async def test_interruption_is_told_in_the_same_words(sdk: str):
    now, later = await tell_twice("hasty", {}, sdk=sdk)
    assert now == later
    assert "It may have taken effect." in str(now)


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


@pytest.mark.parametrize("text", ["", " ", "\n"])
@pytest.mark.parametrize(
    ("state", "fields"),
    [
        ("output-error", {"errorText": "TEXT"}),
        ("output-error", {"errorText": "TEXT", "rawInput": "{"}),
        ("output-denied", {"approval": {"id": "ap", "approved": False, "reason": "TEXT"}}),
        ("approval-responded", {"approval": {"id": "ap", "approved": False, "reason": "TEXT"}}),
    ],
)
async def test_nothing_that_a_client_sends_becomes_an_error_without_words(state: str, fields: Any, text: str):
    fields = json.loads(json.dumps(fields).replace('"TEXT"', json.dumps(text)))
    part = {"type": "tool-free", "toolCallId": "c", "state": state, "input": {"path": "/a"}, **fields}
    model = ScriptedModel(saying("Well."))
    messages: list[Any] = [ASKED, {"id": "a", "role": "assistant", "parts": [part]}, {**ASKED, "id": "v"}]
    await stream_text(model, messages=messages, tools=TOOLS).text
    (result,) = [block for message in wire(model) for block in message["content"] if block["type"] == "tool_result"]
    assert result["content"] in ("The tool failed.", "Tool call execution denied.")


async def test_exception_without_words_is_told_by_its_name_and_shown_as_an_error():
    @tool
    async def fail() -> None:
        raise TimeoutError

    finished: list[FinishEvent] = []
    model = ScriptedModel(calling_tool("fail"), saying("Well."))
    result = stream_text(
        model, prompt="Hi", tools=[fail], stop_when=step_count_is(2), on_finish=finished.append, on_error=str
    )
    assert await result.text == "Well."
    assert "Error: TimeoutError" in str(wire(model))
    shown = [part["errorText"] for part in finished[0].ui_message["parts"] if "errorText" in part]
    assert shown == ["An error occurred."]


async def test_tool_that_ends_while_its_answer_is_stopped_is_shown_before_the_end():
    has_begun = asyncio.Event()

    @tool
    async def charge() -> str:
        has_begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "charged"

    finished: list[FinishEvent] = []
    calls = calling_tools(("c1", "charge", {}), ("c2", "charge", {}))
    result = stream_text(ScriptedModel(calls), prompt="Hi", tools=[charge], on_finish=finished.append)
    connection = Connection(result, sdk="7.0.173")
    running = asyncio.create_task(connection.run())
    await has_begun.wait()
    result.abort()
    await running
    assert [part["output"] for part in finished[0].ui_message["parts"] if "output" in part] == ["charged"] * 2
    assert finished[0].tool_errors == {}
    kinds = [chunk["type"] for chunk in chunks(connection.body.decode())]
    assert kinds[-3:] == ["tool-output-available", "tool-output-available", "abort"]


async def test_output_of_a_tool_is_kept_when_the_time_of_the_answer_is_up():
    @tool
    async def charge() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "charged"

    finished: list[FinishEvent] = []
    model = ScriptedModel(calling_tool("charge"))
    # Long enough for the tool to begin.
    timeout = Timeout(total=1)
    result = stream_text(model, prompt="Hi", tools=[charge], on_finish=finished.append, timeout=timeout)
    await Connection(result, sdk="7.0.173").run()
    assert finished[0].error is not None
    assert [part["output"] for part in finished[0].ui_message["parts"] if "output" in part] == ["charged"]
