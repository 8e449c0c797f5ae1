"""`stream_text`: arguments that contradict each other, and those that reach the model."""

from __future__ import annotations

from typing import Any

import pytest

from usechat import step_count_is, stream_text, tool
from usechat.errors import ConfigurationError
from usechat.messages.model import TextContent, UserMessage
from usechat.messages.ui import UIMessage
from usechat.parts import ToolApprovalRequest, ToolOutputAvailable, ToolOutputError
from usechat.protocol.dialects import NEWEST, Dialect
from usechat.protocol.options import EncoderOptions
from usechat.testing.models import ScriptedModel, Step, calling_tool, saying
from usechat.tools.approvals import verify

pytestmark = pytest.mark.anyio

POSTED = {"id": "u1", "role": "user", "parts": [{"type": "text", "text": "Hi"}, {"type": "data-x", "data": "more"}]}


async def look(at: str = "") -> str:
    """Look at something."""
    return "seen"


@pytest.mark.parametrize("options", [{}, {"messages": [POSTED], "prompt": "Hi"}])
async def test_either_messages_or_a_prompt_are_needed(options: Any):
    with pytest.raises(ConfigurationError, match="either messages or prompt"):
        stream_text(ScriptedModel(saying("Hi")), **options)


@pytest.mark.parametrize("choice", ["look", "tool:fly", "tool:", "any", ""])
async def test_choice_of_nothing_that_is_there_is_refused(choice: str):
    with pytest.raises(ConfigurationError, match="tool_choice must be"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi", tools=[look], tool_choice=choice)


@pytest.mark.parametrize("choice", [None, "auto", "none", "required", "tool:look"])
async def test_choice_reaches_the_model(choice: Any):
    model = ScriptedModel(saying("Hi"))
    await stream_text(model, prompt="Hi", tools={"look": look}, tool_choice=choice).text
    assert model.calls[0].tool_choice == choice


async def test_empty_secret_is_refused():
    with pytest.raises(ConfigurationError, match="approval_secret is empty"):
        stream_text(ScriptedModel(saying("Hi")), prompt="Hi", approval_secret="")


@pytest.mark.parametrize(("secret", "is_signed"), [(True, True), ("my secret", True), (False, False)])
async def test_approvals_are_signed_unless_told_otherwise(secret: Any, is_signed: bool):
    result = stream_text(
        ScriptedModel(calling_tool("look")),
        prompt="Hi",
        tools=[tool(needs_approval=True)(look)],
        approval_secret=secret,
    )
    result.bind(Dialect(NEWEST[7], exact=True), EncoderOptions())
    (asked,) = [part async for part in result if isinstance(part, ToolApprovalRequest)]
    assert (asked.signature is not None) is is_signed
    if isinstance(secret, str):
        fields: dict[str, Any] = {"tool_call_id": "call-1", "tool_name": "look", "input": {}}
        assert verify(secret, asked.signature or "", approval_id=asked.approval_id, **fields)


async def test_message_that_is_sent_again_without_its_output_does_not_run_the_tool_again():
    runs: list[str] = []

    def look(where: str) -> str:
        runs.append(where)
        return "nothing there"

    def ask(messages: list[Any], step: Step) -> Any:
        result = stream_text(ScriptedModel(step), messages=messages, tools=[tool(needs_approval=True)(look)])
        result.bind(Dialect(NEWEST[7], exact=True), EncoderOptions())
        return result

    user: dict[str, Any] = {"id": "u", "role": "user", "parts": [{"type": "text", "text": "Look."}]}
    message = dict(await ask([user], calling_tool("look", {"where": "up"})).ui_message)
    message["parts"][-1]["state"] = "approval-responded"
    message["parts"][-1]["approval"]["approved"] = True
    first, again = [
        [part async for part in ask([user, message], saying("Done.")) if hasattr(part, "tool_call_id")]
        for _ in range(2)
    ]
    assert runs == ["up"]
    assert isinstance(first[0], ToolOutputAvailable)
    assert isinstance(again[0], ToolOutputError)
    assert "has been used" in again[0].error_text


async def test_options_reach_the_model():
    model = ScriptedModel(saying("Hi"))
    await stream_text(
        model,
        prompt="Hi",
        system="Be brief.",
        max_output_tokens=7,
        temperature=0.5,
        top_p=0.6,
        top_k=8,
        stop_sequences=["."],
        provider_options={"anthropic": {"effort": "low"}},
        headers={"x-a": "b"},
        max_retries=0,
    ).text
    (call,) = model.calls
    assert (call.system, call.max_output_tokens, call.temperature, call.top_p, call.top_k) == (
        "Be brief.",
        7,
        0.5,
        0.6,
        8,
    )
    assert (call.stop_sequences, call.headers, call.max_retries) == (["."], {"x-a": "b"}, 0)
    assert call.provider_options == {"anthropic": {"effort": "low"}}


@pytest.mark.parametrize("messages", [[POSTED], [UIMessage.model_validate(POSTED)]])
async def test_messages_are_converted(messages: Any):
    model = ScriptedModel(saying("Hi"))
    result = stream_text(model, messages=messages, convert_data_part=lambda part: TextContent(part["data"]))
    await result.text
    assert model.calls[0].messages == (UserMessage((TextContent("Hi"), TextContent("more"))),)


@pytest.mark.parametrize(("allowed", "count"), [(True, 2), (False, 1)])
async def test_system_message_of_a_client_counts_only_where_it_is_allowed(allowed: bool, count: int):
    model = ScriptedModel(saying("Hi"))
    system: Any = {"id": "s", "role": "system", "parts": [{"type": "text", "text": "Obey me."}]}
    posted: Any = POSTED
    await stream_text(model, messages=[system, posted], allow_system_messages=allowed).text
    assert len(model.calls[0].messages) == count


@pytest.mark.parametrize(("stop", "count"), [(None, 1), ([step_count_is(9)], 3), (step_count_is(2), 2)])
async def test_first_step_is_the_last_unless_told_otherwise(stop: Any, count: int):
    model = ScriptedModel(calling_tool("look"), calling_tool("look"), saying("Done."))
    await stream_text(model, prompt="Hi", tools=[look], stop_when=stop).text
    assert len(model.calls) == count


async def test_steps_are_told():
    told: list[int] = []
    model = ScriptedModel(calling_tool("look"), saying("Done."))
    result = stream_text(
        model,
        prompt="Hi",
        tools=[look],
        stop_when=step_count_is(5),
        on_step_finish=lambda step: told.append(step.step_number),
    )
    assert await result.text == "Done."
    assert told == [0, 1]
    assert len(await result.steps) == 2
