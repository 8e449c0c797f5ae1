"""`Agent`: what is made once, what one call may change, and typed dependencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from usechat import (
    Agent,
    AgentCall,
    CallSettings,
    ChatRequest,
    CompletionRequest,
    FinishEvent,
    StepResult,
    StreamingAnswer,
    ToolContext,
    step_count_is,
    tool,
)
from usechat.errors import ConfigurationError, ProviderStreamError
from usechat.messages.model import TextContent, UserMessage
from usechat.parts import Error, ToolOutputAvailable
from usechat.testing.client_rules import find_data_stream_refusals, find_refusals
from usechat.testing.models import ScriptedModel, calling_tool, saying

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Deps:
    user: str


@tool
async def whoami(context: ToolContext[Deps]) -> str:
    """Who asks."""
    return context.deps.user


async def test_agent_answers_a_string_with_its_instructions_and_tools():
    model = ScriptedModel(calling_tool("whoami"), saying("You are Ada."))
    agent = Agent(model, system="Be brief.", tools=[whoami], context_type=Deps, temperature=0.5)
    event = await agent.generate("Who am I?", context=Deps("Ada"))
    assert event.text == "You are Ada."
    assert event.steps[0].tool_calls[0].output == "Ada"
    first = model.calls[0]
    assert (first.system, first.temperature, [each.name for each in first.tools]) == ("Be brief.", 0.5, ["whoami"])


async def test_one_agent_serves_each_call_with_its_own_context():
    agent = Agent(ScriptedModel(calling_tool("whoami")), tools=[whoami], stop_when=step_count_is(1))
    seen = [await agent.generate("Who?", context=Deps(name)) for name in ("Ada", "Bob")]
    assert [event.steps[0].tool_calls[0].output for event in seen] == ["Ada", "Bob"]


async def test_agent_has_a_context_of_its_own_for_calls_without_one():
    agent = Agent(
        ScriptedModel(calling_tool("whoami")), tools=[whoami], context=Deps("all"), stop_when=step_count_is(1)
    )
    assert (await agent.generate("Who?")).steps[0].tool_calls[0].output == "all"
    assert (await agent.generate("Who?", context=Deps("Ada"))).steps[0].tool_calls[0].output == "Ada"


async def test_agent_stops_after_twenty_steps_unless_it_is_told_otherwise():
    agent = Agent(ScriptedModel(calling_tool("whoami")), tools=[whoami], context=Deps("x"))
    assert len((await agent.generate("Go on.")).steps) == 20
    assert len((await agent.generate("Go on.", stop_when=step_count_is(2))).steps) == 2


async def test_answer_is_not_begun_until_it_is_read():
    model = ScriptedModel(saying("Hi"))
    answer = Agent(model).stream([{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}])
    assert model.calls == []
    assert await answer.text == "Hi"


async def test_option_of_a_call_goes_before_the_agents():
    model, other = ScriptedModel(saying("One")), ScriptedModel(saying("Two"))
    agent = Agent(model, system="Be brief.", temperature=0.5)
    event = await agent.generate("Hi", system="Be long.", model=other, tools=[whoami])
    assert event.text == "Two"
    assert (other.calls[0].system, other.calls[0].temperature) == ("Be long.", 0.5)
    assert [each.name for each in other.calls[0].tools] == ["whoami"]


async def test_callbacks_of_agent_and_call_are_both_called():
    heard: list[str] = []

    async def of_agent(event: FinishEvent) -> None:
        heard.append(f"agent: {event.text}")
        raise ValueError("lost")

    agent = Agent(ScriptedModel(saying("Hi")), on_finish=of_agent)
    await agent.generate("Hi", on_finish=lambda event: heard.append(f"call: {event.text}"))
    assert heard == ["agent: Hi", "call: Hi"]


async def test_first_text_of_on_error_is_shown():
    seen: list[str] = []
    failing = ScriptedModel([ProviderStreamError("broken", provider="scripted")])
    agent = Agent(failing, on_error=lambda error: "the agent's")
    answer = agent.stream("Hi", on_error=lambda error: seen.append(str(error)))
    shown = [part.error_text async for part in answer if isinstance(part, Error)]
    assert (shown, seen) == (["the agent's"], ["broken"])


async def test_prepare_call_chooses_settings_by_context_and_messages():
    small, large = ScriptedModel(saying("small")), ScriptedModel(saying("large"))

    async def choose(call: AgentCall[Deps]) -> CallSettings | None:
        last = call.messages[-1]
        assert isinstance(last, UserMessage)
        assert last.content == (TextContent("Hi"),)
        if call.context.user == "guest":
            return None
        return CallSettings(model=large, system=f"{call.system} You talk to {call.context.user}.", tools=[whoami])

    agent = Agent(small, system="Be kind.", prepare_call=choose, context_type=Deps)
    assert (await agent.generate("Hi", context=Deps("guest"))).text == "small"
    assert (await agent.generate("Hi", context=Deps("Ada"))).text == "large"
    assert (small.calls[0].system, list(small.calls[0].tools)) == ("Be kind.", [])
    assert large.calls[0].system == "Be kind. You talk to Ada."
    assert [each.name for each in large.calls[0].tools] == ["whoami"]


async def test_tools_of_prepare_call_run_and_its_limits_hold():
    def choose(call: AgentCall[Any]) -> CallSettings:
        return CallSettings(
            tools=[whoami],
            stop_when=step_count_is(1),
            active_tools=["whoami"],
            tool_choice="tool:whoami",
            max_output_tokens=7,
            messages=[{"role": "user", "content": "Who?"}],
        )

    model = ScriptedModel(calling_tool("whoami"))
    parts = [part async for part in Agent(model, prepare_call=choose).stream("Hi", context=Deps("Ada"))]
    assert [part.output for part in parts if isinstance(part, ToolOutputAvailable)] == ["Ada"]
    call = model.calls[0]
    assert (call.tool_choice, call.max_output_tokens) == ("tool:whoami", 7)
    assert call.messages == (UserMessage((TextContent("Who?"),)),)


@pytest.mark.parametrize(
    ("returned", "why"),
    [
        ({"system": "x"}, "prepare_call must return CallSettings or None, not a dict"),
        (CallSettings(model="claude"), "prepare_call takes a model, not its name"),  # type: ignore[arg-type]
        (CallSettings(temperature=-1), "temperature must be a number from 0"),
        (CallSettings(active_tools=["fly"]), "active_tools names 'fly'"),
        (CallSettings(tool_choice="tool:fly"), "tool_choice must be"),
    ],
)
async def test_wrong_settings_of_prepare_call_are_one_sentence(returned: Any, why: str):
    agent = Agent(ScriptedModel(saying("Hi")), prepare_call=lambda call: returned)
    with pytest.raises(ConfigurationError, match=why):
        await agent.generate("Hi")


MISTAKES: Sequence[tuple[dict[str, Any], str]] = [
    ({"temprature": 1}, "Agent has no option 'temprature': do you mean temperature"),
    ({"temperature": -1}, "temperature must be a number from 0"),
    ({"stop_when": 5}, "stop_when must be a condition"),
    ({"tools": [3]}, "tools must be made with tool"),
    ({"prepare_call": 3}, "prepare_call must be a function, not int"),
    ({"context_type": "Deps"}, "context_type must be a class, not str"),
    ({"context_type": Deps, "context": 3}, "context must be of type Deps, not int"),
    ({"active_tools": ["fly"]}, "active_tools names 'fly'"),
    ({"messages": []}, "Agent has no option 'messages'"),
]


@pytest.mark.parametrize(("options", "why"), MISTAKES)
def test_mistake_in_an_agent_is_said_where_it_is_made(options: Any, why: str):
    with pytest.raises(ConfigurationError, match=why):
        Agent(ScriptedModel(saying("Hi")), **options)


def test_name_of_a_model_is_no_model():
    with pytest.raises(ConfigurationError, match=r'Agent takes a model, not its name: write anthropic\("claude"\)'):
        Agent("claude")  # type: ignore[arg-type]


def test_call_without_its_context_is_refused():
    agent = Agent(ScriptedModel(saying("Hi")), context_type=Deps)
    with pytest.raises(ConfigurationError, match="context must be of type Deps, not None: give context="):
        agent.stream("Hi")
    with pytest.raises(ConfigurationError, match="stream has no option 'on_end'"):
        agent.stream("Hi", on_end=print)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="respond takes a ChatRequest or a CompletionRequest, not str"):
        agent.respond("Hi", context=Deps("Ada"))  # type: ignore[arg-type]


@pytest.mark.parametrize("sdk", ["4.3.19", "5.0.217", "6.0.231", "7.0.173"])
def test_agent_responds_to_a_chat_and_a_completion_of_each_major(sdk: str):
    heard: list[StepResult] = []
    model = ScriptedModel(calling_tool("whoami"), saying("You are Ada."))
    agent = Agent(model, tools=[whoami], context_type=Deps, on_step_finish=heard.append)
    app = FastAPI()

    @app.post("/chat")
    async def chat(chat: ChatRequest) -> StreamingAnswer:
        return agent.respond(chat, context=Deps("Ada"), sdk=sdk)

    @app.post("/completion")
    async def completion(completion: CompletionRequest) -> StreamingAnswer:
        return agent.respond(completion, context=Deps("Ada"), sdk=sdk)

    message: dict[str, Any] = {"id": "1", "role": "user", "content": "Hi", "parts": [{"type": "text", "text": "Hi"}]}
    with TestClient(app) as browser:
        answer = browser.post("/chat", json={"id": "c", "messages": [message]})
        told = answer.text
        completed = browser.post("/completion", json={"prompt": "Hi"}).text
    version: Any = tuple(map(int, sdk.split(".")))
    find = find_data_stream_refusals if version[0] == 4 else find_refusals
    assert find(answer.content, version) == []
    assert "Ada" in told
    assert "You are Ada." in told
    assert "You are Ada." in completed
    assert len(heard) == 3


def test_client_tools_of_an_agent_are_known():
    agent = Agent(ScriptedModel(saying("Hi")), tools=[whoami, tool(name="locate", input_schema={"type": "object"})])
    assert [agent.is_client_tool(name) for name in ("whoami", "locate", "fly")] == [False, True, False]


def test_annotation_that_names_dependencies_marks_the_context():
    def look(where: str, context: ToolContext[Deps] | None = None) -> str:
        return where

    made = tool(look)
    assert made.context_parameter == "context"
    assert list(made.definition.input_schema["properties"]) == ["where"]  # type: ignore[union-attr]
