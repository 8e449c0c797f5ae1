"""Programs that a type checker takes, and such as it refuses: an ignored error that is none is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_type

from pydantic import BaseModel

from usechat import (
    Agent,
    AgentCall,
    CallSettings,
    FinishEvent,
    Output,
    ToolContext,
    UIMessage,
    generate_object,
    generate_text,
    step_count_is,
    stream_object,
    stream_text,
    tool,
)
from usechat.messages.model import ModelMessage
from usechat.models.base import Model


class Recipe(BaseModel):
    """Something to cook."""

    name: str


async def takes_what_there_is(model: Model) -> None:
    """Typed options, and what comes of them."""
    event = await generate_text(model, prompt="Hi", temperature=0.5, stop_when=step_count_is(3), system="Be brief.")
    assert_type(event, FinishEvent)
    assert_type(event.messages, Sequence[Mapping[str, Any]])
    assert_type((await generate_object(model, schema=Recipe, prompt="Soup")).object, Recipe)
    assert_type((await generate_object(model, schema=Recipe, output="array", prompt="Soups")).object, list[Recipe])
    assert_type((await generate_object(model, output="enum", enum=["a", "b"], prompt="Which?")).object, str)
    assert_type((await generate_object(model, schema=list[int], prompt="Which?")).object, list[int])
    assert_type(await stream_object(model, schema=Recipe, prompt="Soup").object, Recipe)
    await generate_object(model, schema={"type": "object"}, prompt="Soup", max_output_tokens=100)
    stream_text(model, prompt="Hi", provider_options={"anthropic": {"thinking": {"type": "adaptive"}}})


async def refuses_what_there_is_not(model: Model) -> None:
    """What is written wrong."""
    await generate_text(model, prompt="Hi", temprature=3)  # type: ignore[call-arg]
    await generate_text(model, prompt="Hi", stop_when=5)  # type: ignore[arg-type]
    await generate_text("claude-sonnet-4-6", prompt="Hi")  # type: ignore[arg-type]
    stream_text(model, prompt="Hi", temprature=3)  # type: ignore[call-arg]
    stream_text(model, prompt="Hi", on_finish=3)  # type: ignore[arg-type]
    stream_text(model, prompt="Hi").response(sdk="7", send_nothing=True)  # type: ignore[call-arg]
    await generate_object(model, schema=Recipe, tools=[], prompt="Soup")  # type: ignore[call-overload]


@dataclass(frozen=True)
class Deps:
    """What tools need."""

    user: str


async def keeps_the_types_of_an_agent(model: Model) -> None:
    """Dependencies and output."""
    plain = Agent(model, system="Be brief.", tools=[get_tide])
    assert_type(await plain.generate("Hi"), FinishEvent[str])
    assert_type((await plain.generate("Hi", context=3)).output, str)
    agent = Agent(model, context_type=Deps, output=Output.object(Recipe), prepare_call=chooses)
    assert_type(agent, Agent[Deps, Recipe])
    assert_type(await agent.stream("Hi", context=Deps("Ada")).output, Recipe)
    assert_type((await agent.generate("Hi", context=Deps("Ada"), temperature=0.5)).output, Recipe)
    assert_type(Agent(model, context=Deps("all")), Agent[Deps, str])
    assert_type(await stream_text(model, prompt="Hi", output=Output.array(Recipe)).output, list[Recipe])
    assert_type((await generate_text(model, prompt="Hi", output=Output.array(int))).output, list[int])
    assert_type(await stream_text(model, prompt="Hi").output, str)
    assert_type(Output.choice(["a", "b"]), Output[str])
    agent.stream("Hi", context="Ada")  # type: ignore[arg-type]
    agent.stream("Hi", context=Deps("Ada"), temprature=1)  # type: ignore[call-arg]
    await agent.generate(context=Deps("Ada"))  # type: ignore[call-arg]
    Agent(model, messages=[])  # type: ignore[call-arg]
    Agent("claude-sonnet-4-6")  # type: ignore[arg-type]
    Agent(model, output=Recipe)  # type: ignore[arg-type]
    Agent(model, context_type=Recipe, prepare_call=chooses)  # type: ignore[arg-type]


def chooses(call: AgentCall[Deps]) -> CallSettings | None:
    """Choose by user."""
    assert_type(call.context, Deps)
    return CallSettings(system=call.context.user)


@tool
async def whoami(context: ToolContext[Deps]) -> str:
    """Return the user."""
    assert_type(context.deps, Deps)
    return context.deps.usr  # type: ignore[no-any-return, attr-defined]


@tool
async def get_tide(port: str, *, day: int = 1) -> float:
    """Return metres."""
    return float(len(port) + day)


@tool(needs_approval=True)
def delete_file(path: str) -> bool:
    """Delete it."""
    return bool(path)


async def keeps_the_types_of_a_tool() -> None:
    """A call of a tool is a call of its function."""
    assert_type(await get_tide("Whitby", day=2), float)
    assert_type(delete_file("a"), bool)
    await get_tide(3)  # type: ignore[arg-type]
    delete_file(paht="a")  # type: ignore[call-arg]
    tool(input_schema=Recipe)  # type: ignore[call-overload]
    tool(need_approval=True)  # type: ignore[call-overload]


async def takes_messages_of_every_kind(model: Model, posted: list[UIMessage], earlier: list[ModelMessage]) -> None:
    """Objects, and dicts of the AI SDK's and of Anthropic's form."""
    stream_text(model, messages=posted)
    stream_text(model, messages=[*earlier, {"role": "user", "content": "Hi"}])
    stream_text(model, messages=[{"role": "user", "parts": [{"type": "text", "text": "Hi"}]}])
    stream_text(model, messages=[{"role": "user", "content": [{"type": "image", "image": "https://a.example/a.png"}]}])
    stream_text(
        model,
        messages=[
            {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a.example"}}]}
        ],
    )
    stream_text(model, messages=[{"role": "someone", "content": "Hi"}])  # type: ignore[list-item]
    stream_text(model, messages=[{"role": "user", "text": "Hi"}])  # type: ignore[list-item]
    stream_text(model, messages="Hi")  # type: ignore[arg-type]
